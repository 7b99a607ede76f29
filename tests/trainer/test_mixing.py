"""Folders in one epoch: each shown as often as its weight says, in an order of their own."""

from __future__ import annotations

from collections import Counter

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from vlm_trainer.errors import UsageError
from vlm_trainer.mixing import Part, mixed_order, parse_mix


def part(kept: list[int], total_rows: int, weight: float) -> Part:
    return Part("forms", np.array(kept, dtype=np.int64), total_rows, weight)


def whole(rows: int, weight: float) -> Part:
    return part(list(range(rows)), rows, weight)


@st.composite
def parts_of(draw: st.DrawFn) -> Part:
    total, weight = draw(st.integers(0, 40)), draw(st.floats(0.05, 3, allow_nan=False))
    kept = draw(st.sets(st.integers(0, total - 1))) if total else set[int]()
    return part(sorted(kept), total, weight)


@given(st.lists(parts_of(), max_size=4), st.integers(0, 6), st.integers(0, 2**32))
def test_all_rows_of_a_part_are_shown_equally_often(
    parts: list[Part], epochs: int, seed: int
) -> None:
    shown = Counter[int]()
    showings = list[tuple[int, int]]()
    for epoch in range(epochs):
        order = mixed_order(epoch, seed, parts)
        assert len(order.rows) == sum(part.shown for part in parts)
        shown.update(order.rows.tolist())
        showings += zip(order.times.tolist(), order.rows.tolist(), strict=True)

    assert len(set(showings)) == len(showings)
    first = 0
    for given_part in parts:
        rows = len(given_part.kept)
        counts = [shown[row] for row in range(first, first + rows)]
        assert not counts or max(counts) - min(counts) <= 1
        assert sum(counts) == epochs * given_part.shown
        first += rows


@given(st.lists(parts_of(), min_size=1, max_size=3), st.integers(0, 2**32), st.data())
def test_leaving_a_row_out_moves_none_before_it(
    parts: list[Part], seed: int, data: st.DataObject
) -> None:
    order = named(parts, seed)
    if not order:
        return
    left_out = data.draw(st.sampled_from(order))
    number, row = left_out
    kept = [other for other in parts[number].kept.tolist() if other != row]
    fewer = [*parts]
    fewer[number] = parts[number]._replace(kept=np.array(kept, dtype=np.int64))

    again = named(fewer, seed)

    before = order.index(left_out)
    assert again[:before] == order[:before]
    for other in range(len(parts)):
        if other != number:
            assert [r for n, r in again if n == other] == [r for n, r in order if n == other]
    if parts[number].weight == 1:
        in_turn = [r for n, r in order if n == number and r != row]
        assert [r for n, r in again if n == number] == in_turn


def named(parts: list[Part], seed: int) -> list[tuple[int, int]]:
    """Return the first epoch as numbers of folders and of rows in them."""
    rows = [(number, row) for number, part in enumerate(parts) for row in part.kept.tolist()]
    return [rows[place] for place in mixed_order(0, seed, parts).rows.tolist()]


def test_an_epoch_is_shuffled_over_all_parts_and_no_epoch_repeats_another() -> None:
    parts = [whole(200, 1.0), whole(100, 0.5)]
    one, other = (mixed_order(epoch, 42, parts).rows.tolist() for epoch in (0, 1))

    assert one != other
    assert 10 < sum(row >= 200 for row in one[:125]) < 40  # 25 if it were even
    assert {row for row in one if row >= 200}.isdisjoint(row for row in other if row >= 200)
    assert one != mixed_order(0, 43, parts).rows.tolist()


def test_a_row_shown_thrice_in_an_epoch_is_shown_at_three_times() -> None:
    rows, times = mixed_order(1, 42, [whole(4, 3.0)])

    assert sorted(zip(rows.tolist(), times.tolist(), strict=True)) == [
        (row, time) for row in range(4) for time in (3, 4, 5)
    ]


def test_the_first_rows_of_a_large_folder_are_spread_among_the_others() -> None:
    large = Part("large", np.arange(20), 100_000, 1.0, limit=20)
    order = mixed_order(0, 42, [large, whole(20, 1.0)]).rows.tolist()

    assert len(order) == 40
    assert 3 < sum(row < 20 for row in order[:20]) < 17


@pytest.mark.parametrize(
    ("given", "parsed"),
    [
        ("forms", ("forms", 1.0)),
        ("forms=2", ("forms", 2.0)),
        ("a=b=0.25", ("a=b", 0.25)),
        ("a=b/c", ("a=b/c", 1.0)),
    ],
)
def test_a_folder_may_have_a_weight(given: str, parsed: tuple[str, float]) -> None:
    assert parse_mix(given) == parsed


@pytest.mark.parametrize("given", ["a=0", "a=-1", "a=nan", "a=inf", "a=much", "a="])
def test_a_weight_is_a_number_above_zero(given: str) -> None:
    with pytest.raises(UsageError, match="the weight of a folder"):
        parse_mix(given)
