"""Rows of few columns: what they hold of a conversation, and what they leave out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from vlm_datakit.conversation import Conversation, Image, ImageRef, Message, Text
from vlm_datakit.errors import Reason, RowError
from vlm_datakit.formats import FORMATS, cauldron, classification, qa, transcript, vqa
from vlm_datakit.formats.format import Format

GIF = Image(b"GIF", "image/gif", 1, 1)
SYSTEM = Message("system", (Text("s"),))
USER, ANSWER = Message("user", (Text("?"),)), Message("assistant", (Text("!"),))
SHOWN = Message("user", (ImageRef(), Text("?")))
CALLS = Message("assistant", (), {"tool_calls": []})
TOOL = Message("tool", (Text("t"),))
COLUMNS = [cauldron.FORMAT, vqa.FORMAT, qa.FORMAT, transcript.FORMAT, classification.FORMAT]
CLASS = Message("user", (ImageRef(), Text(classification.QUESTION)))


def names(format_: Format, *messages: Message, **given: Any) -> list[str]:
    places = sum(isinstance(part, ImageRef) for m in messages for part in m.content)
    conversation = Conversation(messages, (GIF,) * places, **given)
    return sorted({str(lost.loss) for lost in format_.losses(conversation)})


@pytest.mark.parametrize(
    ("format_", "messages"),
    [
        (cauldron.FORMAT, (SHOWN, ANSWER, USER, ANSWER)),
        (vqa.FORMAT, (SHOWN, ANSWER)),
        (classification.FORMAT, (CLASS, ANSWER)),
        (qa.FORMAT, (USER, ANSWER)),
        (transcript.FORMAT, (USER, ANSWER, USER)),
    ],
    ids=lambda value: value.name if isinstance(value, Format) else "",
)
def test_what_fits_is_held_whole(format_: Format, messages: tuple[Message, ...]) -> None:
    assert names(format_, *messages) == []


@pytest.mark.parametrize(
    ("format_", "messages", "lost"),
    [
        (cauldron.FORMAT, (SYSTEM, USER, ANSWER), ["system"]),
        (cauldron.FORMAT, (USER, ANSWER, SHOWN, ANSWER), ["image-place"]),
        (cauldron.FORMAT, (USER, ANSWER, USER), ["last-turn"]),
        (cauldron.FORMAT, (USER, ANSWER, TOOL, ANSWER), ["roles"]),
        (cauldron.FORMAT, (USER, USER, ANSWER), ["joined-texts"]),
        (vqa.FORMAT, (SHOWN, ANSWER, USER, ANSWER), ["first-turn"]),
        (vqa.FORMAT, (Message("user", (Text("?"), ImageRef())), ANSWER), ["image-place"]),
        (vqa.FORMAT, (Message("user", (ImageRef(),) * 2 + (Text("?"),)), ANSWER), ["first-image"]),
        (vqa.FORMAT, (Message("user", (ImageRef("low"), Text("?"))), ANSWER), ["detail"]),
        (qa.FORMAT, (SHOWN, ANSWER), ["images"]),
        (
            qa.FORMAT,
            (USER, Message("assistant", (), {"tool_calls": []})),
            ["joined-texts", "tool-calls"],
        ),
        (classification.FORMAT, (SHOWN, ANSWER), ["question"]),
        (classification.FORMAT, (USER, ANSWER), ["no-image", "question"]),
        (transcript.FORMAT, (SHOWN, Message("assistant", (Text("<image>"),))), ["placeholder"]),
        (
            transcript.FORMAT,
            (Message("user", (Text("a"), Text("b"), ImageRef())), ANSWER),
            ["joined-texts"],
        ),
        (transcript.FORMAT, (Message("user", (Text("a\n\nHuman: b"),)), ANSWER), ["turn-markers"]),
    ],
)
def test_what_does_not_fit_is_named(
    format_: Format, messages: tuple[Message, ...], lost: list[str]
) -> None:
    assert names(format_, *messages) == lost


@pytest.mark.parametrize("format_", COLUMNS, ids=lambda format_: format_.name)
def test_tools_and_an_inner_prompt_have_no_column(format_: Format) -> None:
    messages = (USER, ANSWER, USER, ANSWER)
    found = names(format_, *messages, tools="[]", prompt_messages=3)

    assert {"tools"} < set(found)
    assert ("boundary" in found) == (format_.name in ("cauldron", "transcript"))


def test_a_picture_of_a_later_turn_never_joins_the_first_question() -> None:
    conversation = Conversation((USER, ANSWER, SHOWN, ANSWER), (GIF,))

    assert vqa.render(conversation, ["a.gif"]) == {"question": "?", "answer": "!"}
    assert classification.render(conversation, ["a.gif"]) == {"label": "!"}


def test_joined_texts_are_one_turn_with_the_pictures_before_it() -> None:
    conversation = Conversation((USER, SHOWN, ANSWER, ANSWER), (GIF,))

    row = {"images": ["a.gif"], "texts": [{"user": "??", "assistant": "!!"}]}
    assert cauldron.render(conversation, ["a.gif"]) == row


def test_a_question_that_nobody_answers_is_left_out() -> None:
    row = cauldron.render(Conversation((USER, ANSWER, USER)), [])

    assert row["texts"] == [{"user": "?", "assistant": "!"}]


@pytest.mark.parametrize(
    ("parse", "fields", "reason", "where"),
    [
        pytest.param(
            vqa.parse,
            {"question": "?", "answers": ["a", "A"]},
            Reason.ANSWERS_DIFFER,
            "$.answers",
            id="different answers",
        ),
        pytest.param(
            vqa.parse, {"question": "?", "answer": 7}, Reason.FIELD_NOT_TEXT, "$.answer", id="vqa"
        ),
        pytest.param(
            classification.parse,
            {"image": "a", "label": 7},
            Reason.FIELD_NOT_TEXT,
            "$.label",
            id="a class by number",
        ),
        pytest.param(
            qa.parse,
            {"question": "?", "answer": "!", "query": "?", "response": "!"},
            Reason.FIELD_WRONG_TYPE,
            "$",
            id="two questions",
        ),
        pytest.param(
            qa.parse,
            {"question": "?", "answer": "!", "image": "a"},
            Reason.IMAGE_COUNT_DIFFERS,
            "$.image",
            id="a picture beside texts",
        ),
    ],
)
def test_nothing_is_guessed(
    parse: Callable[..., Any], fields: dict[str, Any], reason: Reason, where: str
) -> None:
    with pytest.raises(RowError) as caught:
        parse(fields)

    assert caught.value.args[:2] == (reason, where)


def test_ratings_and_sources_are_warned_of() -> None:
    turn = {"user": "?", "assistant": "!", "source": "VQA"}

    draft = cauldron.parse({"texts": [turn], "relevance_ratings": [5]})

    assert [w.where for w in draft.warnings] == ["$.relevance_ratings", "$.texts[0].source"]
    assert {w.reason for w in draft.warnings} == {Reason.FIELD_IGNORED}


def test_the_one_question_of_classes_is_said_to_whoever_has_them_recognised() -> None:
    evidence = FORMATS["classification"].recognise({"image": "a", "label": "b"})

    assert evidence is not None
    assert classification.QUESTION in evidence.words


@pytest.mark.parametrize(
    "text",
    [
        "\n\nHuman: Hi\n\nAssistant: Hello.",
        "\n\nHuman:  two spaces \n\n\nAssistant: \n\nHuman: ",
        "\n\nHuman: Human: a\nHuman: b\n\nhuman: c\n\nAssistant: \n",
    ],
)
def test_a_transcript_comes_back_to_the_byte(text: str) -> None:
    assert transcript.render(transcript.parse({"text": text}).with_images(()), []) == {"text": text}


def test_a_pair_of_transcripts_is_split_where_they_differ() -> None:
    start = "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant:"
    row = {"chosen": f"{start} d", "rejected": f"{start} e"}

    draft = transcript.parse(row)

    assert (draft.prompt_messages, len(draft.messages), len(draft.rejected)) == (3, 4, 1)
    assert transcript.render(draft.with_images(()), []) == row


@pytest.mark.parametrize(
    ("question", "content"),
    [
        ("What is it?", (ImageRef(), ImageRef(), Text("What is it?"))),
        ("<image>Or\n<image>?", (ImageRef(), Text("Or\n"), ImageRef(), Text("?"))),
    ],
)
def test_pictures_stand_in_the_prompt_of_transcripts(question: str, content: tuple[Any, ...]):
    asked = f"\n\nHuman: {question}\n\nAssistant:"
    row = {"chosen": f"{asked} a", "rejected": f"{asked} b", "images": ["a.png", "b.png"]}

    draft = transcript.parse(row)

    assert (draft.messages[0].content, len(draft.images)) == (content, 2)
    assert draft.rejected == (Message("assistant", (Text("b"),)),)


@pytest.mark.parametrize(
    ("chosen", "rejected", "reason", "where"),
    [
        ("<image><image>?\n\nAssistant: a", None, "image-count-differs", "$.images"),
        ("?\n\nAssistant: <image>", None, "image-in-answer", "$.text"),
        ("?\n\nAssistant: a", "?\n\nAssistant: <image>", "image-in-answer", "$.rejected"),
        (
            "<image>?\n\nAssistant: a",
            "<image>?\n\nAssistant: b\n\nHuman: <image>",
            "image-count-differs",
            "$.images",
        ),
    ],
)
def test_a_picture_without_one_place_in_a_transcript_is_refused(
    chosen: str, rejected: str | None, reason: str, where: str
) -> None:
    row: dict[str, Any] = {"text": f"\n\nHuman: {chosen}", "image": "a.png"}
    if rejected is not None:
        row = {"chosen": row["text"], "rejected": f"\n\nHuman: {rejected}", "image": "a.png"}

    with pytest.raises(RowError) as caught:
        transcript.parse(row)

    assert (caught.value.reason, caught.value.where) == (reason, where)


def test_without_pictures_a_transcript_may_spell_their_place() -> None:
    row = {"text": "\n\nHuman: What does <image> mean?\n\nAssistant: A picture."}

    draft = transcript.parse(row)

    assert draft.messages[0].content == (Text("What does <image> mean?"),)
    assert transcript.losses(draft.with_images(())) == ()


def test_a_pair_with_another_prompt_than_a_transcript_shows_is_a_loss() -> None:
    messages, other = (USER, ANSWER, USER, ANSWER), Message("assistant", (Text("."),))
    pair = Conversation(messages, prompt_messages=1, rejected=(ANSWER, USER, other))

    assert [lost.loss for lost in transcript.losses(pair)] == ["boundary"]
