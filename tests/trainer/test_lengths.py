"""Counts before training are those of training, and no row is ever cut."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vlm_trainer.chat import Chat, compile_template
from vlm_trainer.conversation import from_columns
from vlm_trainer.errors import Reason
from vlm_trainer.labels import LabelRule
from vlm_trainer.lengths import Measure, histogram, measure, reasons
from vlm_trainer.render import lay_out, render
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


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(1, 400), st.integers(1, 400)), min_size=1, max_size=3))
def test_counts_from_headers_are_those_of_the_hf_processor(
    rows: Any, chat: Chat, tiny_words: Path, sides: list[tuple[int, int]]
) -> None:
    """The tiny model's own processor, given the pictures; ours saw their sizes alone."""
    from PIL import Image

    from vlm_trainer.hf_processor import load_processor

    sides = [(w, h) for w, h in sides if max(w, h) <= 200 * min(w, h)]
    images = [rows.picture(np.zeros((height, width, 3), np.uint8)) for width, height in sides]
    asked = rows.message("user", *[rows.IMAGE] * len(sides), "What?")
    row = rows.chat_row("a", asked, rows.message("assistant", "That."), images=images)
    header = replace(from_columns(row), images=())

    lengths = measure([header], Measure(chat, PixelRule(min_pixels=784, max_pixels=3136)))

    processor = load_processor(tiny_words)
    text = processor.apply_chat_template(row["messages"])
    pictures = [Image.open(io.BytesIO(image)) for image in images] or None
    theirs = processor(text=[text], images=pictures)["input_ids"][0]
    assert lengths.tokens.tolist() == [len(theirs)]


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


@given(
    st.lists(st.tuples(st.integers(28, 900), st.integers(28, 900)), max_size=3),
    st.integers(20, 400),
    st.sampled_from([784, 3136, 40_000]),
)
def test_a_shrunk_row_fits_and_is_rendered_as_it_was_counted(
    rows: Any, chat: Chat, sides: list[tuple[int, int]], tokens: int, floor: int
) -> None:
    images = [rows.picture(np.zeros((height, width, 3), np.uint8)) for width, height in sides]
    asked = rows.message("user", *[rows.IMAGE] * len(sides), "What?")
    row = from_columns(rows.chat_row("a", asked, rows.message("assistant", "That."), images=images))
    rule = PixelRule(min_pixels=floor, max_pixels=400_000)
    whole = len(lay_out(row, chat, rule).ids)

    header = replace(row, images=())
    lengths = measure([header], Measure(chat, rule, TokenLimit(tokens, shrinks=True)))

    if not len(lengths.rows):
        assert (lengths.refused[0].reason, whole > tokens) == (Reason.ROW_TOO_LONG, True)
        assert lengths.refused[0].seen == f"{whole} tokens, --max-length {tokens}"
        return
    rendered = Measure(chat, rule, TokenLimit(tokens, shrinks=True)).render(row)
    assert len(rendered.ids) == lengths.tokens[0] <= tokens
    assert (rendered.ids == chat.image_token_id).sum() == sum(
        len(image.values_PD) // 4 for image in rendered.images
    )
    assert (rendered.shrunk_to is None) == (whole <= tokens) == (lengths.shrunk == 0)
    assert lengths.shrunk_to == (rendered.shrunk_to or 0)
    if whole <= tokens:
        assert lengths.tokens[0] == whole


def test_rows_whose_tools_the_template_leaves_out_are_counted(rows: Any, chat: Chat) -> None:
    said = rows.message("user", "?"), rows.message("assistant", "!")
    tools = json.dumps([{"type": "function", "function": {"name": "look_up"}}])
    given = [{**rows.chat_row("a", *said), "tools": each} for each in (tools, None)]
    conversations = [*map(from_columns, given)]
    template = "{% for tool in tools or [] %}{{ tool['function']['name'] }}\n{% endfor %}"
    writing = replace(chat, write=compile_template(template + chat.template))

    assert measure(conversations, Measure(chat, RULE)).unwritten_tools == 1
    assert measure(conversations, Measure(writing, RULE)).unwritten_tools == 0


def test_rows_whose_flags_are_not_read_are_counted(rows: Any, chat: Chat) -> None:
    said = rows.message("user", "?"), rows.message("assistant", "!")
    flags = [{"weight": 0}, {"weight": 1}, {"name": "x"}, {"train": False}]
    conversations = [
        from_columns(rows.chat_row("a", *said, extras=json.dumps({"1": flag}))) for flag in flags
    ]

    assert measure(conversations, Measure(chat, RULE)).unread_flags == 2
    assert (
        measure(conversations[1:3], Measure(chat, RULE, labels=LabelRule("flags"))).unread_flags
        == 0
    )
