"""A Hub on loopback: repositories over the protocol that huggingface_hub speaks.

It answers what the client asks for (info, tree in pages, resolve with HEAD and ranges, search),
sends large files from a second host, as the real one does, and fails as it is told to. A plug-in of
pytest (see conftest.py), whose fixture ``hub`` starts one.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import threading
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

TOKEN = "hf_" + "t" * 34
_LFS_BYTES = 4096  # files of so many go to the second host
_LARGE_BYTES = 1_000_000
_PAGE = 3  # entries of a tree in one answer
_LISTED = 2  # repositories in one answer
_HEAD = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)


@dataclass
class Repo:
    """A repository at one commit: its files, and whom it lets in."""

    files: dict[str, bytes]
    gated: str | bool = False
    private: bool = False
    facts: dict[str, Any] = field(default_factory=dict)
    branches: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def tree(self, revision: str) -> dict[str, bytes] | None:
        """Return the files of a branch, or of a commit."""
        named = {"main": self.files, **self.branches}
        named |= {commit_of(files): files for files in [*named.values()]}
        return named.get(revision)


def commit_of(files: Mapping[str, bytes]) -> str:
    """Return the commit that these files make."""
    text = json.dumps({path: blob_id(data) for path, data in files.items()})
    return hashlib.sha1(text.encode()).hexdigest()


def _listed(name: str, repo: Repo) -> dict[str, Any]:
    """Return what a list of repositories says of one."""
    told = {"id": name, "likes": 1, "downloads": 10, "trendingScore": 0, "tags": []}
    times = {"lastModified": "2026-01-02T03:04:05.000Z", "createdAt": "2025-01-02T03:04:05.000Z"}
    return {**told, **times, "gated": repo.gated and "manual", **repo.facts}


@cache
def blob_id(data: bytes) -> str:
    """Return what git calls a file."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Writes:
    """What a Hub takes: new repositories, large files on the second host, commits.

    A token may write for the owner ``me`` alone, and ``quota`` bytes of large files. Names are
    those of huggingface_hub's requests; Xet is not spoken (HF_HUB_DISABLE_XET).
    """

    quota = 10**9

    def _written(self, path: str, asked: Any) -> bytes | None:
        """Return the answer to a request that writes, None for any other."""
        body = _body_of(asked)
        if path == "/api/validate-yaml":
            return self._json({"errors": [], "warnings": []})
        if path == "/api/repos/create":
            return self._created(json.loads(body), asked.head)
        for rule, answer in (
            (r"/api/datasets/([^/]+/[^/]+)/preupload/main", self._modes),
            (r"/datasets/([^/]+/[^/]+)\.git/info/lfs/objects/batch", self._batch),
            (r"/api/datasets/([^/]+/[^/]+)/commit/main", self._commit),
        ):
            if match := re.fullmatch(rule, path):
                return self._may_not_write(match[1], asked.head) or answer(match[1], body)
        return None

    def _may_not_write(self, name: str, head: str) -> bytes | None:
        if (refused := self._refused(name, head, contents=False)) is not None:
            return refused
        return self._no_right(name.partition("/")[0], head)

    def _no_right(self, owner: str, head: str) -> bytes | None:
        if f"Bearer {TOKEN}" not in head:
            return self.http(b"{}", status=401)
        if owner != "me":
            said = json.dumps({"error": "You have no right to write here"}).encode()
            return self.http(said, status=403, Content_Type="application/json")
        return None

    def _created(self, facts: Any, head: str) -> bytes:
        name = f"{facts['organization']}/{facts['name']}"
        if (refused := self._no_right(facts["organization"], head)) is not None:
            return refused
        if name in self.repos:
            return self.http(b"{}", status=409)
        private = facts.get("visibility") == "private"
        self.add(name, {".gitattributes": b"*.parquet filter=lfs\n"}, private=private)
        return self._json({"url": self.served.url(f"/datasets/{name}")})

    def _modes(self, name: str, body: bytes) -> bytes:
        files = self.repos[name].files
        told = []
        for file in json.loads(body)["files"]:
            is_large = file["size"] >= _LFS_BYTES
            there = files.get(file["path"])
            known = hashlib.sha256(there or b"").hexdigest() if is_large else blob_id(there or b"")
            mode = {"uploadMode": "lfs" if is_large else "regular", "shouldIgnore": False}
            oid = {"oid": known} if there is not None else {}
            told.append({"path": file["path"], **mode, **oid})
        return self._json({"files": told})

    def _batch(self, _: str, body: bytes) -> bytes:
        objects = json.loads(body)["objects"]
        for each in objects:
            if each["oid"] in self._objects:
                continue
            if sum(map(len, self._objects.values())) + each["size"] > self.quota:
                each["error"] = {"code": 507, "message": "Storage limit reached"}
                continue
            place = self.store.url(f"/{each['oid']}", host="localhost")
            each["actions"] = {"upload": {"href": place}}
        return self._json({"transfer": "basic", "objects": objects})

    def _sent(self, asked: Any) -> bytes:
        oid, data = asked.path.strip("/"), _body_of(asked)
        if hashlib.sha256(data).hexdigest() != oid:
            return self.http(status=400)
        self._objects[oid] = data
        return self.http()

    def _commit(self, name: str, body: bytes) -> bytes:
        repo = self.repos[name]
        head, *lines = (json.loads(line) for line in body.splitlines())
        parent = head["value"].get("parentCommit")
        if parent not in (None, commit_of(repo.files)):
            return self.http(b"{}", status=412)
        files = dict(repo.files)
        for line in lines:
            value = line["value"]
            if line["key"] == "deletedFile":
                del files[value["path"]]
            elif line["key"] == "lfsFile":
                files[value["path"]] = self._objects[value["oid"]]
            else:
                files[value["path"]] = base64.b64decode(value["content"])
        repo.files = files
        commit = commit_of(files)
        page = self.served.url(f"/datasets/{name}/commit/{commit}")
        return self._json({"commitUrl": page, "commitOid": commit})


def _body_of(asked: Any) -> bytes:
    """Read the body of a request, of which the head may hold the beginning."""
    head, _, begun = asked.head.encode("latin-1").partition(b"\r\n\r\n")
    body = bytearray(begun)
    is_chunked = b"transfer-encoding: chunked" in head.lower()
    length = re.search(rb"(?i)^content-length: (\d+)", head, re.MULTILINE)
    wanted = int(length[1]) if length else 0
    while not body.endswith(b"0\r\n\r\n") if is_chunked else len(body) < wanted:
        piece = asked.connection.recv(1 << 16)
        if not piece:
            break
        body += piece
    return _joined(bytes(body)) if is_chunked else bytes(body)


def _joined(chunks: bytes) -> bytes:
    data = b""
    while chunks:
        size, _, rest = chunks.partition(b"\r\n")
        data, chunks = data + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return data


@cache
def sha256_of(data: bytes) -> str:
    """Return what the large storage calls a file."""
    return hashlib.sha256(data).hexdigest()


class Hub(Writes):
    """A Hub of two hosts; ``repos`` may be changed while it runs.

    ``faults`` are answers that come first, by a part of the path, one for each time; ``flips`` are
    how often the second host sends a body with one byte changed, ``cuts`` with half of it.
    ``before`` hears each path before it is answered; ``hangs_up`` says of the n-th file that is
    sent to it, from 1, whether it hangs up. Of its answers of a MB and more, ``large`` tells by
    their number what befalls each: "flip", "cut", "halt" (half of it, and the rest when ``flow``
    is set), "whole" (all of the file, whatever was asked for), "503" or "403". ``at`` tells it of
    any answer by where in the file it begins and by its size; "blank" (line ends alone) as well.
    """

    def __init__(self, serve: Any) -> None:
        self.http = serve.http
        self.repos: dict[str, Repo] = {}
        self.faults: dict[str, list[bytes]] = {}
        self.flips = self.cuts = self.sent = self.halted = 0
        self.before: Callable[[str], object] = len
        self.hangs_up: Callable[[int], bool] = lambda _: False
        self.large: Callable[[int], str | None] = lambda _: None
        self.at: Callable[[int, int], str | None] = lambda _, __: None
        self.flow = threading.Event()
        self._numbers = itertools.count()
        self.served = serve(self._answer)
        self.store = serve(self._stored)
        self._objects: dict[str, bytes] = {}

    @property
    def env(self) -> dict[str, str]:
        """Return what a process has to have set to speak to this Hub."""
        endpoint = self.served.url("").rstrip("/")
        return {"HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}

    def add(self, name: str, files: Mapping[str, bytes], **more: Any) -> Repo:
        """Add a repository."""
        self.repos[name] = Repo(dict(files), **more)
        return self.repos[name]

    @property
    def asked(self) -> list[str]:
        """Return method and path of what was asked, of both hosts; queries are left out."""
        return [
            f"{asked.head.split()[0]} {asked.path.partition('?')[0]}"
            for asked in (*self.served.asked, *self.store.asked)
        ]

    def forget(self) -> None:
        """Forget what was asked."""
        self.served.asked.clear()
        self.store.asked.clear()

    def _answer(self, asked: Any) -> bytes:
        method = asked.head.split()[0]
        url = urllib.parse.urlsplit(asked.path)
        path = urllib.parse.unquote(url.path)
        self.before(path)
        for part, faults in self.faults.items():
            if part in path and faults:
                return self._bare(faults.pop(0), method)
        if method == "POST":
            return self._written(path, asked) or self.http(b"{}", status=404)
        return self._bare(self._told(url, asked.head), method)

    def _told(self, url: urllib.parse.SplitResult, head: str) -> bytes:
        path = urllib.parse.unquote(url.path)
        if path == "/api/datasets":
            return self._search(urllib.parse.parse_qs(url.query))
        if match := re.fullmatch(r"/api/datasets/([^/]+/[^/]+)(/revision/(.+))?", path):
            return self._info(match[1], match[3] or "main", head)
        if match := re.fullmatch(r"/api/datasets/([^/]+/[^/]+)/tree/([^/]+)(/.+)?", url.path):
            name, revision, folder = map(urllib.parse.unquote, match.groups(""))
            given = dict(urllib.parse.parse_qsl(url.query))
            return self._tree(name, revision, {**given, "folder": folder.strip("/")}, head)
        if match := re.fullmatch(r"/datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            return self._resolve(match[1], match[2], match[3], head)
        return self.http(b"{}", status=404)

    @staticmethod
    def _bare(answer: bytes, method: str) -> bytes:
        head, end, _ = answer.partition(b"\r\n\r\n")
        return head + end if method == "HEAD" else answer

    def _refused(self, name: str, head: str, *, contents: bool) -> bytes | None:
        repo, given = (
            self.repos.get(name),
            re.search(r"(?i)^authorization: Bearer (\S+)", head, re.M),
        )
        if given and given[1] != TOKEN:
            words = "Invalid credentials in Authorization header"
            return self.http(b"{}", status=401, X_Error_Message=words)
        if repo is None or (repo.private and not given):
            code = 404 if given else 401
            return self.http(b"{}", status=code, X_Error_Code="RepoNotFound")
        if contents and (repo.gated == "closed" or (repo.gated and not given)):
            code = 403 if given else 401
            return self.http(b"{}", status=code, X_Error_Code="GatedRepo")
        return None

    def _json(self, value: Any, **more: str) -> bytes:
        return self.http(json.dumps(value).encode(), Content_Type="application/json", **more)

    def _search(self, query: Mapping[str, list[str]]) -> bytes:
        one = {name: values[-1] for name, values in query.items()}
        words = " ".join(query.get("search", [])).lower().split()
        found = [
            facts
            for name, repo in self.repos.items()
            if all(word in name.lower() for word in words)
            and (facts := _listed(name, repo))
            and {*query.get("filter", [])} <= {*facts["tags"]}
            and one.get("author") in (None, name.partition("/")[0])
            and one.get("gated") in (None, str(bool(repo.gated)).lower())
        ]
        found.sort(key=lambda facts: facts[one.get("sort", "trendingScore")], reverse=True)
        start, size = int(one.get("cursor", 0)), min(int(one.get("limit", 1000)), _LISTED)
        more = {}
        if start + size < len(found):
            again = urllib.parse.urlencode({**query, "cursor": start + size}, doseq=True)
            more["Link"] = f'<{self.served.url(f"/api/datasets?{again}")}>; rel="next"'
        return self._json(found[start : start + size], **more)

    def _info(self, name: str, revision: str, head: str) -> bytes:
        if (refused := self._refused(name, head, contents=False)) is not None:
            return refused
        repo = self.repos[name]
        if (files := repo.tree(revision)) is None:
            return self.http(b"{}", status=404, X_Error_Code="RevisionNotFound")
        card = _HEAD.match(files.get("README.md", b"").decode())
        facts = {
            "id": name,
            "sha": commit_of(files),
            "private": repo.private,
            "gated": repo.gated and "manual",
            "disabled": False,
            "lastModified": "2026-01-02T03:04:05.000Z",
            "downloads": 10,
            "likes": 1,
            "tags": [],
            "siblings": [{"rfilename": path} for path in files],
            "cardData": yaml.safe_load(card[1]) if card else None,
        }
        return self._json({**facts, **repo.facts})

    def _tree(self, name: str, revision: str, query: Mapping[str, str], head: str) -> bytes:
        if (refused := self._refused(name, head, contents=False)) is not None:
            return refused
        if (files := self.repos[name].tree(revision)) is None:
            return self.http(b"{}", status=404, X_Error_Code="RevisionNotFound")
        folders = {str(parent) for path in files for parent in PurePosixPath(path).parents} - {"."}
        entries: list[dict[str, Any]] = [
            {"type": "directory", "path": folder, "oid": "0" * 40, "size": 0}
            for folder in sorted(folders)
        ]
        for path, data in files.items():
            entry = {"type": "file", "path": path, "size": len(data), "oid": blob_id(data)}
            if len(data) >= _LFS_BYTES:
                oid = sha256_of(data)
                entry["lfs"] = {"oid": oid, "size": len(data), "pointerSize": 130}
            entries.append(entry)
        folder, is_deep = query["folder"], query.get("recursive") == "true"
        if folder and folder not in folders:
            return self.http(b"{}", status=404, X_Error_Code="EntryNotFound")
        below = f"{folder}/" if folder else ""
        entries = [
            entry
            for entry in entries
            if entry["path"].startswith(below)
            and (is_deep or "/" not in entry["path"].removeprefix(below))
        ]
        start = int(query.get("cursor", 0))
        more = {}
        if start + _PAGE < len(entries):
            place = f"{urllib.parse.quote(revision, safe='')}/{folder}".rstrip("/")
            deep = str(is_deep).lower()
            path = f"/api/datasets/{name}/tree/{place}?recursive={deep}&cursor={start + _PAGE}"
            more["Link"] = f'<{self.served.url(path)}>; rel="next"'
        return self._json(entries[start : start + _PAGE], **more)

    def _resolve(self, name: str, revision: str, path: str, head: str) -> bytes:
        if (refused := self._refused(name, head, contents=True)) is not None:
            return refused
        files = self.repos[name].tree(revision)
        if files is None:
            return self.http(b"{}", status=404, X_Error_Code="RevisionNotFound")
        if path not in files:
            return self.http(b"{}", status=404, X_Error_Code="EntryNotFound")
        data = files[path]
        commit = {"X_Repo_Commit": commit_of(files)}
        if len(data) < _LFS_BYTES:
            return self._body(data, head, ETag=f'"{blob_id(data)}"', **commit)
        oid = sha256_of(data)
        self._objects[oid] = data
        linked = {"X_Linked_Etag": f'"{oid}"', "X_Linked_Size": str(len(data)), **commit}
        place = self.store.url(f"/{oid}", host="localhost")
        return self.http(status=302, Location=place, **linked)

    def _stored(self, asked: Any) -> bytes:
        if asked.head.startswith("PUT"):
            self.sent += 1
            return None if self.hangs_up(self.sent) else self._sent(asked)  # type: ignore[return-value]
        data = self._objects.get(asked.path.strip("/"))
        if data is None:
            return self.http(status=404)
        what = self._fate(self._body(data, asked.head))
        if what in ("403", "503"):
            return self.http(status=int(what))
        answer = self.http(data) if what == "whole" else self._body(data, asked.head)
        if what == "flip":
            answer = answer[:-2] + bytes([answer[-2] ^ 1]) + answer[-1:]
        if what == "blank":
            head, end, body = answer.partition(b"\r\n\r\n")
            answer = head + end + b"\n" * len(body)
        if what in ("cut", "halt"):
            half = len(answer) // 2
            asked.connection.sendall(answer[:half])
            self.halted += what == "halt"
            if what == "halt" and self.flow.wait(30):
                asked.connection.sendall(answer[half:])
            return None  # type: ignore[return-value]
        return answer

    def _fate(self, answer: bytes) -> str | None:
        if self.flips:
            self.flips -= 1
            return "flip"
        if self.cuts:
            self.cuts -= 1
            return "cut"
        what = self.large(next(self._numbers)) if len(answer) >= _LARGE_BYTES else None
        place = re.search(rb"Content-Range: bytes (\d+)-", answer[:1000])
        return what or self.at(int(place[1]) if place else 0, len(answer))

    def _body(self, data: bytes, head: str, **more: str) -> bytes:
        asked = re.search(r"(?i)^range: bytes=(\d+)-(\d*)", head, re.MULTILINE)
        if asked is None:
            return self.http(data, Accept_Ranges="bytes", **more)
        start, end = int(asked[1]), int(asked[2] or len(data) - 1) + 1
        span = f"bytes {start}-{min(end, len(data)) - 1}/{len(data)}"
        return self.http(data[start:end], status=206, Content_Range=span, **more)


@pytest.fixture
def hub(serve: Any) -> Hub:
    """Start a Hub without repositories."""
    return Hub(serve)


@pytest.fixture
def hub_cli(hub: Hub, cli: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """Run ``vlm-datakit`` as a process that takes this Hub for the Hub, its cache in tmp_path."""

    def run(*args: object, env: Mapping[str, str] | None = None, **more: Any) -> Any:
        home = {"HF_HOME": str(tmp_path / "hf-home"), **hub.env}
        return cli(args, env={**home, **(env or {})}, **more)

    return run
