"""Qwen messages: parts that name their picture, and at which size it is looked at."""

from __future__ import annotations

from typing import Any

import pytest

from vlm_datakit.conversation import Conversation, Image, ImageRef, Message, Text
from vlm_datakit.errors import RowError
from vlm_datakit.formats.format import row_of
from vlm_datakit.formats.qwen import FORMAT, parse
from vlm_datakit.losses import Loss

IMAGE = {"type": "image", "image": "a.png"}
PICTURE = Image(b"GIF", "image/gif", 1, 1)


def row(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [*parts]}]}


def test_sizes_are_kept_one_object_or_null_a_picture() -> None:
    sized = {**IMAGE, "resized_height": 28, "resized_width": 56}
    draft = parse(row(IMAGE, {"type": "text", "text": "or"}, sized))

    options = [None, {"resized_height": 28, "resized_width": 56}]
    assert draft.messages[0] == Message(
        "user", (ImageRef(), Text("or"), ImageRef()), {"image_options": options}
    )
    assert draft.warnings == ()
    back = row_of(draft.with_images((PICTURE, PICTURE)), FORMAT, lambda _: "a.png")
    assert back == row(IMAGE, {"type": "text", "text": "or"}, sized)


def test_keys_that_arrow_fills_with_null_are_none() -> None:
    draft = parse(row({**IMAGE, "text": None, "min_pixels": None, "image_url": None}))

    assert (draft.messages[0].extras, draft.warnings) == ({}, ())


def test_contents_may_be_texts() -> None:
    draft = parse({"messages": [{"role": "user", "content": "a"}]})

    assert draft.messages == (Message("user", (Text("a"),)),)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        pytest.param({"messages": [7]}, "field-wrong-type at $.messages[0]: 7", id="no message"),
        pytest.param(row("a"), 'field-wrong-type at $.messages[0].content[0]: "a"', id="no part"),  # type: ignore[arg-type]
        pytest.param(
            row({"type": "video", "video": "a.mp4"}),
            'part-unknown at $.messages[0].content[0].type: "video"',
            id="a video",
        ),
        pytest.param(
            row({**IMAGE, "min_pixels": 1e30}),
            "number-not-exact at $.messages[0].content[0].min_pixels: 1e+30",
            id="digits lost",
        ),
    ],
)
def test_a_broken_row_says_where(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(RowError) as caught:
        parse(fields)

    assert f"{caught.value}" == words


@pytest.mark.parametrize(
    "options",
    [[], [None], [{}], [{"fps": 2}], [{"max_pixels": None}], [{"max_pixels": 9}] * 2, "a", [7]],
    ids=repr,
)
def test_options_that_are_not_one_a_picture_are_lost(options: Any) -> None:
    message = Message("user", (ImageRef(),), {"image_options": options})
    conversation = Conversation((message,), (PICTURE,))

    assert [lost.loss for lost in FORMAT.losses(conversation)] == [Loss.IMAGE_OPTIONS]
    assert row_of(conversation, FORMAT, lambda _: "a.png") == row(IMAGE)


def test_what_is_no_message_of_qwen_is_lost() -> None:
    message = Message("user", (ImageRef("low"),), {"weight": 1, "name": "a"})
    answers = (Message("assistant", (Text("b"),)), Message("assistant", (Text("c"),)))
    conversation = Conversation((message, *answers), (PICTURE,), None, None, 2)

    losses = [lost.loss for lost in FORMAT.losses(conversation)]
    assert losses == [Loss.BOUNDARY, Loss.FLAGS, Loss.DETAIL]
