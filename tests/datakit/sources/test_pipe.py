"""A look ahead into a pipe loses nothing and tears no line."""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from vlm_datakit.plan import MIB
from vlm_datakit.sources.pipe import Pipe, ReadAhead


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


class TestReadingAhead:
    @pytest.fixture
    def ends(self) -> Iterator[tuple[io.FileIO, io.FileIO]]:
        """Return both ends of a pipe, unbuffered: the one to read, and the one to write."""
        before = {*threading.enumerate()}
        read, write = os.pipe()
        with io.FileIO(write, "wb") as writing:
            yield io.FileIO(read, closefd=False), writing
        for thread in {*threading.enumerate()} - before:
            thread.join(5)  # they end with the stream
            assert not thread.is_alive()
        os.close(read)

    @pytest.mark.parametrize("size", [1, 7, 99])
    def test_loses_and_tears_nothing(self, size: int) -> None:
        text = b"".join(b"%d\n" % n for n in range(300_000))
        pieces = io.BytesIO(text)

        ahead = ReadAhead(pieces, 100)  # type: ignore[arg-type] - readinto() is all it needs

        stream = io.BufferedReader(ahead, 64)
        assert b"".join(iter(lambda: stream.readline(size), b"")) == text
        assert stream.readline(size) == b""  # the end stays the end

    def test_passes_a_line_on_before_the_next_one_comes(self, ends) -> None:
        reading, writing = ends
        stream = io.BufferedReader(ReadAhead(reading, MIB), MIB)

        writing.write(b"one\n")
        assert stream.readline(99) == b"one\n"
        writing.write(b"two\n")
        assert stream.readline(99) == b"two\n"

    def test_stops_when_so_much_is_held(self, ends) -> None:
        reading, writing = ends
        os.set_blocking(writing.fileno(), False)
        ahead = ReadAhead(reading, 2 * MIB)

        written = refused = 0
        while refused < 20:
            count = writing.write(bytes(MIB // 16))
            written += count or 0
            refused = 0 if count else refused + 1
            time.sleep(0 if count else 0.01)

        assert 2 * MIB <= written <= 4 * MIB  # what is held, the last piece, the pipe's own
        writing.close()
        assert len(io.BufferedReader(ahead).read()) == written

    def test_waits_for_a_pipe_that_others_have_set_to_answer_at_once(self, ends) -> None:
        reading, writing = ends
        os.set_blocking(reading.fileno(), False)
        stream = io.BufferedReader(ReadAhead(reading, MIB))
        time.sleep(0.05)

        writing.write(b"late\n")

        assert stream.readline(99) == b"late\n"

    def test_raises_what_reading_raised_where_it_did(self) -> None:
        class Breaks(io.BytesIO):
            def readinto(self, buffer: Any, /) -> int:
                if count := super().readinto(memoryview(buffer)[:4]):
                    return count
                raise OSError(5, "Input/output error")

        stream = io.BufferedReader(ReadAhead(Breaks(b"one\ntwo\n"), MIB))  # type: ignore[arg-type]

        assert [stream.readline(99), stream.readline(99)] == [b"one\n", b"two\n"]
        for _ in range(2):
            with pytest.raises(OSError, match="Input/output error"):
                stream.readline(99)
