"""Slices are cut from the input alone, on line ends; every byte is in one of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlm_datakit.plan import MIB, Slice, SourceFile
from vlm_datakit.sources.slices import cut, slice_bytes


@pytest.fixture
def file(tmp_path: Path) -> SourceFile:
    """Return a file of five lines: 4, 1, 9, 2 and 3 bytes, the last without its end."""
    data = b"abc\n" + b"\n" + b"defghijk\n" + b"l\n" + b"mno"
    (tmp_path / "a.jsonl").write_bytes(data)
    return SourceFile("train", "a.jsonl", f"{tmp_path}/a.jsonl", len(data), 1)


@pytest.mark.parametrize(
    ("size", "places"),
    [
        pytest.param(1, [(0, 4), (4, 5), (5, 14), (14, 16), (16, 19)], id="a line each"),
        pytest.param(4, [(0, 4), (4, 14), (14, 19)], id="exactly a line"),
        pytest.param(5, [(0, 5), (5, 14), (14, 19)], id="exactly two lines"),
        pytest.param(6, [(0, 14), (14, 19)], id="into a line"),
        pytest.param(19, [(0, 19)], id="exactly the file"),
        pytest.param(99, [(0, 19)], id="more than the file"),
    ],
)
def test_a_file_is_cut_after_line_ends(
    file: SourceFile, size: int, places: list[tuple[int, int]]
) -> None:
    slices = cut([file], size)

    assert slices == [Slice(number, file, *place) for number, place in enumerate(places)]


def test_slices_are_numbered_over_all_files(file: SourceFile) -> None:
    pipe = SourceFile("test", "stdin", "-", None, None)

    slices = cut([file, pipe, file], 6)

    assert [(s.number, s.file, s.start, s.end) for s in slices] == [
        (0, file, 0, 14),
        (1, file, 14, 19),
        (2, file, 0, 14),
        (3, file, 14, 19),
    ]


@pytest.mark.parametrize(
    ("total", "names_pictures", "size"),
    [
        pytest.param(1, False, 32 * MIB, id="at least 32 MiB"),
        pytest.param(64 * 32 * MIB, False, 32 * MIB, id="64 slices of 32 MiB"),
        pytest.param(64 * 100 * MIB, False, 100 * MIB, id="64 slices"),
        pytest.param(64 * 999 * MIB, False, 512 * MIB, id="at most 512 MiB"),
        pytest.param(64 * 100 * MIB, True, MIB, id="1 MiB of lines that name pictures"),
    ],
)
def test_the_size_of_a_slice_follows_from_the_input(
    total: int, names_pictures: bool, size: int
) -> None:
    assert slice_bytes(total, names_pictures=names_pictures) == size
