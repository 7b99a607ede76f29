"""CSV and TSV: every cell stays the text it is, ``007`` and the empty one too.

The standard library takes lines apart. What it, or we, refuse is refused as one row, up to the
line end that is not inside of quotes: reading on from the next line would take the inside of a
cell for rows.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

import orjson

from vlm_datakit.conversation import Origin, Rejected, Row
from vlm_datakit.errors import Reason, SourceError, quoted
from vlm_datakit.sources.jsonl import Span
from vlm_datakit.sources.pipe import Lines

_BOM = b"\xef\xbb\xbf"
_CELL_CHARS = 2**31 - 1  # the module's own limit is 128 KiB, less than a picture has


def read_delimited(stream: Lines, span: Span, delimiter: str) -> Iterator[Row | Rejected]:
    r"""Read rows below a header; the number of a row is that of the line on which it begins.

    Yields:
        `Row`, or `Rejected` with ``cells-invalid`` for another number of cells than the header
        has, for text behind a closing quote, and for bytes that are not UTF-8; with
        ``line-too-long`` for a row that is.

    Raises:
        SourceError: without a header, or with one that names a column twice; if the last row
            ends inside of quotes, since rows may be missing.

    Source:
        RFC 4180; a byte order mark and other line ends are accepted.

    Example:
        >>> import io
        >>> stream = io.BytesIO(b'text,response\n"2 + 2?",004\n')
        >>> next(read_delimited(stream, Span("a.csv"), ",")).fields
        {'text': '2 + 2?', 'response': '004'}
    """
    csv.field_size_limit(_CELL_CHARS)
    cells = _rows(_Lines(stream, span.max_line_bytes), delimiter)
    names = _header(next(cells, None), span.source)
    for index, (line, found) in enumerate(cells):
        origin = Origin(span.source, index, line)
        if isinstance(found, _Unended):
            raise SourceError(f"{origin}: a quoted cell that begins in this row does not end")
        if isinstance(found, _Refused):
            yield Rejected(origin, found.reason, "$", found.seen)
            continue
        raw = orjson.dumps(found) if span.keep_raw else None
        if len(found) == len(names):
            fields = dict(zip(names, found, strict=True))
            yield Row(origin, fields, orjson.dumps(fields) if span.keep_raw else None)
        else:
            seen = f"{len(found)} cells, and the header has {len(names)}"
            yield Rejected(origin, Reason.CELLS_INVALID, "$", seen, raw)


def tab_separated(stream: Lines, span: Span) -> Iterator[Row | Rejected]:
    """Read rows of TSV, as `read_delimited` does."""
    return read_delimited(stream, span, "\t")


comma_separated = partial(read_delimited, delimiter=",")


class _Refused(Exception):  # noqa: N818 - the name says what happened
    """A row that cannot be taken apart: why."""

    def __init__(self, reason: Reason, seen: str) -> None:
        super().__init__(reason, seen)
        self.reason, self.seen = reason, seen


class _Unended(_Refused):
    """A quoted cell that goes on to the end of the file."""


def _header(first: tuple[int, list[str] | _Refused] | None, source: str) -> list[str]:
    if first is None:
        raise SourceError(f"{source}: no header line")
    _, names = first
    if isinstance(names, _Refused):
        raise SourceError(f"{source}: the header cannot be read: {names.seen}")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise SourceError(f"{source}: two columns are named {quoted(twice)}")
    return names


def _rows(lines: _Lines, delimiter: str) -> Iterator[tuple[int, list[str] | _Refused]]:
    """Yield the cells of each row, or why there are none, with the number of its first line."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.begin()
        found: list[str] | _Refused
        try:
            found = next(reader)
        except StopIteration:
            return
        except _Refused as refused:
            found = lines.ended(refused)
        except csv.Error as error:
            found = lines.ended(_Refused(Reason.CELLS_INVALID, f"{error}"))
        if found and lines.fault is not None:
            found = lines.fault
        if found:  # a line without anything is no row
            yield lines.first, found


class _Lines:
    """Lines as text, counted; knows where a row began, and whether its quotes are even."""

    def __init__(self, stream: Lines, max_bytes: int) -> None:
        self._stream, self._max_bytes = stream, max_bytes
        self._number = self._size = 0
        self._is_quoted = self._is_at_end = False
        self.first = 1
        self.fault: _Refused | None = None

    def __iter__(self) -> _Lines:
        return self

    def begin(self) -> None:
        """Begin a row with the next line."""
        self.first, self._size, self._is_quoted, self.fault = self._number + 1, 0, False, None

    def __next__(self) -> str:
        line = self._read()
        if self._size > self._max_bytes:
            raise _Refused(Reason.LINE_TOO_LONG, f"over {self._max_bytes} bytes")
        try:
            return line.decode()
        except UnicodeDecodeError as error:  # the row goes on to where it would end
            self.fault = _Refused(Reason.CELLS_INVALID, f"not UTF-8: {error.reason}")
            return line.decode(errors="replace")

    def _read(self) -> bytes:
        line = self._stream.readline(self._max_bytes + 1)
        if not line:
            self._is_at_end = True
            raise StopIteration
        self._number += 1
        self._count(line)
        is_cut = len(line) > self._max_bytes and not line.endswith(b"\n")
        while is_cut and (piece := self._stream.readline(self._max_bytes + 1)):
            self._count(piece)
            is_cut = not piece.endswith(b"\n")
        return line[len(_BOM) :] if self._number == 1 and line.startswith(_BOM) else line

    def _count(self, piece: bytes) -> None:
        self._size += len(piece)
        self._is_quoted ^= piece.count(b'"') % 2 == 1

    def ended(self, refused: _Refused) -> _Refused:
        """Read on to the line end that ends the row in hand, and say up to where it goes."""
        while self._is_quoted and not self._is_at_end:
            with suppress(StopIteration):
                self._read()
        if self._is_at_end:
            return _Unended(refused.reason, refused.seen)
        more = f", to line {self._number}" if self._number > self.first else ""
        return _Refused(refused.reason, refused.seen + more)
