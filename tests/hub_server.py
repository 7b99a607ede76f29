"""A Hub on loopback: repositories over the protocol that huggingface_hub speaks.

It answers what the client asks for (info, tree in pages, resolve with HEAD and ranges, search),
sends large files from a second host, as the real one does, and fails as it is told to. A plug-in of
pytest (see conftest.py), whose fixture ``hub`` starts one.
"""

from __future__ import annotations

import hashlib
import json
import re
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

TOKEN = "hf_" + "t" * 34
_LFS_BYTES = 4096  # files of so many go to the second host
_PAGE = 3  # entries of a tree in one answer
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
    text = json.dumps({path: hashlib.sha1(data).hexdigest() for path, data in files.items()})
    return hashlib.sha1(text.encode()).hexdigest()


def blob_id(data: bytes) -> str:
    """Return what git calls a file."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Hub:
    """A Hub of two hosts; ``repos`` may be changed while it runs.

    ``faults`` are answers that come first, by a part of the path, one for each time; ``flips`` are
    how often the second host sends a body with one byte changed, ``cuts`` with half of it.
    ``before`` hears each path before it is answered.
    """

    def __init__(self, serve: Any) -> None:
        self.http = serve.http
        self.repos: dict[str, Repo] = {}
        self.faults: dict[str, list[bytes]] = {}
        self.flips = self.cuts = 0
        self.before: Callable[[str], object] = len
        self.served = serve(self._answer)
        self.store = serve(self._stored)
        self._objects: dict[str, bytes] = {}

    @property
    def env(self) -> dict[str, str]:
        """Return what a process has to have set to speak to this Hub."""
        return {"HF_ENDPOINT": self.served.url("").rstrip("/"), "HF_HUB_OFFLINE": "0"}

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
        query = dict(urllib.parse.parse_qsl(url.query))
        self.before(path)
        for part, faults in self.faults.items():
            if part in path and faults:
                return self._bare(faults.pop(0), method)
        if path == "/api/datasets":
            return self._search(query)
        if match := re.fullmatch(r"/api/datasets/([^/]+/[^/]+)(/revision/(.+))?", path):
            return self._info(match[1], match[3] or "main", asked.head)
        if match := re.fullmatch(r"/api/datasets/([^/]+/[^/]+)/tree/([^/]+)(/.+)?", url.path):
            name, revision, folder = map(urllib.parse.unquote, match.groups(""))
            return self._tree(name, revision, {**query, "folder": folder.strip("/")}, asked.head)
        if match := re.fullmatch(r"/datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            answer = self._resolve(match[1], match[2], match[3], asked.head)
            return self._bare(answer, method)
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

    def _search(self, query: Mapping[str, str]) -> bytes:
        wanted, author = query.get("search", "").lower(), query.get("author")
        found = [
            {"id": name, "likes": 1, "downloads": 10, "tags": [], **repo.facts}
            for name, repo in self.repos.items()
            if wanted in name.lower() and (author is None or name.startswith(f"{author}/"))
        ]
        return self._json(found[: int(query.get("limit", 1000))])

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
                oid = hashlib.sha256(data).hexdigest()
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
        oid = hashlib.sha256(data).hexdigest()
        self._objects[oid] = data
        linked = {"X_Linked_Etag": f'"{oid}"', "X_Linked_Size": str(len(data)), **commit}
        place = self.store.url(f"/{oid}", host="localhost")
        return self.http(status=302, Location=place, **linked)

    def _stored(self, asked: Any) -> bytes:
        data = self._objects.get(asked.path.strip("/"))
        if data is None:
            return self.http(status=404)
        if self.flips:
            self.flips -= 1
            data = data[:-2] + bytes([data[-2] ^ 1]) + data[-1:]
        answer = self._body(data, asked.head)
        if self.cuts:
            self.cuts -= 1
            asked.connection.sendall(answer[: len(answer) - len(data) // 2])
            return None  # type: ignore[return-value]
        return answer

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
