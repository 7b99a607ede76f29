"""Counts before training are those of training, and no row is ever cut."""

from __future__ import annotations

from typing import Any

from vlm_trainer.chat import Chat
from vlm_trainer.conversation import from_columns
from vlm_trainer.errors import Reason
from vlm_trainer.lengths import Measure, histogram, measure, reasons
from vlm_trainer.render import render
from vlm_trainer.shrink import TokenLimit
from vlm_trainer.sizes import PixelRule

RULE = PixelRule(min_pixels=784, max_pixels=50_176)


def mixed(rows: Any, photos: list[bytes]) -> list[Any]:
    asked = rows.message("user", rows.IMAGE, "What?")
    answered = rows.message("assistant", "That.")
    return [
        from_columns(rows.chat_row("photo", asked, answered, images=photos[:1])),
        from_columns(rows.chat_row("long", rows.message("user", "a " * 300), answered)),
        from_columns(rows.chat_row("no answer", rows.message("user", "?"))),
        from_columns(rows.chat_row("short", rows.message("user", "?"), answered)),
    ]


def test_counts_equal_those_of_rendering(rows: Any, photos: list[bytes], chat: Chat) -> None:
    conversations = mixed(rows, photos)

    lengths = measure(conversations, Measure(chat, RULE))

    rendered = [render(conversations[row], chat, RULE) for row in lengths.rows]
    assert lengths.rows.tolist() == [0, 1, 3]
    assert lengths.tokens.tolist() == [len(row.ids) for row in rendered]
    assert lengths.trained.tolist() == [(row.labels != -100).sum() for row in rendered]
    assert (lengths.images, lengths.total_rows) == (1, 4)


def test_rows_that_cannot_be_trained_are_named(rows: Any, photos: list[bytes], chat: Chat) -> None:
    lengths = measure(mixed(rows, photos), Measure(chat, RULE, TokenLimit(200)), ["short", "x"])

    assert [(row.row_id, row.reason) for row in lengths.refused] == [
        ("long", Reason.ROW_TOO_LONG),
        ("no answer", Reason.NO_SUPERVISED_TOKEN),
    ]
    assert lengths.excluded == ("short",)
    assert lengths.rows.tolist() == [0]
    assert reasons(lengths.refused) == {"row-too-long": 1, "no-supervised-token": 1}


def test_an_empty_split_has_no_rows(chat: Chat) -> None:
    lengths = measure([], Measure(chat, RULE))

    assert (len(lengths.rows), lengths.total_rows) == (0, 0)


def test_the_histogram_counts_every_row() -> None:
    lines = histogram([1, 1, 2, 9], bins=3)

    assert [line.split()[:2] for line in lines] == [["1-3", "3"], ["4-6", "0"], ["7-9", "1"]]
