"""Readers of all kinds: no bytes crash them, and what they read is what was written."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given

from vlm_datakit.conversation import Rejected, Row
from vlm_datakit.errors import SourceError
from vlm_datakit.sources.delimited import comma_separated, read_delimited
from vlm_datakit.sources.json_array import read_array
from vlm_datakit.sources.jsonl import Span
from vlm_datakit.sources.kinds import KINDS
from vlm_datakit.sources.packed import unpacked

ROWS = [{"a": f'{index} \\ " ]', "b": {"c": [index, None]}} for index in range(5)]
TABLE = pa.Table.from_pylist(ROWS)


def made(write: Callable[[io.BytesIO], Any]) -> bytes:
    """Return what a function writes to a stream."""
    out = io.BytesIO()
    write(out)
    return out.getvalue()


def write_tar(out: io.BytesIO) -> None:
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for index, name in enumerate(["1.txt", f"{'d' * 120}/1.json", "2.cls"]):
            info = tarfile.TarInfo(name)
            info.size = index
            archive.addfile(info, io.BytesIO(b"{}"[:index]))


def write_zip(out: io.BytesIO) -> None:
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jsonl", b'{"a":1}\n' * 9)
        archive.writestr("b.json", json.dumps(ROWS))


def write_stream(out: io.BytesIO) -> None:
    with pa.ipc.new_stream(out, TABLE.schema) as writer:
        writer.write_table(TABLE, max_chunksize=2)


def write_file(out: io.BytesIO) -> None:
    with pa.ipc.new_file(out, TABLE.schema) as writer:
        writer.write_table(TABLE, max_chunksize=2)


SEEDS = {
    "json-array": json.dumps(ROWS, indent=1).encode(),
    "csv": b'a,b\n1,"x\ny"\n2,""\n"3",\xff\n',
    "tsv": b"a\tb\n1\t2\n",
    "labels": b'{"a.png": ["x"], "b.png": 2}',
    "metadata-jsonl": b'{"file_name": "a"}\n{"file_names": 1}\n',
    "metadata-csv": b"file_name,b\na,2\n",
    "parquet": made(lambda out: pq.write_table(TABLE, out, row_group_size=2)),
    "arrow-stream": made(write_stream),
    "arrow-file": made(write_file),
    "tar": made(write_tar),
    "zip": made(write_zip),
}


@st.composite
def damaged(draw: st.DrawFn, seed: bytes) -> bytes:
    """Draw the seed with some bytes replaced, cut out or put in; or any bytes."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    data = bytearray(seed)
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        end = start + draw(st.sampled_from([0, 1, 2, 8, 600]))
        data[start:end] = draw(st.binary(max_size=8) | st.sampled_from([b'"', b"]", b"\0" * 512]))
    return bytes(data)


@pytest.mark.parametrize("kind", [*SEEDS])
@given(data=st.data())
def test_no_bytes_crash_a_reader(kind: str, data: st.DataObject) -> None:
    source = damaged(SEEDS[kind])
    stream = io.BytesIO(data.draw(source))
    span = Span("a", max_line_bytes=data.draw(st.sampled_from([40, 1 << 20])), keep_raw=True)

    try:
        rows = list(KINDS[kind].read(stream, span))
    except SourceError as error:
        assert str(error).startswith("a")
        return

    assert {type(row) for row in rows} <= {Row, Rejected}
    origins = [(row.origin.source, row.origin.offset) for row in rows]
    assert len({*origins}) == len(origins)


@given(data=damaged(gzip.compress(b"abc" * 99) + gzip.compress(b"x")))
def test_no_bytes_crash_what_unpacks(data: bytes) -> None:
    try:
        unpacked(io.BytesIO(data), "gzip", "a").read()
    except SourceError as error:
        assert str(error).startswith("a: damaged gzip: ")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
BLANKS = st.text(" \t\r\n", max_size=3)


@given(
    rows=st.lists(st.dictionaries(st.text(max_size=5), VALUES, max_size=4), max_size=6),
    indent=st.sampled_from([None, 0, 2]),
    ascii_=st.booleans(),
    blanks=st.tuples(BLANKS, BLANKS),
    size=st.integers(1, 40),
)
def test_an_array_is_what_json_reads(
    rows: list[Any], indent: int | None, ascii_: bool, blanks: tuple[str, str], size: int
) -> None:
    text = blanks[0] + json.dumps(rows, indent=indent, ensure_ascii=ascii_) + blanks[1]

    class Pieces(io.BytesIO):
        def read1(self, most: int | None = -1) -> bytes:
            return super().read1(min(size, most or size))

    read = [*read_array(Pieces(text.encode()), Span("a"))]

    assert [row.fields if isinstance(row, Row) else row for row in read] == rows


CELLS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(
    ['"', '""', "\r\n", "\n", ",", "\t", "007", " ", "\0", ""]
)


@given(
    names=st.lists(CELLS, min_size=1, max_size=4, unique=True),
    data=st.data(),
    delimiter=st.sampled_from([",", "\t"]),
    line_end=st.sampled_from(["\n", "\r\n"]),
)
def test_csv_is_what_was_written(
    names: list[str], data: st.DataObject, delimiter: str, line_end: str
) -> None:
    rows = data.draw(st.lists(st.lists(CELLS, min_size=len(names), max_size=len(names))))
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator=line_end, quoting=csv.QUOTE_ALL)
    writer.writerows([names, *rows])

    stream = io.BytesIO(out.getvalue().encode())
    read = [*read_delimited(stream, Span("a"), delimiter)]

    expected = [dict(zip(names, row, strict=True)) for row in rows]
    assert [row.fields if isinstance(row, Row) else row for row in read] == expected


@given(names=st.lists(CELLS, min_size=2, max_size=3, unique=True), data=st.data())
def test_csv_without_needless_quotes_is_what_was_written(
    names: list[str], data: st.DataObject
) -> None:
    row = data.draw(st.lists(CELLS, min_size=len(names), max_size=len(names)))
    out = io.StringIO(newline="")
    csv.writer(out).writerows([names, row])

    (read,) = comma_separated(io.BytesIO(out.getvalue().encode()), Span("a"))

    assert isinstance(read, Row)
    assert read.fields == dict(zip(names, row, strict=True))
