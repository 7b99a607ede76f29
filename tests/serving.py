"""A web server on loopback that says, byte for byte, what a test tells it to.

A plug-in of pytest (see conftest.py); its fixture `serve` starts as many as a test wants.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pytest

_HEAD_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: its path with the query, its whole head, and the connection it came on."""

    path: str
    head: str
    connection: socket.socket


#: Returns what to send, or sends itself and returns None; then the connection is closed.
Answer = Callable[[Asked], bytes | None]
Wrap = Callable[[socket.socket], socket.socket]


class Served:
    """A running server: where it is, what it was asked, and by how many at once."""

    def __init__(self, answers: Answer | Mapping[str, Answer | bytes], wrap: Wrap) -> None:
        self._answers, self._wrap = answers, wrap
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self.host = f"127.0.0.1:{self.port}"
        self.asked: list[Asked] = []
        self.most_at_once = 0
        self._now = self.connections = 0
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def url(self, path: str = "/a.png", host: str = "127.0.0.1") -> str:
        """Return the URL of a path here, the host spelled as wanted."""
        return f"http://{host}:{self.port}{path}"

    @property
    def paths(self) -> list[str]:
        """The paths asked for, in order."""
        return [asked.path for asked in self.asked]

    def counts(self) -> Counter[str]:
        """Return how often each path was asked for."""
        return Counter(self.paths)

    def close(self) -> None:
        """Stop, and hang up on everybody."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                self._open.add(connection)
                self._threads.append(threading.Thread(target=self._talk, args=[connection]))
                self._threads[-1].start()

    def _talk(self, plain: socket.socket) -> None:
        with plain, contextlib.suppress(OSError), self._wrap(plain) as connection:
            while (asked := _read_head(connection)) is not None:
                with self._counted(asked):
                    answer = self._answer(asked)
                if answer is None:
                    break
                connection.sendall(answer)
        with self._lock:
            self._open.discard(plain)

    @contextlib.contextmanager
    def _counted(self, asked: Asked) -> Iterator[None]:
        with self._lock:
            self.asked.append(asked)
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            yield
        finally:
            with self._lock:
                self._now -= 1

    def _answer(self, asked: Asked) -> bytes | None:
        if not isinstance(self._answers, Mapping):
            return self._answers(asked)
        answer = self._answers.get(asked.path, http(b"", status=404))
        return answer if isinstance(answer, bytes) else answer(asked)


def _read_head(connection: socket.socket) -> Asked | None:
    head = b""
    while b"\r\n\r\n" not in head:
        piece = connection.recv(_HEAD_BYTES)
        if not piece:
            return None
        head += piece
    return Asked(head.split()[1].decode(), head.decode("latin-1"), connection)


def http(body: bytes = b"", *, status: int = 200, length: int | None = None, **more: str) -> bytes:
    """Return a whole answer; ``length`` lies about its size, ``-1`` leaves it out.

    ``more`` are headers: ``Content_Encoding="gzip"``.
    """
    lines = [f"HTTP/1.1 {status} as told"]
    if length != -1:
        lines.append(f"Content-Length: {len(body) if length is None else length}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in more.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def redirect(location: str, status: int = 302) -> bytes:
    """Return an answer that leads elsewhere."""
    return http(status=status, Location=location)


def dripping(answer: bytes, every_s: float) -> Answer:
    """Return an answer that comes one byte at a time."""

    def drip(asked: Asked) -> None:
        for byte in answer:
            asked.connection.sendall(bytes([byte]))
            time.sleep(every_s)

    return drip


def reset(asked: Asked) -> None:
    """Hang up so that the other side sees an error and no end."""
    asked.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Serving:
    """What the fixture `serve` gives: called, it starts a server; the rest makes answers."""

    http = staticmethod(http)
    redirect = staticmethod(redirect)
    dripping = staticmethod(dripping)
    reset = staticmethod(reset)

    def __init__(self) -> None:
        self.servers: list[Served] = []

    def __call__(
        self, answers: Answer | Mapping[str, Answer | bytes], wrap: Wrap = lambda plain: plain
    ) -> Served:
        """Start a server with an answer for each path, or one that makes them; ``wrap`` is TLS."""
        self.servers.append(Served(answers, wrap))
        return self.servers[-1]


@pytest.fixture
def serve() -> Iterator[Serving]:
    """Start servers: ``serve({"/a.png": serve.http(png)}).url("/a.png")``."""
    serving = Serving()
    yield serving
    for server in serving.servers:
        server.close()
