"""Blocks of lines that are like one another, read by what one of them was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vlm_datakit.plain import Plain, PlainDraft, PlainRow, PlainRows
from vlm_datakit.runner.in_blocks import ByRows, convert_line
from vlm_datakit.runner.products import Outcome
from vlm_datakit.sources.jsonl import Span
from vlm_datakit.sources.patterns import Cut, Pattern, learned, rows_of
from vlm_datakit.walk import RUN_ROWS, Stages, opened_plain

_MOST_PATTERNS, _MOST_LESSONS = 4, 16


class ByPattern:
    """Converts blocks of lines, most of which have the pattern of one before them.

    Args:
        plain: Of a format that looks at no text of a row, bound to its checks.
        stages: What the pictures of rows pass through.
        by_rows: The way of the others.

    Attributes:
        fitted: How many lines had a pattern.
    """

    def __init__(self, plain: Plain, stages: Stages, by_rows: ByRows) -> None:
        self._plain, self._stages, self._by_rows = plain, stages, by_rows
        self._known: list[Pattern] = []  # the one that fitted last in front
        self._lessons, self._others, self.fitted = _MOST_LESSONS, 0, 0

    def __call__(self, lines: Sequence[bytes], block: Span) -> Iterator[Outcome] | None:
        """Convert a block, unless patterns do not help, or a line has no end or is too long."""
        is_hopeless = not self._lessons and self.fitted < self._others
        is_odd = not lines[-1].endswith(b"\n") or max(map(len, lines)) > block.max_line_bytes
        if is_hopeless or is_odd:
            return None
        return self._outcomes(lines, block)

    def _outcomes(self, lines: Sequence[bytes], block: Span) -> Iterator[Outcome]:
        """Yield rows in runs, and the lines that are not plain rows of a pattern as they come."""
        offset, offsets, rows = block.start, list[int](), list[PlainRow]()
        drafts = zip(lines, self._drafts(lines), strict=True)
        for number, (line, draft) in enumerate(drafts):
            row = None
            if draft is not None:
                row = opened_plain(draft, block.source, offset, self._stages)
            if rows and (row is None or len(rows) >= RUN_ROWS):
                yield PlainRows(block.source, offsets, rows)
                offsets, rows = [], []
            if row is None:
                yield from convert_line(line, block, offset, number, self._by_rows)
            else:
                offsets.append(offset)
                rows.append(row)
            offset += len(line)
        if rows:
            yield PlainRows(block.source, offsets, rows)

    def _drafts(self, lines: Sequence[bytes]) -> list[PlainDraft | None]:
        """Return the row of each line; None if no pattern fits, or a word is to be said."""
        texts = list[bytes]()
        return rows_of([self._cut(line, texts) for line in lines], texts)

    def _cut(self, line: bytes, texts: list[bytes]) -> Cut | None:
        for place, pattern in enumerate(self._known):
            if (cut := pattern.cut(line, texts)) is not None:
                if place:
                    self._known.insert(0, self._known.pop(place))
                self.fitted += 1
                return cut
        self._others += 1
        self._learn(line)
        return None

    def _learn(self, line: bytes) -> None:
        if not self._lessons:
            return
        self._lessons -= 1
        if (pattern := learned(line, self._plain)) is not None:
            self._known = [pattern, *self._known][:_MOST_PATTERNS]
