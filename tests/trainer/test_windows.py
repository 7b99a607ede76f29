"""The order of streamed rows: every row once, each row group in one window, known by a number."""

from __future__ import annotations

from itertools import accumulate, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlm_trainer.addresses import Address
from vlm_trainer.blocks import Block, Blocks
from vlm_trainer.errors import UsageError
from vlm_trainer.mixing import Part, mixed_order
from vlm_trainer.windows import MIB, Windows, check_fits, shuffled, windows_of

FOOTER_BYTES = 10


def shard(*groups: tuple[int, int]) -> Blocks:
    """A shard of groups with so many rows and bytes."""
    starts = (0, *accumulate(rows for rows, _ in groups))
    ends = list(accumulate((size for _, size in groups), initial=4))
    spans = tuple(pairwise(ends))
    footer = ends[-1]
    return Blocks("key", Address("memory://x"), starts, spans, footer, footer + FOOTER_BYTES)


GROUPS = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 100)), max_size=12)


@given(shards=st.lists(GROUPS, max_size=4), most=st.integers(1, 400), epoch=st.integers(0, 9))
def test_an_epoch_shows_every_row_once_and_a_group_in_one_window(
    shards: list[list[tuple[int, int]]], most: int, epoch: int
) -> None:
    rows = sum(count for groups in shards for count, _ in groups)
    windows = windows_of([shard(*groups) for groups in shards], most, rows)

    order = windows.order(epoch, 42)

    assert sorted(order.tolist()) == list(range(rows))
    assert order.tolist() == windows.order(epoch, 42).tolist()
    groups = (np.searchsorted(windows.starts, order, side="right") - 1).tolist()
    together, left = set[int](), 0  # groups that are entered, and their rows to come
    for group in groups:
        if group not in together:
            together.add(group)
            left += int(windows.starts[group + 1] - windows.starts[group])
        left -= 1
        if not left:
            assert len(together) == 1 or sum(windows.sizes[list(together)]) <= most
            together.clear()


def test_a_window_is_as_large_as_its_groups_and_what_is_fetched_with_them() -> None:
    shards = [shard((3, 90), (2, 40)), shard((5, 70))]

    windows = windows_of(shards, 150, rows=10)

    assert windows.starts.tolist() == [0, 3, 5, 10]
    assert windows.sizes.tolist() == [100, 50, 80]
    assert [Block(shards[0], at).size for at in (0, 1)] == [100, 50]
    assert windows.numbers(np.array([0, 4, 5, 9])).tolist() == [0, 0, 1, 1]


def test_rows_are_shuffled_within_their_window_alone() -> None:
    windows = Windows(np.arange(0, 101, 10), np.full(10, 10), 30)

    order = windows.order(0, 42).reshape(-1)

    windows_of_groups = [set((order[at : at + 30] // 10).tolist()) for at in (0, 30, 60)]
    assert [len(groups) for groups in windows_of_groups] == [3, 3, 3]
    assert order[:30].tolist() != sorted(order[:30].tolist())
    assert order.tolist() != windows.order(1, 42).tolist()
    assert order.tolist() != windows.order(0, 43).tolist()


def test_leaving_a_row_out_moves_no_other() -> None:
    windows = Windows(np.arange(0, 101, 10), np.full(10, 10), 30)
    kept = [row for row in range(100) if row != 37]

    whole, less = (
        [rows[at] for at in shuffled(2, 42, rows, 100, windows)] for rows in (range(100), kept)
    )

    assert less == [row for row in whole if row != 37]


def test_with_a_limit_the_groups_behind_it_take_no_room_in_a_window() -> None:
    windows = windows_of([shard(*[(10, 10)] * 10)], 40, rows=25)

    assert windows.starts.tolist() == [0, 10, 20, 30]
    order = shuffled(0, 42, range(25), 100, windows).tolist()
    assert sorted(order) == list(range(25))
    assert len({row // 10 for row in order[:15]}) > 1


def test_a_folder_of_a_mix_comes_in_windows_of_its_own() -> None:
    windows = Windows(np.arange(0, 101, 10), np.full(10, 10), 20)
    parts = [Part("s3://a", np.arange(100), 100, 0.5, None, windows), Part("b", np.arange(7), 7, 1)]

    halves = [mixed_order(epoch, 42, parts).rows for epoch in (0, 1)]

    streamed = [rows[rows < 100] for rows in halves]
    assert sorted([*streamed[0], *streamed[1]]) == list(range(100))
    assert len(set((streamed[0][:20] // 10).tolist())) == 2


def test_a_group_that_does_not_fit_is_refused_with_the_size_that_does() -> None:
    windows = windows_of([shard((3, 3 * MIB - FOOTER_BYTES))], MIB, rows=3)

    with pytest.raises(UsageError, match=r"up to 3 MiB do not fit .* --stream-cache-mib 6 or more"):
        check_fits(windows, "s3://a", 2)
