"""A stream that comes once: its first lines can be looked at without being lost."""

from __future__ import annotations

import io
import select
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from mmap import mmap
from typing import IO, TYPE_CHECKING, Any, Protocol

from vlm_datakit.plan import MIB

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_LONGEST = 4  # times the look-ahead: 64 MiB, as `Limits.max_line_bytes`
_AHEAD_BYTES, _LEAST_ROOM = 8 * MIB, 64 * 1024


class Lines(Protocol):
    """What the reader needs of a stream: a binary file and `Pipe` both have it."""

    def readline(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, to the end of the line at most; empty at the end."""


def standard_input() -> Pipe:
    """Return what comes in on file descriptor 0, read by a thread while rows are converted.

    For programs that have read nothing of it yet: what `sys.stdin` holds is passed by.
    """
    raw = io.FileIO(0, closefd=False)
    _widen(raw)
    return Pipe(io.BufferedReader(ReadAhead(raw, _AHEAD_BYTES), MIB))


def _widen(raw: io.FileIO) -> None:
    """Let a pipe hold a MiB where the system allows it.

    The thread gets the interpreter's lock every 5 ms while rows are converted: at 64 KiB a time,
    which a pipe holds by itself, it would be slower than no thread (docs/log.md).
    """
    with suppress(ImportError, AttributeError, OSError):  # not Linux, no pipe, not allowed
        import fcntl

        fcntl.fcntl(raw, fcntl.F_SETPIPE_SZ, MIB)


class ReadAhead(io.RawIOBase):
    """What a thread reads of a stream while nobody asks for it, passed on as it comes.

    Nothing waits for a full buffer. An error of reading is raised in its place. The thread ends
    with the stream, and never keeps a program alive. It reads into one ring of memory: pieces of
    all sizes, as pipes bring them, leave a heap in pieces, which grew by 40 MB a GiB.

    Args:
        raw: An unbuffered stream.
        most_bytes: How much is read ahead at most.
    """

    def __init__(self, raw: io.FileIO, most_bytes: int) -> None:
        self._raw, self._size = raw, most_bytes
        self._least_room = min(_LEAST_ROOM, most_bytes // 2)
        self._ring = memoryview(mmap(-1, most_bytes))
        self._come = self._gone = 0  # bytes, of the stream
        self._end: OSError | EOFError | None = None
        self._changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def readable(self) -> bool:
        """Say that this can be read, as `io.BufferedReader` asks."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill a buffer with what is there, after a wait only if nothing is; 0 at the end."""
        into = memoryview(buffer).cast("B")
        with self._changed:
            self._changed.wait_for(lambda: self._come > self._gone or self._end)
            if self._come == self._gone and isinstance(self._end, OSError):
                raise self._end
            place = self._place(self._gone, min(len(into), self._come - self._gone))
        count: int = place.stop - place.start
        into[:count] = self._ring[place]
        with self._changed:
            self._gone += count
            self._changed.notify()
        return count

    def _place(self, offset: int, count: int) -> slice:
        """Return where bytes of the stream stand, up to the end of the ring."""
        start = offset % self._size
        return slice(start, min(start + count, self._size))

    def _read(self) -> None:
        while self._end is None:
            with self._changed:
                self._changed.wait_for(lambda: self._room() >= self._least_room)
                place = self._place(self._come, min(self._room(), MIB))
            count = self._read_into(self._ring[place])
            with self._changed:
                self._come += count
                self._changed.notify()

    def _room(self) -> int:
        return self._size - (self._come - self._gone)

    def _read_into(self, memory: memoryview) -> int:
        """Read what there is; nothing is read at the end, or after an error."""
        count: int | None = None
        try:
            while (count := self._raw.readinto(memory)) is None:  # others made it not wait
                select.select([self._raw], [], [])
        except OSError as error:
            self._end = error
        else:
            self._end = None if count else EOFError()
        return count or 0


class Pipe:
    """Standard input with a look-ahead.

    Args:
        stream: A binary stream with ``readline``, and ``read1`` for sources that are no lines;
            never read to its end at once.

    Attributes:
        offset: How many bytes were read.
        lines: How many line ends stood in them.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._ahead: deque[bytes] = deque()
        self.offset = self.lines = 0

    def readline(self, size: int, /) -> bytes:
        """Return the next piece of a line, at most ``size`` bytes of it."""
        line = self._readline(size)
        self.offset += len(line)
        self.lines += line.endswith(b"\n")
        return line

    def read1(self, size: int, /) -> bytes:
        """Return what comes next, at most ``size`` bytes of it: of sources that are no lines."""
        data: bytes
        if self._ahead:
            data = self._ahead.popleft()
            if len(data) > size:
                self._ahead.appendleft(data[size:])
                data = data[:size]
        else:
            data = self._stream.read1(size)
        self.offset += len(data)
        return data

    def tell(self) -> int:
        """Return how many bytes were read."""
        return self.offset

    def pass_through(self, change: Callable[[Pipe], IO[bytes] | Lines]) -> None:
        """Give from now on what a function makes of the stream, such as its unpacked bytes.

        Args:
            change: Gets the stream as it is, nothing of it read.
        """
        as_it_is = Pipe(self._stream)
        as_it_is._ahead, self._ahead = self._ahead, deque()
        self._stream = change(as_it_is)

    def _readline(self, size: int) -> bytes:
        if not self._ahead:
            line: bytes = self._stream.readline(size)
            return line
        line = self._ahead.popleft()
        if len(line) > size:
            self._ahead.appendleft(line[size:])
            return line[:size]
        if len(line) < size and not line.endswith(b"\n"):  # `peek` took the line in pieces
            line += self._readline(size - len(line))
        return line

    def peek(self, max_lines: int, max_bytes: int) -> bytes:
        """Return the first lines, at most that many and about that many bytes, still unread."""
        size = sum(map(len, self._ahead))
        while len(self._ahead) < max_lines and size < max_bytes:
            piece = self._stream.readline(max_bytes)
            if not piece:
                break
            self._ahead.append(piece)
            size += len(piece)
        is_cut = self._ahead and not self._ahead[-1].endswith(b"\n")
        if is_cut and (rest := self._stream.readline(_LONGEST * max_bytes)):
            self._ahead.append(rest)  # the line in hand, whole
        return b"".join(self._ahead)
