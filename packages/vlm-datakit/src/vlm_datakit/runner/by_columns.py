"""A stream of lines in blocks: those of nothing but texts by columns, all others row by row."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate

from vlm_datakit.plain import PlainColumns, Shape, TextColumns
from vlm_datakit.plan import MIB
from vlm_datakit.runner.products import Outcome
from vlm_datakit.sources.ahead import Ahead
from vlm_datakit.sources.jsonl import Span
from vlm_datakit.sources.pipe import Lines
from vlm_datakit.sources.text_columns import Parsed, parsed

_BLOCK_BYTES = MIB  # more is no faster, and takes memory
_MOST_FAILURES = 4  # in a row: then the rows are others

#: Reads and converts the rows of a span of a stream.
ByRows = Callable[[Lines, Span], Iterator[Outcome]]


def convert_blocks(
    stream: Lines,
    span: Span,
    columns: TextColumns,
    by_rows: ByRows,
    block_bytes: int = _BLOCK_BYTES,
) -> Iterator[Outcome]:
    """Convert the rows of a span to what ``by_rows`` makes of them, the faster way if it can be.

    Args:
        stream: Binary lines, positioned at the span's start.
        span: What to read.
        columns: Of the format, and sound for the plan.
        by_rows: The way of all rows. What is said of a row is said by it.
        block_bytes: About how much is parsed at once.
    """
    ahead, failures = Ahead(stream, span.start), 0
    while failures < _MOST_FAILURES:
        lines = ahead.look(span, block_bytes)
        if not lines:
            return
        block = replace(span, end=span.start + sum(map(len, lines)))
        found = parsed(lines, columns)
        if found is None:
            yield from by_rows(ahead, block)
        else:
            ahead.drop()
            yield from _in_columns(lines, found, block, columns.shape, by_rows)
        failures = 0 if found is not None else failures + 1
        span = _behind(span, ahead.offset, len(lines))
        del lines, found  # before the next ones come
    yield from by_rows(ahead.rest(), span)


def _in_columns(
    lines: Sequence[bytes], found: Parsed, block: Span, shape: Shape, by_rows: ByRows
) -> Iterator[Outcome]:
    """Yield the rows of a block, the odd ones among them as ``by_rows`` converts them."""
    offsets = [*accumulate(map(len, lines[:-1]), initial=block.start)]
    rows = PlainColumns(block.source, offsets, shape, found.texts, found.ids)
    start = 0
    for odd in found.odd:
        if start < odd:
            yield rows.cut(start, odd)
        line = _behind(block, offsets[odd], odd)
        yield from by_rows(io.BytesIO(lines[odd]), line)
        start = odd + 1
    if start < len(lines):
        yield rows.cut(start, len(lines))


def _behind(span: Span, offset: int, lines: int) -> Span:
    """Return what is left of a span behind some lines of it."""
    number = span.first_line or (1 if span.start == 0 else None)
    first_line = None if number is None else number + lines
    return replace(span, start=offset, first_line=first_line)
