"""Pairs: a prompt, the answer chosen and the one rejected."""

from __future__ import annotations

from typing import Any

import pytest

from vlm_datakit.checks import check, layout_of
from vlm_datakit.conversation import Conversation, ImageRef, Message, Text
from vlm_datakit.errors import Reason, RowError
from vlm_datakit.formats.preference import FORMAT, parse, render

TEXTS = {"prompt": "2 + 2?", "chosen": "4", "rejected": "5"}
CHAT = {
    "prompt": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
    ],
    "chosen": [{"role": "assistant", "content": [{"type": "text", "text": "Hello."}]}],
    "rejected": [{"role": "assistant", "content": [{"type": "text", "text": "Well."}]}],
}


def turn(role: str, text: str) -> Message:
    return Message(role, (Text(text),))


def test_texts_are_one_turn_each_and_come_back_as_texts() -> None:
    draft = parse(TEXTS)

    assert draft.messages == (turn("user", "2 + 2?"), turn("assistant", "4"))
    assert (draft.prompt_messages, draft.rejected) == (1, (turn("assistant", "5"),))
    assert render(draft.with_images(()), []) == TEXTS


def test_messages_come_back_as_messages() -> None:
    row = render(parse(CHAT).with_images(()), [])

    assert parse(row) == parse(CHAT)
    assert row["prompt"][0] == {
        "role": "system",
        "content": [{"type": "text", "text": "Be brief."}],
    }


def test_pictures_stand_before_a_question_that_is_a_text() -> None:
    draft = parse({**TEXTS, "images": ["a.png", "b.png"]})

    assert draft.messages[0].content == (ImageRef(), ImageRef(), Text("2 + 2?"))
    assert [image.where for image in draft.images] == ["$.images[0]", "$.images[1]"]


@pytest.mark.parametrize(
    ("change", "reason", "where"),
    [
        pytest.param({"rejected": "4"}, Reason.PAIR_EQUAL, "$.rejected", id="equal"),
        pytest.param({"rejected": None}, Reason.FIELD_MISSING, "$.rejected", id="missing"),
        pytest.param({"chosen": []}, Reason.FIELD_MISSING, "$.chosen", id="empty"),
        pytest.param({"prompt": 7}, Reason.FIELD_WRONG_TYPE, "$.prompt", id="a number"),
    ],
)
def test_what_is_no_pair_is_refused(change: dict[str, Any], reason: Reason, where: str) -> None:
    with pytest.raises(RowError) as caught:
        parse({**TEXTS, **change})

    assert caught.value.args[:2] == (reason, where)


@pytest.mark.parametrize(
    ("rejected", "reason", "where"),
    [
        pytest.param((turn("user", "5"),), Reason.ANSWER_MISSING, "$.rejected", id="a question"),
        pytest.param(
            (Message("assistant", (ImageRef(), Text("5"))),),
            Reason.IMAGE_IN_ANSWER,
            "$.rejected[0]",
            id="a picture",
        ),
    ],
)
def test_the_rejected_answer_is_held_to_the_same(
    rejected: tuple[Message, ...], reason: Reason, where: str
) -> None:
    pair = Conversation(
        (turn("user", "2 + 2?"), turn("assistant", "4")), prompt_messages=1, rejected=rejected
    )

    with pytest.raises(RowError) as caught:
        check(pair)

    assert caught.value.args[:2] == (reason, where)


def test_a_pair_is_a_layout_of_its_own_and_no_other_format_holds_it() -> None:
    pair = parse(TEXTS).with_images(())

    assert (layout_of(pair), FORMAT.losses(pair)) == ("pair", ())
    assert [lost.what for lost in FORMAT.losses(Conversation(pair.messages))] == [
        "a row without a rejected answer"
    ]
