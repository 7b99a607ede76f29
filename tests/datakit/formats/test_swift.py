"""ms-swift rows: places in texts, losses, calls as turns, and another answer."""

from __future__ import annotations

from typing import Any

import pytest

from vlm_datakit.conversation import Conversation, ImageRef, Message, Text
from vlm_datakit.errors import RowError
from vlm_datakit.formats.format import row_of
from vlm_datakit.formats.swift import FORMAT, parse
from vlm_datakit.losses import Loss


def turn(role: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


def row(*turns: dict[str, Any], **columns: Any) -> dict[str, Any]:
    return {"messages": [*turns], **columns}


def message(role: str, *texts: str, **extras: Any) -> Message:
    return Message(role, tuple(map(Text, texts)), extras)


def call(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "arguments": {}}}


def calling(name: str, **more: Any) -> dict[str, Any]:
    return turn("tool_call", f'{{"name":"{name}","arguments":{{}}}}', **more)


USER, ASSISTANT = turn("user", "a"), turn("assistant", "b")


def test_pictures_without_a_place_stand_before_the_first_question() -> None:
    draft = parse(row(turn("system", "s"), USER, ASSISTANT, images=["1.png", "2.png"]))

    assert draft.messages[1].content == (ImageRef(), ImageRef(), Text("a"))


def test_one_picture_may_stand_in_a_column_of_that_name() -> None:
    draft = parse(row(USER, ASSISTANT, image="1.png", images=None))

    assert draft.messages[0].content == (ImageRef(), Text("a"))
    assert ([image.where for image in draft.images], draft.warnings) == (["$.image"], ())


def test_pictures_of_a_row_without_a_question_have_no_place() -> None:
    with pytest.raises(RowError, match="0 <image> for 1 images"):
        parse(row(ASSISTANT, images=["1.png"]))


@pytest.mark.parametrize(
    ("given", "extras"),
    [
        pytest.param({"loss": False}, {"train": False}, id="a boolean"),
        pytest.param({"loss": 0.5}, {"weight": 0.5}, id="a number"),
        pytest.param({"loss": True, "loss_scale": 2}, {"train": True, "weight": 2}, id="a scale"),
        pytest.param({"loss": None}, {}, id="null"),
    ],
)
def test_a_loss_is_what_to_train_on(given: dict[str, Any], extras: dict[str, Any]) -> None:
    assert parse(row(USER, turn("assistant", "b", **given))).messages[1].extras == extras


def test_calls_in_a_row_and_the_text_before_are_one_message() -> None:
    turns = (USER, ASSISTANT, calling("x"), calling("y"), turn("tool", "1"), turn("tool", "2"))
    fields = row(*turns, ASSISTANT)
    draft = parse(fields)

    assert draft.messages == (
        message("user", "a"),
        message("assistant", "b", tool_calls=[call("x"), call("y")]),
        *(message("tool", "1"), message("tool", "2"), message("assistant", "b")),
    )
    assert row_of(draft.with_images(()), FORMAT) == fields


def test_of_calls_in_a_row_the_first_says_the_loss() -> None:
    draft = parse(row(USER, calling("x", loss=False), calling("y", loss=True)))

    assert draft.messages[1].extras == {"train": False, "tool_calls": [call("x"), call("y")]}
    assert [warned.where for warned in draft.warnings] == ["$.messages[2].loss"]


def test_a_rejected_text_is_for_the_last_message() -> None:
    fields = row(USER, calling("x"), turn("tool", "1"), ASSISTANT, rejected_response="c")
    draft = parse(fields)

    assert (draft.prompt_messages, draft.rejected) == (3, (message("assistant", "c"),))
    assert row_of(draft.with_images(()), FORMAT) == fields


def test_rejected_messages_are_for_all_after_the_last_question() -> None:
    fields = row(USER, calling("x"), turn("tool", "1"), ASSISTANT, rejected_response=[ASSISTANT])
    draft = parse(fields)

    assert (draft.prompt_messages, draft.rejected) == (1, (message("assistant", "b"),))
    assert row_of(draft.with_images(()), FORMAT) == fields


def test_older_rows_say_query_response_and_history() -> None:
    older = {"query": "c", "response": "d", "history": [["a", "b"]], "system": "s"}
    newer = [turn("system", "s"), USER, ASSISTANT, turn("user", "c"), turn("assistant", "d")]

    assert parse(older) == parse(row(*newer))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        pytest.param({}, "field-missing at $.messages: null", id="none"),
        pytest.param(row(turn("gpt", "a")), 'role-unknown at $.messages[0].role: "gpt"', id="role"),
        pytest.param(row(turn("user", [])), "field-not-text at $.messages[0].content", id="parts"),
        pytest.param({"query": "a"}, "field-missing at $.response: null", id="no response"),
        pytest.param(
            {"query": "a", "response": "b", "history": [["a"]]},
            "field-wrong-type at $.history[0]: a list of 1",
            id="one of two",
        ),
        pytest.param(
            row(USER, ASSISTANT, rejected_response="b"),
            'pair-equal at $.rejected_response: "b"',
            id="equal answers",
        ),
        pytest.param(
            row(USER, ASSISTANT, rejected_images=["a.png"]),
            "part-unknown at $.rejected_images: a list of 1",
            id="other pictures",
        ),
        pytest.param(
            row(turn("user", "<bbox>"), ASSISTANT, objects={"bbox": [[1, 2]]}),
            "part-unknown at $.objects: an object with bbox",
            id="grounding",
        ),
        pytest.param(
            row(USER, ASSISTANT, objects={"ref": ["a"]}, rejected_response="<ref-object>"),
            "part-unknown at $.objects: an object with ref",
            id="grounding in the other answer",
        ),
    ],
)
def test_a_broken_row_says_where(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(RowError) as caught:
        parse(fields)

    assert f"{caught.value}".startswith(words)


def test_objects_without_tags_are_warned_of() -> None:
    draft = parse(row(USER, ASSISTANT, objects={"ref": ["a"]}))

    assert [warned.where for warned in draft.warnings] == ["$.objects"]


@pytest.mark.parametrize(
    ("messages", "losses"),
    [
        pytest.param(["user", "assistant", "tool", "tool", "assistant"], [], id="a run of tools"),
        pytest.param(["user", "user", "assistant"], [Loss.TURN_ORDER], id="it would join them"),
        pytest.param(["user", "tool", "assistant"], [Loss.TURN_ORDER], id="a tool unasked"),
    ],
)
def test_rows_that_it_would_join_are_not_written(messages: list[str], losses: list[Loss]) -> None:
    found = FORMAT.losses(Conversation(tuple(message(role, "a") for role in messages)))

    assert [lost.loss for lost in found] == losses


@pytest.mark.parametrize("extras", [{"train": 1}, {"weight": True}, {"weight": "0.5"}])
def test_flags_that_it_would_not_understand_are_lost(extras: dict[str, Any]) -> None:
    found = FORMAT.losses(Conversation((message("user", "a"), message("assistant", "b", **extras))))

    assert [lost.loss for lost in found] == [Loss.FLAGS]


def test_answers_that_part_elsewhere_have_no_place() -> None:
    calls = message("assistant", "a", tool_calls=[call("x")])
    messages = (message("user", "a"), calls, message("tool", "1"), message("assistant", "b"))
    rejected = (message("assistant", "c", train=True),)
    found = FORMAT.losses(Conversation(messages, prompt_messages=3, rejected=rejected))

    assert [lost.loss for lost in found] == [Loss.BOUNDARY]
