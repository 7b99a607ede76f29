"""The order is a permutation, the same everywhere, and can be entered anywhere."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vlm_trainer.order import epoch_order, permutation, permuted

seeds = st.integers(0, 2**63)


@given(st.integers(0, 5), seeds, st.integers(0, 3000))
def test_every_row_comes_once(epoch: int, seed: int, length: int) -> None:
    order = permutation(epoch, seed, length)

    assert sorted(order.tolist()) == list(range(length))


@given(seeds, st.integers(1, 2000), st.data())
def test_a_stretch_equals_the_same_stretch_of_the_whole(
    seed: int, length: int, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, length))
    stop = data.draw(st.integers(start, length))

    stretch = permuted(slice(start, stop), length, 1, seed)

    assert stretch.tolist() == permutation(1, seed, length)[start:stop].tolist()


@given(st.sets(st.integers(0, 199), min_size=1), seeds)
def test_leaving_rows_out_does_not_move_the_others(kept: set[int], seed: int) -> None:
    rows = sorted(kept)

    order = [rows[place] for place in epoch_order(0, seed, rows, 200)]

    assert order == [row for row in permutation(0, seed, 200).tolist() if row in kept]


def test_epochs_and_seeds_differ() -> None:
    orders = [permutation(epoch, seed, 1000) for epoch in (0, 1) for seed in (0, 1)]

    assert len({tuple(order) for order in orders}) == 4


def test_the_order_is_pinned() -> None:
    assert permutation(0, 42, 12).tolist() == PINNED


def test_neighbours_are_spread() -> None:
    order = permutation(0, 42, 10_000)

    steps = np.abs(np.diff(order))

    assert 3000 < steps.mean() < 3700  # a third of the length when shuffled well
    assert (steps == 1).sum() < 10


PINNED = [8, 10, 5, 7, 9, 1, 11, 2, 3, 0, 4, 6]
