"""Folders in one epoch: each shown as often as its weight says, in an order of their own."""

from __future__ import annotations

from collections import Counter

import hypothesis.strategies as st
import pytest
from hypothesis import given

from vlm_trainer.errors import UsageError
from vlm_trainer.mixing import Part, mixed_order, parse_mix

PARTS = st.lists(
    st.builds(Part, st.integers(0, 40), st.floats(0.05, 3, allow_nan=False)), max_size=4
)


@given(PARTS, st.integers(0, 6), st.integers(0, 2**32))
def test_all_rows_of_a_part_are_shown_equally_often(
    parts: list[Part], epochs: int, seed: int
) -> None:
    shown = Counter[int]()
    for epoch in range(epochs):
        order = mixed_order(epoch, seed, parts).tolist()
        assert len(order) == sum(part.shown for part in parts)
        shown.update(order)

    first = 0
    for part in parts:
        counts = [shown[row] for row in range(first, first + part.rows)]
        assert not counts or max(counts) - min(counts) <= 1
        assert sum(counts) == epochs * part.shown
        first += part.rows


def test_an_epoch_is_shuffled_over_all_parts_and_no_epoch_repeats_another() -> None:
    parts = [Part(200, 1.0), Part(100, 0.5)]
    one, other = (mixed_order(epoch, 42, parts).tolist() for epoch in (0, 1))

    assert one != other
    assert 10 < sum(row >= 200 for row in one[:125]) < 40  # 25 if it were even
    assert {row for row in one if row >= 200}.isdisjoint(row for row in other if row >= 200)
    assert one != mixed_order(0, 43, parts).tolist()


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
