"""An array is taken apart element by element, wherever the pieces of the stream end."""

from __future__ import annotations

import io
import tracemalloc
from typing import Any

import pytest

from vlm_datakit.conversation import Origin, Rejected, Row
from vlm_datakit.errors import Reason, SourceError
from vlm_datakit.sources.json_array import read_array
from vlm_datakit.sources.jsonl import Span


class Pieces:
    """A stream that gives a few bytes at a time."""

    def __init__(self, data: bytes, size: int) -> None:
        self._stream, self._size = io.BytesIO(data), size

    def read1(self, size: int) -> bytes:
        """Return the next piece."""
        return self._stream.read1(min(size, self._size))


def read(data: bytes, size: int = 1 << 20, **span: Any) -> list[Row | Rejected]:
    """Read the elements of these bytes."""
    return list(read_array(Pieces(data, size), Span("a.json", **span)))  # type: ignore[arg-type]


def test_elements_are_rows_and_know_their_number() -> None:
    rows = read(b'\xef\xbb\xbf [\n  {"a": "007"},\r\n  {"b": [1, {"c": "]}"}]}\n]\n', keep_raw=True)

    assert rows == [
        Row(Origin("a.json", 0, 1), {"a": "007"}, b'{"a": "007"}'),
        Row(Origin("a.json", 1, 2), {"b": [1, {"c": "]}"}]}, b'{"b": [1, {"c": "]}"}]}'),
    ]


@pytest.mark.parametrize("data", [b"[]", b" [ \n ] \n", b"\xef\xbb\xbf[]"])
def test_an_empty_array_has_no_rows(data: bytes) -> None:
    assert read(data) == []


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize(
    "text", [r"\"", r"\\", r"\\\"", "]", "},{", "x" * 600, r"\\" * 300 + r"\"", "\u20ac"]
)
def test_no_text_ends_an_element_early(text: str, size: int) -> None:
    row = f'{{"a":"{text}","b":"{text}{text}"}}'.encode()

    rows = read(b"[" + row + b"," + row + b"]", size, keep_raw=True)

    assert [row.raw for row in rows] == [row, row]


@pytest.mark.parametrize(
    ("element", "reason"),
    [
        pytest.param(b"{a:1}", Reason.JSON_INVALID, id="no JSON"),
        pytest.param(b'{"a":1]', Reason.JSON_INVALID, id="the wrong bracket"),
        pytest.param(b"{}}", Reason.JSON_INVALID, id="a bracket too many"),
        pytest.param(b"", Reason.JSON_INVALID, id="nothing"),
        pytest.param(b'{"a":"\xff"}', Reason.JSON_INVALID, id="no UTF-8"),
        pytest.param(b"NaN", Reason.JSON_INVALID, id="NaN"),
        pytest.param(b'"text, and more"', Reason.ROW_NOT_OBJECT, id="a text"),
        pytest.param(b"[1, 2]", Reason.ROW_NOT_OBJECT, id="a list"),
        pytest.param(b"null", Reason.ROW_NOT_OBJECT, id="null"),
    ],
)
def test_a_bad_element_is_refused_in_its_place(element: bytes, reason: Reason) -> None:
    first, bad, last = read(b'[{"a":1}, ' + element + b', {"a":2}]')

    assert isinstance(first, Row)
    assert isinstance(bad, Rejected)
    assert (bad.reason, bad.origin) == (reason, Origin("a.json", 1, 2))
    assert last == Row(Origin("a.json", 2, 3), {"a": 2})


@pytest.mark.parametrize("size", [1, 5, 1000])
@pytest.mark.parametrize(
    "element",
    [
        pytest.param(b'{"a":"' + b"x" * 90 + b'"}', id="a long text"),
        pytest.param(b'{"a":"' + b"\\\\" * 90 + b'"}', id="a long text of escapes"),
        pytest.param(b'{"a":"' + b'\\"' * 90 + b'"}', id="a long text of quotes"),
        pytest.param(b'{"a":[' + b"1," * 90 + b"1]}", id="a long list"),
    ],
)
def test_an_element_over_the_limit_is_refused_and_the_next_is_read(
    element: bytes, size: int
) -> None:
    rows = read(b"[" + element + b',{"b":2}]', size, max_line_bytes=40)

    origin = Origin("a.json", 0, 1)
    assert rows == [
        Rejected(origin, Reason.LINE_TOO_LONG, "$", "over 40 bytes"),
        Row(Origin("a.json", 1, 2), {"b": 2}),
    ]


@pytest.mark.parametrize("inside", [b'{"a":"' + b"x" * (1 << 25), b'{"a":[' + b"12," * (1 << 23)])
def test_an_element_without_end_takes_no_memory(inside: bytes) -> None:
    stream = io.BytesIO(b"[" + inside)
    tracemalloc.start()

    with pytest.raises(SourceError, match="does not end"):
        list(read_array(stream, Span("a.json", max_line_bytes=1 << 20)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 8 << 20


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b'[{"a":1}', "the array does not end: cut short?", id="no bracket"),
        pytest.param(b'[{"a":1},', "the array does not end: cut short?", id="a comma"),
        pytest.param(b'[{"a":', "the array does not end: cut short?", id="in an element"),
        pytest.param(b'[{"a":"b', "the array does not end: cut short?", id="in a text"),
        pytest.param(b"[", "the array does not end: cut short?", id="the bracket alone"),
        pytest.param(b"[]x", '"x" stands behind the ] that ends the array', id="garbage"),
        pytest.param(b"[{}][", '"[" stands behind the ] that ends the array', id="two arrays"),
        pytest.param(b"{}", "no JSON array: it does not begin with [", id="an object"),
        pytest.param(b"", "no JSON array: it does not begin with [", id="nothing"),
    ],
)
def test_an_array_that_is_not_whole_is_an_error(data: bytes, words: str) -> None:
    with pytest.raises(SourceError) as caught:
        read(data)

    assert str(caught.value) == f"a.json: {words}"
