"""Lines are read one by one; a bad one is a refusal in its place, and the next is read."""

from __future__ import annotations

import io
import tracemalloc
from typing import Any

import pytest

from vlm_datakit.conversation import Origin, Rejected, Row
from vlm_datakit.errors import Reason
from vlm_datakit.sources.jsonl import Span, read_rows

LAST = b'{"last": 1}'


def read(data: bytes, **span: Any) -> list[Row | Rejected]:
    """Read the lines of these bytes."""
    stream = io.BytesIO(data)
    stream.seek(span.get("start", 0))
    return list(read_rows(stream, Span("a.jsonl", **span)))


def test_rows_know_their_line_and_their_first_byte() -> None:
    rows = read(b'{"a":1}\n\n{"b":2}\n')

    assert rows == [
        Row(Origin("a.jsonl", 0, 1), {"a": 1}),
        Row(Origin("a.jsonl", 9, 3), {"b": 2}),
    ]


def test_in_a_later_slice_the_line_is_not_known() -> None:
    assert read(b'{"a":1}\n{"b":2}\n', start=8, end=16) == [Row(Origin("a.jsonl", 8), {"b": 2})]


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        pytest.param(b"", [], id="nothing"),
        pytest.param(b"\n \t\r\n\n", [], id="blank lines"),
        pytest.param(b"\xef\xbb\xbf", [], id="a byte order mark alone"),
        pytest.param(b'\xef\xbb\xbf{"a":1}\n', [{"a": 1}], id="a byte order mark"),
        pytest.param(b'{"a":1}\r\n{"b":2}\r\n', [{"a": 1}, {"b": 2}], id="CRLF"),
        pytest.param(b'{"a":1}\n{"b":2}', [{"a": 1}, {"b": 2}], id="no last line end"),
        pytest.param(b' {"a":1}\t\n', [{"a": 1}], id="indented"),
        pytest.param('{"a":"\u2028\x85"}\n'.encode(), [{"a": "\u2028\x85"}], id="line separators"),
    ],
)
def test_every_layout_of_lines_is_read(data: bytes, fields: list[Any]) -> None:
    assert [row.fields for row in read(data) if isinstance(row, Row)] == fields
    assert len(read(data)) == len(fields)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        pytest.param(rb'{"a": "{\"a\": \"007\"}"}', '{"a": "007"}', id="JSON of an object"),
        pytest.param(b'{"a": "42"}', "42", id="JSON of a number"),
        pytest.param(b'{"a": "null"}', "null", id="JSON of null"),
        pytest.param(b'{"a": " 1e5 "}', " 1e5 ", id="a number with spaces"),
        pytest.param(b'{"a": "2024-01-02"}', "2024-01-02", id="a date"),
        pytest.param(b'{"a": "NaN"}', "NaN", id="not a number"),
        pytest.param('{"a": "é"}'.encode(), "\u00e9", id="NFC"),
        pytest.param('{"a": "e\u0301"}'.encode(), "e\u0301", id="NFD"),
        pytest.param(rb'{"a": "\ud83d\ude42"}', "\U0001f642", id="a pair of surrogates"),
        pytest.param(rb'{"a": "a\u0000b"}', "a\0b", id="NUL"),
        pytest.param(rb'{"a": "\u2028\r\n"}', "\u2028\r\n", id="line ends"),
        pytest.param(rb'{"a": "\/\\\""}', '/\\"', id="escapes"),
    ],
)
def test_a_text_is_the_text_of_the_line(line: bytes, text: str) -> None:
    (row,) = read(line)

    assert isinstance(row, Row)
    assert row.fields == {"a": text}


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b'{"a": "b', id="cut"),
        pytest.param(b"hello", id="words"),
        pytest.param(b"{'a': 1}", id="Python's spelling"),
        pytest.param(b'{"a": NaN}', id="NaN"),
        pytest.param(b'{"a": Infinity}', id="Infinity"),
        pytest.param(b'{"a": 1,}', id="a comma too many"),
        pytest.param(b'{"a": 1} {"b": 2}', id="two in a line"),
        pytest.param(b'{"a": "\xff"}', id="no UTF-8"),
        pytest.param(b'{"a": "\xed\xa0\x80"}', id="a surrogate in UTF-8"),
        pytest.param(rb'{"a": "\ud800"}', id="a lone surrogate"),
        pytest.param(rb'{"a": "\udc00\ud800"}', id="surrogates in the wrong order"),
        pytest.param(b'{"a": "a\0b"}', id="a bare NUL"),
        pytest.param(b'{"a": "a\tb"}', id="a bare tab"),
        pytest.param(b"[" * 2000 + b"]" * 2000, id="2,000 levels deep"),
        pytest.param(b'{"a":' * 2000 + b"1" + b"}" * 2000, id="2,000 objects deep"),
        pytest.param(b"\xef\xbb\xbf{}", id="a byte order mark in the middle"),
    ],
)
def test_a_line_that_is_no_json_is_refused_and_the_next_is_read(line: bytes) -> None:
    first, bad, last = read(b"{}\n" + line + b"\n" + LAST, keep_raw=True)

    assert isinstance(bad, Rejected)
    assert (bad.origin, bad.reason) == (Origin("a.jsonl", 3, 2), Reason.JSON_INVALID)
    assert (bad.where, bad.raw) == ("$", line)
    assert [row.fields for row in (first, last) if isinstance(row, Row)] == [{}, {"last": 1}]


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        pytest.param(b'[{"a": 1}]', "a list of 1", id="a list"),
        pytest.param(b'"text"', '"text"', id="a text"),
        pytest.param(b"7", "7", id="a number"),
        pytest.param(b"null", "null", id="null"),
    ],
)
def test_a_line_that_is_no_object_is_refused(line: bytes, seen: str) -> None:
    bad, last = read(line + b"\r\n" + LAST, keep_raw=True)

    assert bad == Rejected(Origin("a.jsonl", 0, 1), Reason.ROW_NOT_OBJECT, "$", seen, line)
    assert isinstance(last, Row)


@pytest.mark.parametrize("end", [b"\n", b""], ids=["line end", "no line end"])
def test_the_longest_line_is_exact(end: bytes) -> None:
    line = b'{"a":"%s"}' % (b"x" * 92)

    good = read(line + end, max_line_bytes=100)
    bad = read(line + end, max_line_bytes=99)

    assert [type(row) for row in good] == [Row]
    assert bad == [Rejected(Origin("a.jsonl", 0, 1), Reason.LINE_TOO_LONG, "$", "over 99 bytes")]


def test_after_a_line_that_is_too_long_the_next_is_read_at_its_place() -> None:
    bad, last = read(b'{"a":"%s"}\n' % (b"x" * 300) + LAST, max_line_bytes=50)

    assert isinstance(bad, Rejected)
    assert last == Row(Origin("a.jsonl", 309, 2), {"last": 1})


def test_a_line_that_is_too_long_costs_no_memory() -> None:
    class Endless:
        """A line of 64 MiB that is nowhere in memory."""

        left = 64 * 2**20

        def readline(self, size: int, /) -> bytes:
            piece = b"x" * min(size, self.left)
            self.left -= len(piece)
            return piece

    tracemalloc.start()
    (bad,) = read_rows(Endless(), Span("a", max_line_bytes=1000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert isinstance(bad, Rejected)
    assert peak < 4 * 2**20


def test_a_row_keeps_its_bytes_only_if_the_ledger_wants_them() -> None:
    (kept,) = read(b' {"a":1} \r\n', keep_raw=True)
    (plain,) = read(b' {"a":1} \r\n')

    assert (kept.raw, plain.raw) == (b' {"a":1} ', None)
