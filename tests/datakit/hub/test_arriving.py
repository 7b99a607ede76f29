"""Files of the Hub that are read while their parts come."""

from __future__ import annotations

import io
import os
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlm_datakit.hub.arriving import Arriving, Stated, is_held
from vlm_datakit.hub.looks import Looks
from vlm_datakit.hub.names import Pinned
from vlm_datakit.hub.partial import PART_BYTES, Noted, Partial

SIZE = 3 * PART_BYTES + 5
DATA = b"".join(b"%09d\n" % n for n in range(SIZE // 10 + 1))[:SIZE]
FILE = Pinned("owner/name", "0" * 40, "train.jsonl")
STATED = Stated(FILE, SIZE, f"sha256:{'0' * 64}")


def begun(folder: Path) -> Partial:
    partial = Partial(folder / "blob", SIZE)
    partial.begin()
    return partial


def come(partial: Partial, *parts: int) -> None:
    with partial.path.open("r+b", buffering=0) as stream:
        for part in parts:
            start, end = partial.span(part)
            os.pwrite(stream.fileno(), DATA[start:end], start)
            partial.note(part, stream.fileno())


@given(st.binary().map(lambda marks: bytes(b"x."[mark % 2] for mark in marks)), st.data())
def test_all_is_here_up_to_the_first_part_that_is_missing(parts, data):
    at = data.draw(st.integers(0, len(parts) * PART_BYTES))

    reach = Noted("a", parts).reach(at)

    come_from_there = parts[at // PART_BYTES :].partition(b".")[0]
    assert reach == max(at, (at // PART_BYTES + len(come_from_there)) * PART_BYTES)


def test_a_reader_waits_for_the_parts_that_it_needs_and_for_no_other(tmp_path):
    partial = begun(tmp_path)
    come(partial, 0, 3)
    stream = io.BufferedReader(Arriving(STATED, partial, tmp_path / "lock"), PART_BYTES)
    late = threading.Timer(0.2, come, [partial, 1])

    first, began = stream.readline(), time.monotonic()
    stream.seek(SIZE - 5)
    last = stream.read()
    took = time.monotonic() - began
    late.start()
    stream.seek(PART_BYTES - 7)
    across = stream.read(14)

    assert (first, last, across) == (
        DATA[:10],
        DATA[-5:],
        DATA[PART_BYTES - 7 : PART_BYTES + 7],
    )
    assert took < 0.1


def test_parts_that_nobody_has_begun_are_not_opened(tmp_path):
    with pytest.raises(FileNotFoundError):
        Arriving(STATED, Partial(tmp_path / "blob", SIZE), tmp_path / "lock")


def test_what_is_begun_anew_has_another_stamp(tmp_path):
    first = begun(tmp_path).noted()
    again = begun(tmp_path).noted()
    (tmp_path / "blob.vlm-datakit.incomplete").unlink()
    anew = begun(tmp_path).noted()

    assert first == again
    assert first is not None
    assert anew is not None
    assert first.stamp != anew.stamp


def test_parts_of_which_nothing_is_known_prove_nothing():
    assert not is_held(f"{STATED.digest} 0123")
    assert not is_held(f"{STATED.digest} ")


def test_a_look_asks_for_nothing_that_has_come(tmp_path):
    partial = begun(tmp_path)
    come(partial, 1, 2)
    looks = Looks(FILE, SIZE, partial)
    looks.seek(PART_BYTES + 7)

    assert looks.read(PART_BYTES) == DATA[PART_BYTES + 7 : 2 * PART_BYTES + 7]
    assert partial.look(0, 5) == b""
    assert partial.look(2 * PART_BYTES, PART_BYTES + 1) == b""


def test_a_look_finds_a_file_that_was_put_in_its_place_meanwhile(tmp_path):
    partial = begun(tmp_path)
    come(partial, 0, 1, 2, 3)
    partial.settle()

    assert Partial(tmp_path / "blob", SIZE).look(7, 20) == DATA[7:27]
    assert Partial(tmp_path / "other", SIZE).look(7, 20) == b""
