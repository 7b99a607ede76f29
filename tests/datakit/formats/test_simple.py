"""One question, one picture, one answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from vlm_datakit.conversation import Conversation, Image, ImageRef, Message, Text
from vlm_datakit.errors import Reason, RowError
from vlm_datakit.formats.format import row_of
from vlm_datakit.formats.simple import FORMAT, losses, parse, recognise, render

GIF = Image(b"GIF", "image/gif", 1, 1)
ROW = {"text": "?", "response": "!"}


def test_a_row_becomes_a_question_with_its_picture_and_an_answer() -> None:
    draft = parse({"text": "?", "image": "a.png", "response": "!", "system": "Be brief.", "id": 7})

    assert draft.messages == (
        Message("system", (Text("Be brief."),)),
        Message("user", (ImageRef(), Text("?"))),
        Message("assistant", (Text("!"),)),
    )
    assert ([image.value for image in draft.images], draft.id) == (["a.png"], "7")


@pytest.mark.parametrize("image", [None, ""], ids=["null", "empty"])
def test_a_row_without_a_picture_is_text_alone(image: str | None) -> None:
    draft = parse({**ROW, "image": image})

    assert (draft.images, draft.messages[0].content) == ((), (Text("?"),))


@pytest.mark.parametrize(
    ("fields", "answer", "ignored"),
    [
        pytest.param({"output": "o"}, "o", [], id="output alone"),
        pytest.param({"response": None, "output": "o"}, "o", [], id="response null"),
        pytest.param({"response": "r", "output": "o"}, "r", ["$.output"], id="both"),
        pytest.param({"response": "r", "output": None}, "r", [], id="output null"),
        pytest.param({"response": "", "output": "o"}, "", ["$.output"], id="an empty response"),
        pytest.param({"response": '{"a": "007"}'}, '{"a": "007"}', [], id="JSON text stays text"),
    ],
)
def test_output_stands_in_for_a_missing_response(
    fields: dict[str, Any], answer: str, ignored: list[str]
) -> None:
    draft = parse({"text": "?", **fields})

    assert draft.messages[-1].content == (Text(answer),)
    assert [warned.where for warned in draft.warnings] == ignored


@pytest.mark.parametrize(
    ("fields", "reason", "where"),
    [
        pytest.param({"response": "!"}, Reason.FIELD_MISSING, "$.text", id="no text"),
        pytest.param({"text": "?"}, Reason.FIELD_MISSING, "$.response", id="no answer"),
        pytest.param({**ROW, "response": 7}, Reason.FIELD_NOT_TEXT, "$.response", id="a number"),
        pytest.param(
            {**ROW, "response": {"a": "007"}}, Reason.FIELD_NOT_TEXT, "$.response", id="an object"
        ),
        pytest.param({"text": "?", "output": 7}, Reason.FIELD_NOT_TEXT, "$.output", id="output"),
        pytest.param({**ROW, "system": ["s"]}, Reason.FIELD_NOT_TEXT, "$.system", id="system"),
        pytest.param({**ROW, "image": " "}, Reason.FIELD_MISSING, "$.image", id="white space"),
        pytest.param({**ROW, "image": ["a"]}, Reason.FIELD_WRONG_TYPE, "$.image", id="a list"),
        pytest.param({**ROW, "id": 1e30}, Reason.NUMBER_NOT_EXACT, "$.id", id="a long id"),
    ],
)
def test_a_row_that_is_off_is_refused_where_it_is(
    fields: dict[str, Any], reason: Reason, where: str
) -> None:
    with pytest.raises(RowError) as caught:
        parse(fields)

    assert (caught.value.reason, caught.value.where) == (reason, where)


def test_other_columns_are_warned_about() -> None:
    draft = parse({**ROW, "source": ["a"], "id": 0.5, "note": None})

    assert [(w.where, w.seen) for w in draft.warnings] == [
        ("$.source", "a list of 1"),
        ("$.id", "0.5"),
    ]


def test_a_picture_of_a_later_turn_never_joins_the_first_question() -> None:
    shown = Message("user", (ImageRef(), Text("And here?")))
    conversation = Conversation((QUESTION, ANSWER, shown, ANSWER), (GIF,))

    assert render(conversation, ["a.gif"]) == {"text": "?", "response": "!"}


def test_a_conversation_becomes_a_row(chat: Callable[..., Conversation]) -> None:
    conversation = chat("?", "!", (GIF,), id="7")
    system = Message("system", (Text("Be brief."),))

    row = row_of(Conversation((system, *conversation.messages), (GIF,), "7"), FORMAT)

    image = "data:image/gif;base64,R0lG"
    assert row == {"id": "7", "system": "Be brief.", "text": "?", "image": image, "response": "!"}
    assert losses(conversation) == ()


QUESTION, ANSWER = Message("user", (Text("?"),)), Message("assistant", (Text("!"),))
SYSTEM = Message("system", (Text("s"),))


@pytest.mark.parametrize(
    ("messages", "facts", "found"),
    [
        pytest.param((QUESTION, ANSWER) * 2, {}, [("$.messages", "4 messages")], id="turns"),
        pytest.param((SYSTEM, SYSTEM, QUESTION, ANSWER), {}, [("$.messages", "4 messages")]),
        pytest.param((QUESTION,), {}, [("$.messages", "1 messages")], id="no answer"),
        pytest.param(
            (Message("user", (ImageRef(), ImageRef(), Text("?"))), ANSWER),
            {"images": (GIF, GIF)},
            [("$.messages", "2 images")],
            id="pictures",
        ),
        pytest.param((QUESTION, ANSWER), {"tools": "[]"}, [("$.tools", "tools")], id="tools"),
        pytest.param(
            (QUESTION, ANSWER),
            {"rejected": (ANSWER,)},
            [("$.rejected", "the rejected answer")],
            id="a pair",
        ),
        pytest.param(
            (Message("user", (Text("?"),), {"name": "Ana"}), ANSWER),
            {},
            [("$.messages[0].name", "name")],
            id="a name",
        ),
        pytest.param(
            (Message("user", (Text("?"), Text("?"))), ANSWER),
            {},
            [("$.messages[0].content", "2 texts in one message")],
            id="two texts",
        ),
        pytest.param(
            (Message("user", (ImageRef(),)), ANSWER),
            {"images": (GIF,)},
            [("$.messages[0].content", "0 texts in one message")],
            id="a picture alone",
        ),
        pytest.param(
            (Message("user", (Text("?"), ImageRef())), ANSWER),
            {"images": (GIF,)},
            [("$.messages[0].content", "an image after the text")],
            id="a picture behind the text",
        ),
        pytest.param(
            (Message("user", (ImageRef("low"), Text("?"))), ANSWER),
            {"images": (GIF,)},
            [("$.messages[0].content", "detail")],
            id="detail",
        ),
    ],
)
def test_what_has_no_place_is_named(
    messages: tuple[Message, ...], facts: dict[str, Any], found: list[tuple[str, str]]
) -> None:
    assert [(loss.where, loss.what) for loss in losses(Conversation(messages, **facts))] == found


@pytest.mark.parametrize(
    ("fields", "is_known"),
    [
        pytest.param({"text": "", "response": ""}, True, id="response"),
        pytest.param({"text": "", "output": ""}, True, id="output"),
        pytest.param({"text": ""}, False, id="text alone"),
        pytest.param({"instruction": "", "output": ""}, False, id="Alpaca"),
    ],
)
def test_rows_are_recognised_by_their_columns(fields: dict[str, Any], is_known: bool) -> None:
    assert (recognise(fields) is not None) is is_known
