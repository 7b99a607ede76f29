"""Ids that stand twice and lengths far out, over rows of any number of sources."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given

from vlm_datakit.conversation import Conversation, Message, Origin, Text
from vlm_datakit.oddities import Length, Oddities, OddityCounter, Sizes


def counted(rows: list[tuple[Origin, str | None, str]]) -> Oddities:
    """Look at rows of an origin, an id and an answer."""
    counter = OddityCounter()
    for origin, row_id, answer in rows:
        messages = (Message("user", (Text("?"),)), Message("assistant", (Text(answer),)))
        counter.add(origin, Conversation(messages, id=row_id))
    return counter.found()


def test_no_rows_are_nothing_odd() -> None:
    assert counted([]) == Oddities()


@given(st.lists(st.sampled_from([None, "a", "b", "c", "\ud800", "é"]), max_size=12))
def test_a_repeat_is_told_with_the_row_before_it_of_the_same_id(ids: list[str | None]) -> None:
    found = counted([(Origin("a", 10 * n, n), row_id, "!") for n, row_id in enumerate(ids)])

    again = [n for n, row_id in enumerate(ids) if row_id is not None and row_id in ids[:n]]
    before = [max(m for m in range(n) if ids[m] == ids[n]) for n in again]
    pairs = [(f"a:{n}", f"a:{m}") for n, m in zip(again, before, strict=True)]
    assert (found.repeated_ids, found.repeats) == (len(again), tuple(pairs[:5]))


def test_an_id_may_stand_again_in_another_source() -> None:
    rows = [(Origin("a", 0, 1), "7", "!"), (Origin("b", 90), "7", "!"), (Origin("b", 99), "8", "!")]

    assert counted(rows).repeats == (("b:byte 90", "a:1"),)


@given(st.lists(st.integers(0, 9), max_size=9))
def test_the_extremes_are_told_first_and_of_equal_ones_the_earlier(sizes: list[int]) -> None:
    found = counted([(Origin("a", 0, n), None, "!" * size) for n, size in enumerate(sizes)])

    longest = sorted(enumerate(sizes), key=lambda pair: (-pair[1], pair[0]))[:3]
    shortest = sorted(enumerate(sizes), key=lambda pair: (pair[1], pair[0]))[:3]
    assert found.longest == tuple(Length(f"a:{n}", size + 1) for n, size in longest)
    assert found.shortest_answers == tuple(Length(f"a:{n}", size) for n, size in shortest)


@given(st.lists(st.integers(0, 2**40), min_size=1), st.integers(0, 40))
def test_sizes_are_known_within_an_eighth(sizes: list[int], bits: int) -> None:
    found = Sizes()
    for size in sizes:
        found.add(size)

    middle = sorted(sizes)[(len(sizes) - 1) // 2]
    assert middle * 7 / 8 <= found.median() <= middle
    assert found.count_from(2**bits) == sum(size >= 2**bits for size in sizes)


def test_rows_far_longer_than_most_are_counted() -> None:
    answers = ["!" * 31] * 9 + ["!" * 511, "!" * 510]  # and one letter of the question

    found = counted([(Origin("a", n, n), None, answer) for n, answer in enumerate(answers)])

    assert (found.median_chars, found.far_longer) == (32, 1)


def test_short_rows_are_never_far_longer() -> None:
    found = counted([(Origin("a", n, n), None, "!" * n) for n in (1, 1, 1, 254)])

    assert found.far_longer == 0
