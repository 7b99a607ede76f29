"""Parquet by runs of row groups: any of them can be read without the others.

Arrow decodes column by column, a few rows at a time and page by page, so that a row group of a GB
does not stand in memory whole, unless it is one page or lies elsewhere.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import accumulate
from typing import IO, Any

from vlm_datakit.conversation import Rejected, Row
from vlm_datakit.hub.arriving import Arriving
from vlm_datakit.plan import MIB
from vlm_datakit.sources.arrow_values import ArrowRows, rows_at_once, speaking_of
from vlm_datakit.sources.jsonl import Span

_BUFFER_BYTES = MIB  # of a column, read ahead


def read_parquet(stream: IO[bytes], span: Span) -> Iterator[Row | Rejected]:
    """Read rows ``span.start`` to ``span.end``, borders of row groups; the number is the row's.

    Raises:
        SourceError: if it is damaged, cut short or no Parquet.
    """
    with speaking_of(span.source, "Parquet"):
        parquet = _opened(stream)
        borders = _borders(parquet.metadata)
        end = borders[-1] if span.end is None else span.end
        groups = [
            number
            for number, start in enumerate(borders[:-1])
            if span.start <= start < end and start < borders[number + 1]
        ]
        rows = ArrowRows(parquet.schema_arrow, span, span.start)
        for group in groups:
            facts = parquet.metadata.row_group(group)
            step = rows_at_once(facts.total_byte_size, facts.num_rows)
            for batch in parquet.iter_batches(step, [group], use_threads=False):
                yield from rows.of(batch)


def row_runs(stream: IO[bytes], source: str, size_bytes: int) -> list[tuple[int, int]]:
    """Return runs of rows that have about so many bytes each, at borders of row groups.

    Raises:
        SourceError: as `read_parquet`.
    """
    with speaking_of(source, "Parquet"):
        metadata = _opened(stream).metadata
        borders, runs, start, size = _borders(metadata), list[tuple[int, int]](), 0, 0
        for number, end in enumerate(borders[1:]):
            size += _packed_bytes(metadata.row_group(number))
            if end > start and (size >= size_bytes or end == borders[-1]):
                runs.append((start, end))
                start, size = end, 0
    return runs


def _opened(stream: IO[bytes]) -> Any:
    from pyarrow import PythonFile
    from pyarrow.parquet import ParquetFile

    # Elsewhere each jump costs an answer: there the columns of a row group come at once.
    is_near = isinstance(getattr(stream, "raw", None), io.FileIO | Arriving)
    source = PythonFile(stream, mode="r")
    return ParquetFile(source, buffer_size=_BUFFER_BYTES, pre_buffer=not is_near)


def _borders(metadata: Any) -> list[int]:
    groups = range(metadata.num_row_groups)
    return [0, *accumulate(metadata.row_group(number).num_rows for number in groups)]


def _packed_bytes(group: Any) -> int:
    return sum(group.column(number).total_compressed_size for number in range(group.num_columns))
