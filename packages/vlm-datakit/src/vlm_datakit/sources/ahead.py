"""Lines taken out of a stream before it is known who is to read them."""

from __future__ import annotations

from collections import deque

from vlm_datakit.sources.jsonl import Span
from vlm_datakit.sources.pipe import Lines


class Ahead:
    r"""A stream with its next lines in hand: they are looked at together, or read one by one.

    Args:
        stream: Binary lines, already positioned.
        start: At which byte that is.

    Attributes:
        offset: Of the first byte that nobody has read or dropped.

    Example:
        >>> import io
        >>> ahead = Ahead(io.BytesIO(b"a\nbb\nc"), 0)
        >>> ahead.look(Span("-"), 4)
        [b'a\n', b'bb\n']
        >>> ahead.drop()
        >>> ahead.look(Span("-"), 4), ahead.offset, ahead.readline(9)
        ([b'c'], 5, b'c')
    """

    def __init__(self, stream: Lines, start: int) -> None:
        self._stream, self.offset = stream, start
        self._held: deque[bytes] = deque()
        self._error: Exception | None = None

    def look(self, span: Span, most_bytes: int) -> list[bytes]:
        """Take lines into the hand, which is empty, and return them; none at the end.

        They begin in the span. The last one may be a piece: of a line that is longer than
        ``most_bytes``, or than the span allows, or without an end. What reading raises comes
        behind the lines before it.
        """
        self._raise_what_waits()
        size, wanted = 0, most_bytes
        if span.end is not None:
            wanted = min(wanted, span.end - self.offset)
        at_once = min(most_bytes, span.max_line_bytes + 1)
        while size < wanted:
            try:
                line = self._stream.readline(at_once)
            except Exception as error:
                self._error = error
                break
            if line:
                self._held.append(line)
                size += len(line)
            if not line.endswith(b"\n"):
                break
        if not self._held:  # nobody would ask again
            self._raise_what_waits()
        return [*self._held]

    def _raise_what_waits(self) -> None:
        if self._error is not None:
            raise self._error

    def drop(self) -> None:
        """Let go of the lines in hand: they were read."""
        self.offset += sum(map(len, self._held))
        self._held.clear()

    def readline(self, size: int, /) -> bytes:
        """Return the next line, of which no more than ``size`` bytes are in hand."""
        line = self._held.popleft() if self._held else b""
        if not line.endswith(b"\n") and len(line) < size:
            self._raise_what_waits()
            line += self._stream.readline(size - len(line))
        self.offset += len(line)
        return line

    def rest(self) -> Lines:
        """Return the stream itself, for the lines behind those that were in hand."""
        self._raise_what_waits()
        return self._stream
