"""How much of each file the first rows of its split are, for a run that is limited to them.

Told from the input alone, by reading as many rows as are wanted; so every process and every rerun
has the same rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import IO, TYPE_CHECKING, Any

from vlm_datakit.conversation import Rejected, Row
from vlm_datakit.errors import UsageError
from vlm_datakit.hub.names import pinned
from vlm_datakit.plan import LINE_KINDS, MIB, SourceFile
from vlm_datakit.sources.jsonl import Span
from vlm_datakit.sources.kinds import read
from vlm_datakit.sources.opening import PIECE_BYTES, open_source
from vlm_datakit.sources.parquet import row_runs
from vlm_datakit.sources.pipe import Lines, Pipe

if TYPE_CHECKING:
    from vlm_datakit.hub.download import Told

ROW_GROUPS = frozenset({"parquet", "metadata-parquet"})
#: Asked for at once, of a file of the Hub that is not wanted whole.
LOOK_BYTES = 2 * MIB
_WHOLE_BYTES = 16 * MIB  # up to here it is downloaded, and held to its digest
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Head:
    """The rows of a file that are wanted: all, or the first ``rows``.

    Of a file of lines these end at the byte ``end``. ``looks`` says that they are so little of a
    file on the Hub that only ranges of it are fetched, which are held to no digest; ``size_bytes``
    is about how much that is.
    """

    file: SourceFile
    rows: int | None = None
    end: int | None = None
    looks: bool = False
    size_bytes: int = 0

    @property
    def piece_bytes(self) -> int:
        """Return how much of the file is asked for at once."""
        return LOOK_BYTES if self.looks else PIECE_BYTES


def heads(files: Sequence[SourceFile], row_limit: int | None) -> list[Head]:
    """Return what is wanted of each file, in order; files of which nothing is are left out.

    Args:
        files: Of a plan.
        row_limit: How many rows of each split; None: all.

    Raises:
        UsageError: if standard input shares its split with a file.
        SourceError, RemoteError: if a file cannot be read.
    """
    if row_limit is None:
        return [Head(file) for file in files]
    left = dict.fromkeys([file.split for file in files], row_limit)
    last = {file.split: file for file in files}
    found = []
    for file in files:
        if file.is_pipe and sum(other.split == file.split for other in files) > 1:
            raise UsageError("--limit counts the rows of a split: give standard input its own")
        if not left[file.split]:
            continue
        head, rows = _head(file, left[file.split], is_last=last[file.split] is file)
        left[file.split] -= rows
        found.append(head)
    return found


def may_look(file: SourceFile) -> bool:
    """Whether a few rows of a file are worth ranges of it: a large one on the Hub.

    It has to be one whose first rows are told without the rest: lines and Parquet.
    """
    is_apt = file.is_lines or file.kind in ROW_GROUPS
    return is_apt and pinned(file.path) is not None and (file.size_bytes or 0) > _WHOLE_BYTES


def tell_looks(found: Sequence[Head], told: Told | None) -> None:
    """Tell who hears of downloads of which files only the head is fetched."""
    for head in found:
        if head.looks and told is not None:
            told(f"the head of {head.file.name}, held to no digest:", 0, head.size_bytes)


def whole_files(found: Sequence[Head]) -> list[SourceFile]:
    """Return the files that are wanted whole, as far as downloading goes."""
    return [head.file for head in found if not head.looks]


@contextmanager
def open_head(head: Head, pipe: Pipe | None = None) -> Iterator[IO[bytes] | Pipe]:
    """Open what is wanted of a file; of lines it ends with the last row that is."""
    file = head.file
    with nullcontext(pipe) if pipe else open_source(file, piece_bytes=head.piece_bytes) as stream:
        is_cut = head.rows is not None and file.kind in LINE_KINDS
        yield FirstLines(stream, head.rows or 0) if is_cut else stream  # type: ignore[misc]


def rows_of(head: Head, stream: Any, span: Span) -> Iterator[Row | Rejected]:
    """Read the rows that are wanted of a stream that `open_head` opened."""
    rows = read(head.file, stream, span)
    return rows if head.rows is None else islice(rows, head.rows)


class FirstLines:
    r"""The first rows of a stream of lines, and nothing behind them; blank lines are no rows.

    Example:
        >>> import io
        >>> first = FirstLines(io.BytesIO(b"a\n\nbb\nc\n"), 2)
        >>> [first.readline(9) for _ in range(4)]
        [b'a\n', b'\n', b'bb\n', b'']
    """

    def __init__(self, stream: Lines, rows: int) -> None:
        self._stream, self._left = stream, rows
        self._head: bytes | None = b""  # as long as it may be a byte order mark
        self._is_blank = True

    def readline(self, size: int, /) -> bytes:
        """Return the next piece of a line, as long as there is a row to come."""
        line = self._stream.readline(size) if self._left else b""
        if self._is_blank:
            self._is_blank = self._is_still_blank(line)
        if line.endswith(b"\n"):
            self._left -= not self._is_blank
            self._is_blank = True
        return line

    def _is_still_blank(self, piece: bytes) -> bool:
        if self._head is not None:
            self._head += piece
            if len(self._head) < len(_BOM) and not piece.endswith(b"\n"):
                return True
            piece, self._head = self._head.removeprefix(_BOM), None
        return not piece or piece.isspace()


def _head(file: SourceFile, most: int, *, is_last: bool) -> tuple[Head, int]:
    """Return what is wanted of a file, and how many rows those are."""
    if not file.is_lines and file.kind not in ROW_GROUPS and is_last:
        return Head(file, most), most  # whoever reads it counts
    if file.is_pipe:
        return Head(file, most), most
    size, is_apt = file.size_bytes or 0, may_look(file)
    if file.kind in ROW_GROUPS:
        with open_source(file, piece_bytes=LOOK_BYTES) as stream:
            total = max([end for _, end in row_runs(stream, file.name, size)], default=0)
        rows = min(most, total)
        part = size * rows // max(1, total)
        return Head(file, rows, None, is_apt and 2 * part < size, part), rows
    piece_bytes = LOOK_BYTES if is_apt else PIECE_BYTES
    with open_source(file, piece_bytes=piece_bytes) as stream:
        rows = sum(1 for _ in islice(read(file, stream, Span(file.name)), most))
        end = stream.tell() if file.is_lines and rows == most else size
    return Head(file, rows, end, is_apt and 2 * end < size, end), rows
