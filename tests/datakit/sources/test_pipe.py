"""A look ahead into a pipe loses nothing and tears no line."""

from __future__ import annotations

import io

import pytest

from vlm_datakit.sources.pipe import Pipe


def lines(pipe: Pipe, size: int = 99) -> list[bytes]:
    """Read to the end."""
    return list(iter(lambda: pipe.readline(size), b""))


@pytest.mark.parametrize(
    ("max_lines", "max_bytes", "seen"),
    [
        pytest.param(0, 99, b"", id="nothing"),
        pytest.param(1, 99, b"one\n", id="a line"),
        pytest.param(9, 99, b"one\ntwo\nthree", id="everything"),
        pytest.param(9, 4, b"one\n", id="so many bytes"),
        pytest.param(9, 5, b"one\ntwo\n", id="the line in hand, whole"),
    ],
)
def test_what_was_looked_at_is_still_there(max_lines: int, max_bytes: int, seen: bytes) -> None:
    pipe = Pipe(io.BytesIO(b"one\ntwo\nthree"))

    assert pipe.peek(max_lines, max_bytes) == seen
    assert lines(pipe) == [b"one\n", b"two\n", b"three"]


@pytest.mark.parametrize(
    ("max_bytes", "seen"),
    [
        pytest.param(4, b"0123456789\n", id="looked at whole"),
        pytest.param(1, b"01234", id="too long even for that"),
    ],
)
def test_a_line_longer_than_the_look_is_not_torn(max_bytes: int, seen: bytes) -> None:
    pipe = Pipe(io.BytesIO(b"0123456789\nab\n"))

    assert pipe.peek(9, max_bytes) == seen
    assert lines(pipe) == [b"0123456789\n", b"ab\n"]


@pytest.mark.parametrize(
    ("size", "pieces"),
    [
        pytest.param(3, [b"012", b"345", b"678", b"9\n", b"ab\n"], id="smaller than the look"),
        pytest.param(4, [b"0123", b"4567", b"89\n", b"ab\n"], id="as large as the look"),
        pytest.param(6, [b"012345", b"6789\n", b"ab\n"], id="larger than the look"),
    ],
)
def test_a_line_is_read_in_pieces_of_the_size_asked_for(size: int, pieces: list[bytes]) -> None:
    pipe = Pipe(io.BytesIO(b"0123456789\nab\n"))
    pipe.peek(9, 4)

    assert lines(pipe, size) == pieces


def test_looking_twice_sees_the_same() -> None:
    pipe = Pipe(io.BytesIO(b"one\ntwo\n"))

    assert (pipe.peek(1, 99), pipe.peek(1, 99), pipe.peek(2, 99)) == (
        b"one\n",
        b"one\n",
        b"one\ntwo\n",
    )
