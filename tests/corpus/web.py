"""The servers of a group that fetches: one that may be asked, and one that nobody may reach."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from ..serving import Asked, Served
from .cases import Accepted, Built, Case, Reason

KEY = "k3y-t0-a-bucket"
#: Behind every URL, so that whatever becomes of it nobody sees a key.
QUERY = f"?token={KEY}"
NOTHING = Built(None)
Answer = Callable[[Asked], bytes | None]


@dataclass(frozen=True, slots=True)
class Page:
    """A case whose row names a URL, and what the server says when it is asked for it.

    ``{port}``, ``{trap}`` and ``{closed}`` in a URL or a redirect are the ports of the server,
    of the one that must not be reached, and of nobody. ``visits`` is how often a run
    asks, where that is sure: a kept connection that breaks is replaced, and asked again.
    """

    name: str
    outcome: Accepted | Reason
    answer: bytes | Answer = b""
    built: Built = NOTHING
    visits: int | None = None
    url: str = ""

    @property
    def path(self) -> str:
        """Where on the server it lies."""
        return "/" + self.name.replace(" ", "-")

    def case(self) -> Case:
        """Return the case; the class is the name's first word."""
        url = self.url or f"http://127.0.0.1:{{port}}{self.path}{QUERY}"
        built = Built(url, self.built.data, self.built.pixels, self.built.off_by)
        return Case(self.name, self.name.split()[0], self.outcome, lambda _: built, (KEY,))


class Web:
    """The servers, started; closed with the block."""

    def __init__(self, pages: Mapping[str, bytes | Answer], visits: Mapping[str, int]) -> None:
        self._pages, self._visits = pages, visits
        self._closed = socket.socket()
        self._closed.bind(("127.0.0.1", 0))
        self._asked, self._trap = Served(self._answer, _plain), Served({}, _plain)
        self._ports = {
            "{port}": self._asked.port,
            "{trap}": self._trap.port,
            "{closed}": self._closed.getsockname()[1],
        }

    def __enter__(self) -> Web:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._closed.close()
        self._asked.close()
        self._trap.close()

    def spelled(self, value: Any) -> Any:
        """Put ports into the text of a row or an argument."""
        for name, port in self._ports.items() if isinstance(value, str) else ():
            value = value.replace(name, str(port))
        return value

    def faults(self, runs: int) -> list[str]:
        """Say who was asked too often, too seldom, or at all."""
        counts = self._asked.counts()
        asked = {path.partition("?")[0]: 0 for path in counts}
        for path, count in counts.items():
            asked[path.partition("?")[0]] += count
        found = [
            f"{path}: asked for {asked.get(path, 0)} times in {runs} runs, not {runs * visits}"
            for path, visits in self._visits.items()
            if asked.get(path, 0) != runs * visits
        ]
        reached = self._trap.connections
        return [*found, *([f"{reached} connections where none may be"] if reached else [])]

    def _answer(self, asked: Asked) -> bytes | None:
        answer = self._pages.get(asked.path.partition("?")[0], b"HTTP/1.1 404 none\r\n\r\n")
        found = answer if isinstance(answer, bytes) else answer(asked)
        if found and found.startswith(b"HTTP/1.1 30"):
            found = self.spelled(found.decode("latin-1")).encode("latin-1")
        return found


def _plain(connection: socket.socket) -> socket.socket:
    return connection
