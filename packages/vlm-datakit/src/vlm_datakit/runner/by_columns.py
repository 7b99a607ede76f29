"""Blocks of lines that are nothing but texts, by columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

from vlm_datakit.plain import PlainColumns, Shape, TextColumns
from vlm_datakit.runner.in_blocks import ByRows, Together, convert_line
from vlm_datakit.runner.products import Outcome
from vlm_datakit.sources.jsonl import Span
from vlm_datakit.sources.text_columns import Parsed, parsed


def by_columns(columns: TextColumns, by_rows: ByRows) -> Together:
    """Return what converts blocks of rows that are these columns.

    Args:
        columns: Of the format, and sound for the plan.
        by_rows: The way of the odd ones among them.
    """

    def together(lines: Sequence[bytes], block: Span) -> Iterator[Outcome] | None:
        found = parsed(lines, columns)
        return None if found is None else _outcomes(lines, found, block, columns.shape, by_rows)

    return together


def _outcomes(
    lines: Sequence[bytes], found: Parsed, block: Span, shape: Shape, by_rows: ByRows
) -> Iterator[Outcome]:
    """Yield the rows of a block, the odd ones among them as ``by_rows`` converts them."""
    offsets = [*accumulate(map(len, lines[:-1]), initial=block.start)]
    rows = PlainColumns(block.source, offsets, shape, found.texts, found.ids)
    start = 0
    for odd in found.odd:
        if start < odd:
            yield rows.cut(start, odd)
        yield from convert_line(lines[odd], block, offsets[odd], odd, by_rows)
        start = odd + 1
    if start < len(lines):
        yield rows.cut(start, len(lines))
