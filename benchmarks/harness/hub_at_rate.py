"""A Hub on loopback whose every answer takes 20 ms to begin and then comes at 25 MB/s.

    python hub_at_rate.py FOLDER

FOLDER/OWNER/NAME/... are the files of data sets. Prints a line of JSON, the address, when it is
ready. Files lie on a second port, behind a redirect, as large files of the real one do. GET
/asked tells how many requests and bytes there were since it was asked last.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

LATENCY_S = 0.020
BYTES_A_SECOND = 25_000_000
SLICE_BYTES = 128 * 1024
COMMIT = "c" * 40
_NAME = "(?P<name>[^/]+/[^/]+)"
#: Which method answers which path.
ROUTES = (
    (r"/store/(?P<digest>\w+)", "stored"),
    (rf"/datasets/{_NAME}/resolve/[^/]+/(?P<path>.+)", "resolved"),
    (rf"/api/datasets/{_NAME}(?:/revision/[^/]+)?", "info"),
    (rf"/api/datasets/{_NAME}/tree/[^/]+(?:/(?P<under>.+))?", "tree"),
    (rf"/api/datasets/{_NAME}/paths-info/[^/]+", "paths"),
)

Query = dict[str, list[str]]


class Hub:
    """The data sets below a folder."""

    def __init__(self, root: Path) -> None:
        self.sets: dict[str, dict[str, tuple[Path, str]]] = {}
        for path in sorted(path for path in root.glob("*/*/**/*") if path.is_file()):
            owner, name, *rest = path.relative_to(root).parts
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            self.sets.setdefault(f"{owner}/{name}", {})["/".join(rest)] = (path, digest)
        self.by_digest = {
            digest: path for files in self.sets.values() for path, digest in files.values()
        }
        self.requests = self.sent = 0
        self.lock = threading.Lock()
        self.store = ""

    def info(self, name: str) -> dict[str, Any]:
        """Return what the Hub tells of a data set."""
        siblings = [{"rfilename": path} for path in self.sets[name]]
        facts = {"id": name, "sha": COMMIT, "private": False, "gated": False, "disabled": False}
        return {**facts, "downloads": 0, "likes": 0, "tags": [], "siblings": siblings}

    def entries(self, name: str) -> list[dict[str, Any]]:
        """Return files and folders of a data set."""
        found: list[dict[str, Any]] = []
        for path, (place, digest) in self.sets[name].items():
            lfs = {"oid": digest, "size": place.stat().st_size, "pointerSize": 130}
            about = {"path": path, "size": lfs["size"], "oid": "0" * 40, "lfs": lfs}
            found.append({"type": "file", **about})
        folders = {path.rpartition("/")[0] for path in self.sets[name]} - {""}
        about = {"type": "directory", "size": 0, "oid": "0" * 40}
        return [*found, *({**about, "path": folder} for folder in sorted(folders))]

    def below(self, name: str, under: str, *, is_deep: bool) -> list[dict[str, Any]] | None:
        """Return what lies below a folder; None if nothing does."""
        found = [entry for entry in self.entries(name) if entry["path"].startswith(under)]
        return [e for e in found if is_deep or "/" not in e["path"][len(under) :]] or None


class Answers(BaseHTTPRequestHandler):
    """Answers of both ports."""

    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if path == "/asked":
            with self.hub.lock:
                told = {"requests": self.hub.requests, "bytes": self.hub.sent}
                self.hub.requests = self.hub.sent = 0
            self.answer(json.dumps(told).encode())
            return
        with self.hub.lock:
            self.hub.requests += 1
        time.sleep(LATENCY_S)
        for pattern, method in ROUTES:
            if match := re.fullmatch(pattern, urllib.parse.unquote(path)):
                getattr(self, method)(urllib.parse.parse_qs(query), **match.groupdict())
                return
        self.json(None)

    def stored(self, _: Query, digest: str) -> None:
        """Send what lies on the second port."""
        self.file(self.hub.by_digest[digest])

    def info(self, _: Query, name: str) -> None:
        """Tell of a data set."""
        self.json(self.hub.info(name) if name in self.hub.sets else None)

    def tree(self, query: Query, name: str, under: str | None) -> None:
        """List a folder."""
        is_deep = query.get("recursive") in (["true"], ["True"], ["1"])
        self.json(self.hub.below(name, f"{under}/" if under else "", is_deep=is_deep))

    def paths(self, query: Query, name: str) -> None:
        """Tell of some files."""
        self.json([entry for entry in self.hub.entries(name) if entry["path"] in query["paths"]])

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
        is_json = asked.startswith("{")
        paths = json.loads(asked)["paths"] if is_json else urllib.parse.parse_qs(asked)["paths"]
        self.path += "?" + urllib.parse.urlencode({"paths": paths}, doseq=True)
        self.do_GET()

    def resolved(self, _: Query, name: str, path: str) -> None:
        """Lead to where a file lies."""
        found = self.hub.sets.get(name, {}).get(path)
        if found is None:
            return self.answer(b"{}", 404, {"X-Error-Code": "EntryNotFound"})
        more = {
            "Location": f"{self.hub.store}/store/{found[1]}",
            "X-Linked-Etag": f'"{found[1]}"',
            "X-Linked-Size": str(found[0].stat().st_size),
            "X-Repo-Commit": COMMIT,
        }
        return self.answer(b"", 302, more)

    def json(self, value: object) -> None:
        """Answer with JSON; with nothing there if it is None."""
        missing = {"X-Error-Code": "EntryNotFound"} if value is None else {}
        body = json.dumps({} if value is None else value).encode()
        self.answer(body, 404 if value is None else 200, missing)

    def answer(self, body: bytes, status: int = 200, more: dict[str, str] | None = None) -> None:
        """Answer at once."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(more or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def file(self, path: Path) -> None:
        """Send a file, or a range of it, as fast as a token bucket lets it."""
        size = path.stat().st_size
        span = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        start = int(span[1]) if span else 0
        end = min(int(span[2]) + 1 if span and span[2] else size, size)
        self.send_response(206 if span else 200)
        self.send_header("Content-Length", str(end - start))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{path.name}"')
        if span:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        self.end_headers()
        if self.command == "HEAD":
            return
        begun, sent = time.monotonic(), 0
        with path.open("rb") as stream:
            while sent < end - start:
                count = min(SLICE_BYTES, end - start - sent)
                self.connection.sendfile(stream, start + sent, count)
                sent += count
                with self.hub.lock:
                    self.hub.sent += count
                time.sleep(max(0.0, begun + sent / BYTES_A_SECOND - time.monotonic()))


def main() -> None:
    Answers.hub = hub = Hub(Path(sys.argv[1]))
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), Answers) for _ in range(2)]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    hub.store = f"http://localhost:{servers[1].server_port}"
    print(json.dumps({"address": f"http://127.0.0.1:{servers[0].server_port}"}), flush=True)
    sys.stdin.read()  # until whoever started this one closes it


if __name__ == "__main__":
    main()
