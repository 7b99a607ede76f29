"""LLaVA rows, as Qwen's fine-tuning code reads them."""

from __future__ import annotations

from typing import Any

import pytest

from vlm_datakit.conversation import Conversation, Image, ImageRef, Message, Text
from vlm_datakit.errors import RowError
from vlm_datakit.formats.format import row_of
from vlm_datakit.formats.llava import FORMAT, parse
from vlm_datakit.losses import Loss

PAIR = {"prompt": "<image>\nName it.", "chosen": "A cat.", "rejected": "A dog.", "image": "a.png"}
IMAGE = Image(b"GIF", "image/gif", 1, 1)


def row(question: str, **columns: Any) -> dict[str, Any]:
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": "A cat."}]
    return {"conversations": turns, **columns}


def message(role: str, *texts: str) -> Message:
    return Message(role, tuple(map(Text, texts)))


def test_the_line_end_after_a_place_is_text() -> None:
    draft = parse(row("<image>\nWhat is it?", image="a.png"))

    assert draft.messages[0].content == (ImageRef(), Text("\nWhat is it?"))


@pytest.mark.parametrize("image", [None, "", []])
def test_a_row_without_a_picture_has_none(image: Any) -> None:
    draft = parse(row("2 + 2?", image=image))

    assert (draft.images, draft.warnings) == ((), ())


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        pytest.param(row("?", image="a.png"), "0 <image> for 1 images", id="no place"),
        pytest.param(row("<image>", image=["a.png"] * 2), "1 <image> for 2 images", id="left over"),
        pytest.param({**PAIR, "image": None}, "1 <image> for 0 images", id="a pair without"),
        pytest.param({**PAIR, "chosen": "<image>"}, "image-in-answer at $.chosen", id="answer"),
        pytest.param({**PAIR, "chosen": "A dog."}, "pair-equal at $.rejected", id="equal"),
        pytest.param({**PAIR, "prompt": 7}, "field-not-text at $.prompt: 7", id="a number"),
    ],
)
def test_places_must_agree_with_pictures(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(RowError) as caught:
        parse(fields)

    assert words in f"{caught.value}"


def test_a_pair_is_three_texts() -> None:
    draft = parse(PAIR)

    assert draft.messages == (
        Message("user", (ImageRef(), Text("\nName it."))),
        message("assistant", "A cat."),
    )
    assert (draft.prompt_messages, draft.rejected) == (1, (message("assistant", "A dog."),))
    assert row_of(draft.with_images((IMAGE,)), FORMAT, lambda _: "a.png") == PAIR


def test_one_picture_is_a_text_and_several_are_a_list() -> None:
    one, two = Message("user", (ImageRef(),)), Message("user", (ImageRef(), ImageRef()))
    answer = message("assistant", "b")

    rows = [
        row_of(Conversation((question, answer), (IMAGE,) * count), FORMAT, lambda _: "a.png")
        for count, question in ((1, one), (2, two))
    ]

    assert [found["image"] for found in rows] == ["a.png", ["a.png", "a.png"]]


def test_a_system_message_is_left_out_with_consent() -> None:
    messages = (message("system", "a"), message("user", "b"), message("assistant", "c"))
    conversation = Conversation(messages, tools="[]")

    assert [lost.loss for lost in FORMAT.losses(conversation)] == [Loss.TOOLS, Loss.SYSTEM]
    turns = row_of(conversation, FORMAT)["conversations"]
    assert [turn["from"] for turn in turns] == ["human", "gpt"]


@pytest.mark.parametrize(
    ("roles", "boundary"),
    [
        pytest.param(("user", "assistant", "tool", "assistant"), None, id="a tool"),
        pytest.param(("user", "assistant", "user", "assistant"), 3, id="a pair after turns"),
    ],
)
def test_other_turns_are_never_written(roles: tuple[str, ...], boundary: int | None) -> None:
    rejected = (message("assistant", "other"),) if boundary else ()
    messages = tuple(message(role, "a") for role in roles)
    found = FORMAT.losses(Conversation(messages, prompt_messages=boundary, rejected=rejected))

    assert {lost.loss for lost in found} == {Loss.TURN_ORDER}
