"""Files that are half here, and the lanes their parts take."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlm_datakit.hub.lanes import Lanes
from vlm_datakit.hub.partial import PART_BYTES, Partial
from vlm_datakit.hub.ranges import _runs

SIZE = 2 * PART_BYTES + 5


def noted(path: Path, *parts: int, size: int = SIZE) -> Partial:
    partial = Partial(path, size)
    partial.begin()
    with partial.path.open("r+b") as stream:
        for part in parts:
            partial.note(part, stream.fileno())
    return partial


@given(st.sets(st.integers(0, 2)))
def test_what_is_noted_is_not_missing_when_it_is_gone_on_with(tmp_path_factory, parts):
    path = tmp_path_factory.mktemp("blobs") / "a"
    noted(path, *parts)

    assert Partial(path, SIZE).begin() == sorted({0, 1, 2} - parts)


@pytest.mark.parametrize(
    "notes", [b"", b"1048576 of 7\n...", b"1048576 of 2097157\n..", b"x" * 99, b"\xff\n"]
)
def test_notes_that_are_not_of_this_file_count_for_nothing(tmp_path, notes):
    partial = noted(tmp_path / "a", 0, 1)
    (tmp_path / "a.vlm-datakit.incomplete.parts").write_bytes(notes)

    assert partial.begin() == [0, 1, 2]


def test_notes_without_their_bytes_count_for_nothing(tmp_path):
    short, gone = noted(tmp_path / "a", 0), noted(tmp_path / "b", 0)
    os.truncate(short.path, 7)
    gone.path.unlink()

    assert (short.begin(), gone.begin()) == ([0, 1, 2], [0, 1, 2])


def test_a_file_that_is_whole_leaves_nothing_beside_it(tmp_path):
    noted(tmp_path / "a", 0, size=3).settle()
    noted(tmp_path / "b", 0, size=3).discard()

    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_parts_cover_a_file_once():
    for size in (0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1):
        partial = Partial(Path("a"), size)
        spans = [partial.span(part) for part in range(partial.count)]

        assert sum(end - start for start, end in spans) == size
        assert [end for _, end in spans[:-1]] == [start for start, _ in spans[1:]]


def test_what_is_asked_for_is_what_is_missing_and_no_more_at_once_than_it_may(tmp_path):
    partial = Partial(tmp_path / "a", 20 * PART_BYTES + 5)
    missing = [0, 1, 3, *range(5, 21)]

    runs = [(start / PART_BYTES, end / PART_BYTES) for start, end in _runs(partial, missing)]

    assert runs == [(0, 2), (3, 4), (5, 13), (13, 20 + 5 / PART_BYTES)]
    assert [*partial.whole(PART_BYTES + 7, 3 * PART_BYTES)] == [1, 2]
    assert [*partial.whole(20 * PART_BYTES, 20 * PART_BYTES + 5)] == [20]


def test_of_those_who_wait_for_a_lane_the_file_begun_first_goes_first():
    lanes, went, waiting = Lanes(1), list[int](), []

    def go(turn: int) -> None:
        with lanes.taken(turn):
            went.append(turn)

    with lanes.taken(0):
        for turn in (3, 1, 2):
            waiting.append(threading.Thread(target=go, args=(turn,)))
            waiting[-1].start()
            while len(lanes._waiting) < len(waiting):
                pass
    for thread in waiting:
        thread.join()

    assert went == [1, 2, 3]
