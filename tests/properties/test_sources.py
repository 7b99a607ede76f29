"""Lines, slices and pipes: every byte is read once, and every text is kept as it is."""

from __future__ import annotations

import io
import itertools
from pathlib import Path

import hypothesis.strategies as st
import orjson
import pytest
from hypothesis import example, given

from vlm_datakit.conversation import Rejected, Row
from vlm_datakit.errors import Reason
from vlm_datakit.plan import SourceFile
from vlm_datakit.sinks.ledger import ledger_line
from vlm_datakit.sources.heads import FirstLines, heads
from vlm_datakit.sources.jsonl import Span, read_rows
from vlm_datakit.sources.pipe import Pipe
from vlm_datakit.sources.slices import cut

LINES = st.lists(
    st.one_of(
        st.sampled_from([b"", b" ", b"\r", b'{"a":1}', b'{"b":"\xc3\xa9"}', b"[1]", b"{", b"\xff"]),
        st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"")),
    ),
    max_size=12,
)
ENDS = st.sampled_from([b"\n", b"\r\n"])


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """Draw the bytes of a file of lines; the last may lack its end."""
    data = b"".join(line + draw(ENDS) for line in draw(LINES))
    return data if draw(st.booleans()) else data.rstrip(b"\r\n")


@pytest.fixture(scope="session")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return one file that all examples of a property write."""
    return tmp_path_factory.mktemp("cut") / "a.jsonl"


def outcomes(data: bytes, start: int, end: int | None) -> list[tuple[int, object]]:
    """Read a span and return the offset of each row, and its fields or its refusal."""
    stream = io.BytesIO(data)
    stream.seek(start)
    rows = read_rows(stream, Span("a.jsonl", start, end, max_line_bytes=40))
    return [(r.origin.offset, r.fields if isinstance(r, Row) else r.reason) for r in rows]


@given(data=files(), size=st.integers(1, 60))
@example(data=b"", size=1)
@example(data=b"\n\n\n", size=2)
@example(data=b"a\r\nb", size=2)
def test_slices_cover_every_byte_once_and_read_as_the_whole(
    path: Path, data: bytes, size: int
) -> None:
    path.write_bytes(data)
    file = SourceFile("train", "a.jsonl", str(path), len(data), 0)

    spans = [(s.start, s.end or 0) for s in cut([file], size)]

    covered = list(itertools.chain.from_iterable(range(*span) for span in spans))
    assert covered == list(range(len(data)))
    assert [end for _, end in spans[:-1] if data[end - 1 : end] != b"\n"] == []
    read = [outcome for span in spans for outcome in outcomes(data, *span)]
    assert read == outcomes(data, 0, None)


@given(data=files(), size=st.integers(1, 60))
def test_no_slice_is_smaller_than_asked_for_but_the_last(
    path: Path, data: bytes, size: int
) -> None:
    path.write_bytes(data)
    file = SourceFile("train", "a.jsonl", str(path), len(data), 0)

    sizes = [(s.end or 0) - s.start for s in cut([file], size)]

    assert [length for length in sizes[:-1] if length < size] == []


@given(st.one_of(st.binary(), files()))
def test_any_bytes_are_rows_or_refusals_one_for_each_line(data: bytes) -> None:
    rows = list(read_rows(io.BytesIO(data), Span("a.jsonl", keep_raw=True)))

    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    assert len(rows) == len([line for line in lines if line and not line.isspace()])
    for row in rows:
        if isinstance(row, Rejected):
            assert orjson.loads(ledger_line(row))["offset"] == row.origin.offset


@given(st.dictionaries(st.text(), st.one_of(st.text(), st.lists(st.text()))))
def test_texts_are_kept_to_the_byte(fields: dict[str, object]) -> None:
    line = orjson.dumps(fields)

    (row,) = read_rows(io.BytesIO(line), Span("a.jsonl"))

    assert isinstance(row, Row)
    assert (row.fields, orjson.dumps(row.fields)) == (fields, line)


@given(st.text())
def test_a_text_that_is_json_is_still_a_text(text: str) -> None:
    inner = orjson.dumps({"a": text}).decode()

    (row,) = read_rows(io.BytesIO(orjson.dumps({"answer": inner})), Span("a.jsonl"))

    assert isinstance(row, Row)
    assert row.fields == {"answer": inner}


@given(st.integers(2, 40), st.binary(max_size=60))
def test_a_line_is_too_long_exactly_beyond_the_limit(limit: int, body: bytes) -> None:
    line = body.replace(b"\n", b" ")

    rows = list(read_rows(io.BytesIO(line + b"\n{}"), Span("a.jsonl", max_line_bytes=limit)))

    too_long = [r for r in rows if isinstance(r, Rejected) and r.reason is Reason.LINE_TOO_LONG]
    assert bool(too_long) is (len(line) > limit)
    assert rows[-1].origin.offset == len(line) + 1


@given(data=files(), most=st.integers(0, 9), size=st.integers(1, 30), piece=st.integers(1, 30))
def test_a_pipe_reads_as_its_stream_whatever_was_looked_at(
    data: bytes, most: int, size: int, piece: int
) -> None:
    pipe, stream = Pipe(io.BytesIO(data)), io.BytesIO(data)

    seen = pipe.peek(most, size)

    assert data.startswith(seen)
    assert list(iter(lambda: pipe.readline(piece), b"")) == list(
        iter(lambda: stream.readline(piece), b"")
    )


@given(data=files(), mark=st.booleans(), rows=st.integers(1, 9), piece=st.integers(1, 30))
@example(data=b"\xef\n{}\n", mark=False, rows=1, piece=1)
@example(data=b"\n{}\n{}", mark=True, rows=1, piece=1)
def test_the_first_lines_are_the_first_rows_whatever_the_pieces(
    path: Path, *, data: bytes, mark: bool, rows: int, piece: int
) -> None:
    data = b"\xef\xbb\xbf" * mark + data
    path.write_bytes(data)
    first = FirstLines(io.BytesIO(data), rows)
    file = SourceFile("train", "a.jsonl", str(path), len(data), 1)

    kept = b"".join(iter(lambda: first.readline(piece), b""))
    (head,) = heads([file], rows)

    whole = outcomes(data, 0, None)
    assert data.startswith(kept)
    assert outcomes(kept, 0, None) == outcomes(data, 0, head.end) == whole[:rows]
    assert head.rows == len(whole[:rows])
