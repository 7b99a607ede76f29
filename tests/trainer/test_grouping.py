"""Rows of like length share a step: every row once, the same steps however they are dealt out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlm_trainer.config import from_flat
from vlm_trainer.epochs import epochs_of
from vlm_trainer.grouping import grouped, padding_share
from vlm_trainer.lengths import Lengths
from vlm_trainer.order import permutation

LENGTHS = st.lists(st.integers(1, 5000), min_size=1, max_size=300)


@given(LENGTHS, st.integers(1, 40), st.integers(0, 3), st.integers(0, 2**32))
def test_every_row_comes_once_and_a_short_step_comes_last(
    lengths: list[int], rows: int, epoch: int, seed: int
) -> None:
    widths = np.array(lengths)
    order = permutation(epoch, seed, len(widths))

    places = grouped(epoch, seed, order, widths, rows)

    assert sorted(places.tolist()) == list(range(len(widths)))
    whole = len(widths) // rows * rows
    assert set(places[whole:].tolist()) == set(range(whole, len(widths)))


@given(LENGTHS, st.integers(1, 8), st.integers(0, 2**32))
def test_a_step_is_sorted_and_no_other_lies_within_its_lengths(
    lengths: list[int], rows: int, seed: int
) -> None:
    widths = np.array(lengths)[: 50 * rows]  # one window
    order = permutation(0, seed, len(widths))

    found = widths[order[grouped(0, seed, order, widths, rows)]]

    steps = found[: len(found) // rows * rows].reshape(-1, rows).tolist()
    assert all(step == sorted(step) for step in steps)
    in_turn = sorted(steps)
    assert all(one[-1] <= other[0] for one, other in itertools.pairwise(in_turn))


def test_steps_of_an_epoch_come_in_another_order_than_their_lengths() -> None:
    widths = np.arange(400)
    firsts = [
        widths[grouped(epoch, 42, widths, widths, 8)].reshape(-1, 8)[:, 0].tolist()
        for epoch in (0, 1)
    ]

    assert firsts[0] != firsts[1]
    assert firsts[0] != sorted(firsts[0])


def test_unequal_rows_are_padded_far_less() -> None:
    drawn = np.random.default_rng(0)
    widths = (50 * np.exp(drawn.normal(0, 1.2, 4000))).astype(np.int64) + 1
    order = permutation(0, 42, len(widths))

    shares = [
        padding_share(widths[rows], widths[rows], batch=8)
        for rows in (order, order[grouped(0, 42, order, widths, 16)])
    ]

    assert shares[0] > 0.6
    assert shares[1] < 0.1


@pytest.mark.parametrize(
    ("batch", "accumulation", "processes"), [(8, 1, 1), (1, 8, 1), (2, 2, 2), (4, 1, 2)]
)
def test_the_order_is_the_same_however_a_step_is_dealt_out(
    batch: int, accumulation: int, processes: int
) -> None:
    widths = np.random.default_rng(0).integers(10, 900, 200)
    lengths = Lengths(np.arange(200), widths, widths, widths, 0, 200, (), ())
    given = {
        "per_device_train_batch_size": batch,
        "gradient_accumulation_steps": accumulation,
        "group_by_length": True,
    }

    epochs = epochs_of(from_flat(given), lengths, processes)

    order = permutation(1, 42, 200)
    expected = order[grouped(1, 42, order, widths, 8)]
    assert epochs.shown(1).rows.tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("widths", "batch", "sides", "share"),
    [([4, 2, 5], 2, 1, 2 / 13), ([4, 2, 5], 1, 1, 0), ([4, 2], 2, 2, 10 / 16), ([], 2, 1, 0)],
)
def test_padding_is_counted(widths: list[int], batch: int, sides: int, share: float) -> None:
    found = padding_share(np.array(widths), np.array(widths), batch, sides)

    assert found == pytest.approx(share)
