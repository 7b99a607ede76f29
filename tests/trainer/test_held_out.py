"""Rows held out by their contents: no picture on both sides, and nothing but contents counts."""

from __future__ import annotations

import random
from typing import Any

import hypothesis.strategies as st
from hypothesis import given

from vlm_trainer.conversation import Conversation
from vlm_trainer.held_out import choose, contents_of

DIGESTS = st.integers(0, 15).map(lambda n: bytes([n * 17]) * 16)
ROWS = st.lists(st.lists(DIGESTS, min_size=1, max_size=3), max_size=20)


@given(ROWS, st.sampled_from([0.0, 0.1, 0.5, 1.0]))
def test_no_picture_stands_on_both_sides(rows: list[list[bytes]], share: float) -> None:
    chosen = choose(rows, share)

    held = {digest for row, is_held in zip(rows, chosen, strict=True) if is_held for digest in row}
    kept = {d for row, is_held in zip(rows, chosen, strict=True) if not is_held for d in row}
    assert not held & kept


@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_count(rows: list[list[bytes]], chance: random.Random) -> None:
    order = list(range(len(rows)))
    chance.shuffle(order)

    shuffled = choose([rows[n] for n in order], 0.3)

    assert shuffled == [choose(rows, 0.3)[n] for n in order]


def test_about_the_share_is_held_out() -> None:
    rows = [
        [contents_of(Conversation("", ({"role": "user", "content": [n]},)))[0]]
        for n in range(4_000)
    ]

    assert 350 < sum(choose(rows, 0.1)) < 450
    assert sum(choose(rows, 0.0)) == 0
    assert all(choose(rows, 1.0))


def test_a_row_is_known_by_its_pictures_else_by_its_texts(rows: Any) -> None:
    one = Conversation("a", (rows.message("user", "?"),), images=(b"x", b"y"))
    other = Conversation("b", (rows.message("user", "!"),), images=(b"y",))
    text = Conversation("c", (rows.message("user", "?"),))

    assert contents_of(one)[1] == contents_of(other)[0]
    assert contents_of(text) == contents_of(Conversation("d", (rows.message("user", "?"),)))
    assert contents_of(text) != contents_of(Conversation("d", (rows.message("user", "!"),)))
