"""Arrow's own files: the rows are all there, or it is an error."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from vlm_datakit.conversation import Origin, Rejected, Row
from vlm_datakit.errors import SourceError
from vlm_datakit.sources.arrow_ipc import read_arrow_file, read_arrow_stream
from vlm_datakit.sources.jsonl import Span

TABLE = pa.table({"a": [f"{index}" for index in range(9)]})
Writer = Callable[..., Any]
KINDS = {
    "file": (pa.ipc.new_file, read_arrow_file),
    "stream": (pa.ipc.new_stream, read_arrow_stream),
}


@pytest.fixture(params=[*KINDS])
def kind(request: pytest.FixtureRequest) -> str:
    """One of the two forms."""
    return str(request.param)


def written(kind: str, table: pa.Table = TABLE) -> bytes:
    """Return a table in batches of four rows."""
    out = io.BytesIO()
    with KINDS[kind][0](out, table.schema) as writer:
        writer.write_table(table, max_chunksize=4)
    return out.getvalue()


def read(kind: str, data: bytes) -> list[Row | Rejected]:
    """Read the rows of these bytes."""
    return list(KINDS[kind][1](io.BytesIO(data), Span("a.arrow")))


def test_rows_of_all_batches_are_numbered(kind: str) -> None:
    rows = read(kind, written(kind))

    assert rows[8] == Row(Origin("a.arrow", 8, 9), {"a": "8"})
    assert [row.origin.offset for row in rows] == [*range(9)]


def test_no_cut_passes_for_the_end(kind: str) -> None:
    data = written(kind)

    for size in range(len(data)):
        with pytest.raises(SourceError, match=r"^a\.arrow: "):
            read(kind, data[:size])
