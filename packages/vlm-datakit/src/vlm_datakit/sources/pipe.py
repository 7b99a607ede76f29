"""A stream that comes once: its first lines can be looked at without being lost."""

from __future__ import annotations

from collections import deque
from typing import Protocol

from vlm_datakit.plan import MIB

_LONGEST = 4  # times the look-ahead: 64 MiB, as `Limits.max_line_bytes`


class Lines(Protocol):
    """What the reader needs of a stream: a binary file and `Pipe` both have it."""

    def readline(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, to the end of the line at most; empty at the end."""


def standard_input() -> Pipe:
    """Return what comes in on file descriptor 0, read a MiB at a time.

    For programs that have read nothing of it yet: what `sys.stdin` holds is passed by.
    """
    return Pipe(open(0, "rb", buffering=MIB, closefd=False))


class Pipe:
    """Standard input with a look-ahead.

    Args:
        stream: A binary stream; read line by line, never to its end at once.
    """

    def __init__(self, stream: Lines) -> None:
        self._stream = stream
        self._ahead: deque[bytes] = deque()

    def readline(self, size: int, /) -> bytes:
        """Return the next piece of a line, at most ``size`` bytes of it."""
        if not self._ahead:
            return self._stream.readline(size)
        line = self._ahead.popleft()
        if len(line) > size:
            self._ahead.appendleft(line[size:])
            return line[:size]
        if len(line) < size and not line.endswith(b"\n"):  # `peek` took the line in pieces
            line += self.readline(size - len(line))
        return line

    def peek(self, max_lines: int, max_bytes: int) -> bytes:
        """Return the first lines, at most that many and about that many bytes, still unread."""
        while len(self._ahead) < max_lines and sum(map(len, self._ahead)) < max_bytes:
            piece = self._stream.readline(max_bytes)
            if not piece:
                break
            self._ahead.append(piece)
        is_cut = self._ahead and not self._ahead[-1].endswith(b"\n")
        if is_cut and (rest := self._stream.readline(_LONGEST * max_bytes)):
            self._ahead.append(rest)  # the line in hand, whole
        return b"".join(self._ahead)
