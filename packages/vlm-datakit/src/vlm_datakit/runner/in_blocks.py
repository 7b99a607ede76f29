"""A stream of lines in blocks, each taken together if it can be, or else row by row."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from vlm_datakit.plan import MIB
from vlm_datakit.runner.products import Outcome
from vlm_datakit.sources.ahead import Ahead
from vlm_datakit.sources.jsonl import Span
from vlm_datakit.sources.pipe import Lines

BLOCK_BYTES = MIB  # more is no faster, and takes memory
_MOST_FAILURES = 4  # in a row: then the rows are others

#: Reads and converts the rows of a span of a stream.
ByRows = Callable[[Lines, Span], Iterator[Outcome]]

#: Converts the lines of a span together, or returns None if they have to go row by row.
Together = Callable[[Sequence[bytes], Span], Iterator[Outcome] | None]


def convert_in_blocks(
    stream: Lines,
    span: Span,
    together: Together,
    by_rows: ByRows,
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[Outcome]:
    """Convert the rows of a span to what ``by_rows`` makes of them, the faster way if it can be.

    Args:
        stream: Binary lines, positioned at the span's start.
        span: What to read.
        together: The faster way.
        by_rows: The way of all rows. What is said of a row is said by it.
        block_bytes: About how much is taken at once.
    """
    ahead, failures = Ahead(stream, span.start), 0
    while failures < _MOST_FAILURES:
        lines = ahead.look(span, block_bytes)
        if not lines:
            return
        block = replace(span, end=span.start + sum(map(len, lines)))
        found = together(lines, block)
        if found is None:
            yield from by_rows(ahead, block)
        else:
            ahead.drop()
            yield from found
        failures = 0 if found is not None else failures + 1
        span = _behind(span, ahead.offset, len(lines))
        del lines, found  # before the next ones come
    yield from by_rows(ahead.rest(), span)


def convert_line(
    line: bytes, block: Span, offset: int, number: int, by_rows: ByRows
) -> Iterator[Outcome]:
    """Convert one line of a block by itself.

    Args:
        line: The line.
        block: In which it stands.
        offset: Where it begins in the source.
        number: How many lines of the block stand before it.
        by_rows: The way of all rows.
    """
    return by_rows(io.BytesIO(line), _behind(block, offset, number))


def _behind(span: Span, offset: int, lines: int) -> Span:
    """Return what is left of a span behind some lines of it."""
    number = span.first_line or (1 if span.start == 0 else None)
    first_line = None if number is None else number + lines
    return replace(span, start=offset, first_line=first_line)
