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


def test_a_pair_is_a_layout_of_its_own_and_needs_a_rejected_answer() -> None:
    pair = parse(TEXTS).with_images(())

    assert (layout_of(pair), FORMAT.losses(pair)) == ("pair", ())
    assert [lost.what for lost in FORMAT.losses(Conversation(pair.messages))] == [
        "a row without a rejected answer"
    ]


QUESTION = {"role": "user", "content": "2 + 2?"}
ANSWERS = [{"role": "assistant", "content": text} for text in ("4", "5")]
WHOLE = {"chosen": [QUESTION, ANSWERS[0]], "rejected": [QUESTION, ANSWERS[1]]}


@pytest.mark.parametrize("prompt", [None, "2 + 2?", [QUESTION]], ids=["none", "text", "messages"])
def test_the_prompt_is_what_both_conversations_begin_with(prompt: Any) -> None:
    draft = parse({**WHOLE, "prompt": prompt})

    assert draft == parse(TEXTS)


def test_a_prompt_of_messages_says_where_it_ends() -> None:
    further = [QUESTION, {"role": "assistant", "content": "Sure?"}, QUESTION]
    row = {"chosen": [*further, ANSWERS[0]], "rejected": [*further, ANSWERS[1]]}

    assert parse(row).prompt_messages == 3
    assert parse({**row, "prompt": further[:1]}).prompt_messages == 1


def test_a_picture_in_both_conversations_is_one_picture() -> None:
    shown = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "?"}]}
    row = {name: [shown, answer] for name, answer in zip(WHOLE, ANSWERS, strict=True)}

    draft = parse({**row, "images": ["a.png"]})

    assert draft.messages[0].content == (ImageRef(), Text("?"))
    assert draft.rejected == (turn("assistant", "5"),)


OTHER = {"role": "user", "content": "3 + 3?"}


@pytest.mark.parametrize(
    ("fields", "reason", "where"),
    [
        pytest.param(
            {**WHOLE, "prompt": "3 + 3?"}, Reason.PROMPT_DIFFERS, "$.prompt", id="another text"
        ),
        pytest.param(
            {**WHOLE, "prompt": [OTHER]}, Reason.PROMPT_DIFFERS, "$.prompt", id="other messages"
        ),
        pytest.param({**WHOLE, "prompt": 7}, Reason.FIELD_NOT_TEXT, "$.prompt", id="a number"),
        pytest.param(
            {**WHOLE, "rejected": [OTHER, ANSWERS[1]]},
            Reason.PROMPT_DIFFERS,
            "$.rejected",
            id="two questions",
        ),
        pytest.param(
            {**WHOLE, "chosen": [QUESTION, OTHER, ANSWERS[0]]},
            Reason.PROMPT_DIFFERS,
            "$.rejected",
            id="a question more",
        ),
        pytest.param(
            {**WHOLE, "rejected": WHOLE["chosen"]}, Reason.PAIR_EQUAL, "$.rejected", id="equal"
        ),
        pytest.param(
            {**WHOLE, "rejected": [QUESTION]}, Reason.ANSWER_MISSING, "$.rejected", id="no answer"
        ),
        pytest.param(
            {**WHOLE, "rejected": [QUESTION], "prompt": [QUESTION]},
            Reason.ANSWER_MISSING,
            "$.rejected",
            id="no answer to a given prompt",
        ),
        pytest.param(
            {**WHOLE, "prompt": "2 + 2?", "rejected": "5"},
            Reason.PROMPT_DIFFERS,
            "$.chosen",
            id="one whole, one answer",
        ),
        pytest.param(
            {**TEXTS, "prompt": "<image>?", "image": "a.png"},
            Reason.IMAGE_COUNT_DIFFERS,
            "$.images",
            id="a place spelled in a text",
        ),
    ],
)
def test_conversations_that_are_no_pair_are_refused(
    fields: dict[str, Any], reason: Reason, where: str
) -> None:
    with pytest.raises(RowError) as caught:
        parse(fields)

    assert caught.value.args[:2] == (reason, where)


def test_an_answer_that_begins_with_a_question_is_a_loss() -> None:
    messages = (turn("user", "a"), turn("user", "b"), turn("assistant", "c"))
    pair = Conversation(messages, prompt_messages=1, rejected=(turn("assistant", "d"),))

    assert [lost.loss for lost in FORMAT.losses(pair)] == ["boundary"]
