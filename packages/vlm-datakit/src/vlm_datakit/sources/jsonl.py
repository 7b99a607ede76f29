"""JSON Lines: one row a line, read by byte offset, a bad line a `Rejected` in its place.

orjson keeps strings as they are; readers that sniff types turn an answer that happens to
be JSON text into an object, and ``"007"`` into 7.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import orjson

from vlm_datakit.conversation import Origin, Rejected, Row
from vlm_datakit.errors import Reason, quoted
from vlm_datakit.payloads import cut
from vlm_datakit.plan import MIB
from vlm_datakit.sources.pipe import Lines

_BOM = b"\xef\xbb\xbf"
#: To open files with: rows with pictures are long, and at 8 KiB a time, Python's own, reading
#: their lines takes six times as long.
BUFFER_BYTES = MIB


@dataclass(frozen=True, slots=True)
class Span:
    """What to read of a stream, already positioned at ``start``: bytes to ``end``.

    ``end`` None reads to the end of the stream. ``max_line_bytes`` bounds the memory;
    ``keep_raw`` keeps the bytes of each row for the ledger; ``cut_payloads`` leaves large
    base64 texts unparsed, beside the row, for the walk (`vlm_datakit.payloads`).
    ``first_line`` numbers the line at ``start`` where that is not the head of the stream.
    """

    source: str
    start: int = 0
    end: int | None = None
    max_line_bytes: int = 64 * MIB
    keep_raw: bool = False
    cut_payloads: bool = True
    first_line: int | None = None


def read_rows(stream: Lines, span: Span) -> Iterator[Row | Rejected]:
    """Read rows, one line in memory at a time; blank lines are no rows.

    Yields:
        `Row`, or `Rejected` with ``json-invalid``, ``line-too-long`` or
        ``row-not-object`` where a line cannot be a row. Lines are numbered when the span
        starts at the head of the stream, or says which number its first line has.

    Source:
        RFC 8259 (JSON), jsonlines.org. A byte order mark, CRLF and a missing last line
        end are accepted.
    """
    offset, number = span.start, (span.first_line or 1) - 1
    is_numbered = span.start == 0 or span.first_line is not None
    while span.end is None or offset < span.end:
        line = stream.readline(span.max_line_bytes + 1)
        if not line:
            return
        number += 1
        origin = Origin(span.source, offset, number if is_numbered else None)
        offset += len(line)
        if len(line) > span.max_line_bytes and not line.endswith(b"\n"):
            offset += skip_line(stream)
            yield Rejected(origin, Reason.LINE_TOO_LONG, "$", f"over {span.max_line_bytes} bytes")
        elif line := _bare(line, origin.offset):
            row, line = _row(line, origin, span), b""  # up to 64 MiB less
            yield row


def _bare(line: bytes, offset: int) -> bytes:
    if offset == 0 and line.startswith(_BOM):
        line = line[len(_BOM) :]
    return b"" if line.isspace() else line


def skip_line(stream: Lines) -> int:
    """Read to the end of a line and return how many bytes that were."""
    skipped = 0
    while piece := stream.readline(MIB):
        skipped += len(piece)
        if piece.endswith(b"\n"):
            break
    return skipped


def _row(line: bytes, origin: Origin, span: Span) -> Row | Rejected:
    parts = cut(line) if span.cut_payloads else None
    if parts is not None:
        try:
            fields = orjson.loads(parts.line)
        except orjson.JSONDecodeError:
            fields = None
        if isinstance(fields, dict):
            raw = line.rstrip(b"\r\n") if span.keep_raw else None
            whole = partial(_parsed, line, origin, keep_raw=span.keep_raw)
            return Row(origin, fields, raw, parts.payloads, whole)
    return _parsed(line, origin, keep_raw=span.keep_raw)


def _parsed(line: bytes, origin: Origin, *, keep_raw: bool) -> Row | Rejected:
    raw = line.rstrip(b"\r\n") if keep_raw else None
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return Rejected(origin, Reason.JSON_INVALID, "$", error.msg[:80], raw)
    if not isinstance(fields, dict):
        return Rejected(origin, Reason.ROW_NOT_OBJECT, "$", quoted(fields), raw)
    return Row(origin, fields, raw)
