"""Cells are the texts they are; a row that is none is refused, and the next is read."""

from __future__ import annotations

import io
from typing import Any

import pytest

from vlm_datakit.conversation import Origin, Rejected, Row
from vlm_datakit.errors import Reason, SourceError
from vlm_datakit.sources.delimited import comma_separated, tab_separated
from vlm_datakit.sources.jsonl import Span


def read(data: bytes, **span: Any) -> list[Row | Rejected]:
    """Read the rows of these bytes."""
    return list(comma_separated(io.BytesIO(data), Span("a.csv", **span)))


def test_rows_know_the_line_on_which_they_begin() -> None:
    rows = read(b'\xef\xbb\xbfa,b\r\n007,\r\n\r\n"x\r\ny","1 ""2"""\r\n3,4', keep_raw=True)

    assert rows == [
        Row(Origin("a.csv", 0, 2), {"a": "007", "b": ""}, b'{"a":"007","b":""}'),
        Row(Origin("a.csv", 1, 4), {"a": "x\r\ny", "b": '1 "2"'}, rb'{"a":"x\r\ny","b":"1 \"2\""}'),
        Row(Origin("a.csv", 2, 6), {"a": "3", "b": "4"}, b'{"a":"3","b":"4"}'),
    ]


@pytest.mark.parametrize(
    "cell", [" x ", "1e5", "TRUE", "null", "\0", "\u2028", "=1+1", "'", "a\tb"]
)
def test_a_cell_is_kept_as_it_is(cell: str) -> None:
    (row,) = read(f"a,b\n{cell},{cell}\n".encode())

    assert isinstance(row, Row)
    assert row.fields == {"a": cell, "b": cell}


def test_tabs_part_cells_of_tsv() -> None:
    (row,) = tab_separated(io.BytesIO(b"a\tb\n1,2\t3\n"), Span("a.tsv"))

    assert isinstance(row, Row)
    assert row.fields == {"a": "1,2", "b": "3"}


@pytest.mark.parametrize(
    ("bad", "reason", "seen"),
    [
        pytest.param(b"1", Reason.CELLS_INVALID, "1 cells, and the header has 2", id="too few"),
        pytest.param(b"1,2,3", Reason.CELLS_INVALID, "3 cells, and the header has 2", id="many"),
        pytest.param(b'"1"2,3', Reason.CELLS_INVALID, "',' expected after '\"'", id="a quote"),
        pytest.param(
            b'"1"2,"3\n4,5"',
            Reason.CELLS_INVALID,
            "',' expected after '\"', to line 4",
            id="a quote before more lines",
        ),
        pytest.param(b"\xff,2", Reason.CELLS_INVALID, "not UTF-8: invalid start byte", id="bytes"),
        pytest.param(
            b'5",\xff', Reason.CELLS_INVALID, "not UTF-8: invalid start byte", id="a lone quote"
        ),
        pytest.param(b"x" * 50 + b",1", Reason.LINE_TOO_LONG, "over 40 bytes", id="a long line"),
        pytest.param(
            b'1,"' + b"x\n" * 50 + b'"',
            Reason.LINE_TOO_LONG,
            "over 40 bytes, to line 53",
            id="a long cell",
        ),
        pytest.param(
            b'1,"' + b"x" * 50 + b'\n,"',
            Reason.LINE_TOO_LONG,
            "over 40 bytes, to line 4",
            id="a long line in a cell",
        ),
    ],
)
def test_a_row_that_is_none_is_refused_and_the_next_is_read(
    bad: bytes, reason: Reason, seen: str
) -> None:
    first, refused, last = read(b"a,b\n1,2\n" + bad + b"\n3,4\n", max_line_bytes=40)

    assert isinstance(first, Row)
    assert refused == Rejected(Origin("a.csv", 1, 3), reason, "$", seen)
    assert isinstance(last, Row)
    assert (last.fields, last.origin.offset) == ({"a": "3", "b": "4"}, 2)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b"", "a.csv: no header line", id="nothing"),
        pytest.param(b"\n\n", "a.csv: no header line", id="blank lines"),
        pytest.param(b"a,a\n1,2\n", 'a.csv: two columns are named "a"', id="a column twice"),
        pytest.param(b"a,\xff\n", "a.csv: the header cannot be read: not UTF-8", id="no UTF-8"),
        pytest.param(
            b'a,b\n1,2\n3,"4\n5,6\n',
            "a.csv:3: a quoted cell that begins in this row does not end",
            id="an open quote",
        ),
        pytest.param(
            b'a,b\n1,"' + b"x\n" * 50,
            "a.csv:2: a quoted cell that begins in this row does not end",
            id="an open quote for long",
        ),
    ],
)
def test_what_cannot_be_read_on_is_an_error(data: bytes, words: str) -> None:
    with pytest.raises(SourceError) as caught:
        read(data, max_line_bytes=40)

    assert str(caught.value).startswith(words)
