"""Standard input is cut as a file of the same bytes would be, and its slices wait in files."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from vlm_datakit.plan import MIB, Slice, SourceFile
from vlm_datakit.sources.pipe import Pipe
from vlm_datakit.sources.slices import cut
from vlm_datakit.sources.spool import cut_pipe, spool_path, spooled

STDIN = SourceFile("train", "stdin", "-", None, None)
LINE = b"x" * 99 + b"\n"


@pytest.fixture
def big(tmp_path: Path) -> Path:
    """Return a file of 70 MiB: lines of 100 bytes, one of 40 MiB, and no line end at its end."""
    path = tmp_path / "big.jsonl"
    path.write_bytes(LINE * 200_000 + b"y" * 40 * MIB + b"\n" + LINE * 120_000 + b"z")
    return path


def places(slices: list[Slice]) -> list[tuple[int, int, int]]:
    return [(slice_.number, slice_.start, slice_.end) for slice_ in slices]


def test_a_pipe_is_cut_as_a_file_is(big: Path, tmp_path: Path) -> None:
    status = big.stat()
    file = SourceFile("train", "big.jsonl", str(big), status.st_size, status.st_mtime_ns)
    with big.open("rb") as stream:
        pipe = Pipe(stream)
        slices = list(spooled(cut_pipe(pipe, STDIN, 0, names_pictures=False), pipe, tmp_path / "s"))

    assert places(slices) == places(cut([file], 32 * MIB))
    data = big.read_bytes()
    for slice_ in slices:
        held = spool_path(tmp_path / "s", slice_.number).read_bytes()
        assert held == data[slice_.start : slice_.end]
        assert slice_.first_line == data[: slice_.start].count(b"\n") + 1


def test_read_in_place_each_slice_begins_where_the_last_one_ended() -> None:
    pipe = Pipe(io.BytesIO(LINE * 30_000))

    begun = []
    for slice_ in cut_pipe(pipe, STDIN, 4, names_pictures=True):
        begun.append((slice_.number, slice_.start, slice_.first_line))
        while pipe.offset < slice_.end and pipe.readline(MIB):
            pass

    # A slice of 1 MiB has the 10,486 lines that begin in it.
    assert begun == [(4, 0, 1), (5, 1_048_600, 10_487), (6, 2_097_200, 20_973)]


def test_slices_of_files_pass_and_no_bytes_are_no_slice(tmp_path: Path) -> None:
    pipe = Pipe(io.BytesIO())
    file = Slice(0, SourceFile("train", "a.jsonl", "/x/a.jsonl", 9, 1), 0, 9)

    slices = [file, *cut_pipe(pipe, STDIN, 1, names_pictures=False)]

    assert list(spooled(iter(slices), pipe, tmp_path / "s")) == [file]


def test_what_was_looked_at_is_still_in_the_first_slice(tmp_path: Path) -> None:
    pipe = Pipe(io.BytesIO(LINE * 10))
    pipe.peek(3, MIB)

    (slice_,) = spooled(cut_pipe(pipe, STDIN, 0, names_pictures=False), pipe, tmp_path / "s")

    assert (slice_.start, slice_.end, slice_.first_line) == (0, 1_000, 1)
    assert Path(slice_.spooled or "").read_bytes() == LINE * 10
