"""Rows of Anthropic's API: blocks, calls, and tools in its own dialect."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from vlm_datakit.conversation import (
    Conversation,
    Image,
    ImageForm,
    ImageRef,
    ImageSource,
    Message,
    Text,
)
from vlm_datakit.errors import Reason, RowError
from vlm_datakit.formats.anthropic import FORMAT, losses, parse, render
from vlm_datakit.formats.format import row_of

GIF = Image(b"GIF", "image/gif", 1, 1)
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1.5}'}}
TOOL = {"name": "f", "description": "d", "input_schema": {"type": "object"}}
OPENAI_TOOL = {
    "type": "function",
    "function": {"name": "f", "description": "d", "parameters": {"type": "object"}},
}


def turn(role: str, *texts: str, **extras: Any) -> Message:
    return Message(role, tuple(map(Text, texts)), extras)


USER, ANSWER = turn("user", "?"), turn("assistant", "!")


def image(**source: Any) -> dict[str, Any]:
    block = {"type": "image", "source": source}
    return {"messages": [{"role": "user", "content": [block]}]}


def test_base64_is_base64_whatever_it_looks_like() -> None:
    draft = parse(image(type="base64", media_type="image/png", data="cats/red.png"))

    where = "$.messages[0].content[0].source.data"
    assert draft.images == (ImageSource(ImageForm.BASE64, "cats/red.png", where),)


def test_pictures_go_out_as_base64_or_as_the_name_they_are_given() -> None:
    shown = Conversation((Message("user", (ImageRef(),)), ANSWER), (GIF,))

    in_row = row_of(shown, FORMAT)["messages"][0]["content"][0]["source"]
    named = render(shown, ["https://a.example/a.gif"])["messages"][0]["content"][0]["source"]

    assert in_row == {"type": "base64", "media_type": "image/gif", "data": "R0lG"}
    assert named == {"type": "url", "url": "https://a.example/a.gif"}


def test_results_of_tools_and_the_next_question_are_one_message() -> None:
    told = (turn("tool", "a", tool_call_id="c1"), turn("tool", "b", tool_call_id="c2"))
    messages = (USER, turn("assistant", tool_calls=[CALL]), *told, USER, ANSWER)

    row = render(Conversation(messages), [])

    blocks = [[block["type"] for block in m["content"]] for m in row["messages"]]
    assert blocks == [["text"], ["tool_use"], ["tool_result", "tool_result", "text"], ["text"]]
    assert row["messages"][1]["content"][0]["input"] == {"a": 1.5}
    assert parse(row).messages == messages
    assert losses(Conversation(messages)) == ()


def test_tools_are_kept_in_the_dialect_of_chat_templates_and_come_back() -> None:
    draft = parse({"messages": [{"role": "user", "content": "?"}], "tools": [TOOL]})

    assert draft.tools is not None
    assert orjson.loads(draft.tools) == [OPENAI_TOOL]
    assert render(draft.with_images(()), [])["tools"] == [TOOL]


@pytest.mark.parametrize(
    "tools",
    [
        pytest.param('{"a":1}', id="an object"),
        pytest.param('[{"function":{"name":"f","parameters":{}}}]', id="no type"),
        pytest.param('[{"type":"function","function":{"name":"f"}}]', id="no parameters"),
        pytest.param(
            '[{"type":"function","function":{"name":"f","parameters":{},"strict":true}}]',
            id="a key without a place",
        ),
        pytest.param("[7]", id="a number"),
    ],
)
def test_tools_that_would_not_come_back_are_a_loss(tools: str) -> None:
    conversation = Conversation((USER, ANSWER), tools=tools)

    assert [lost.loss for lost in losses(conversation)] == ["tools"]
    assert "tools" not in render(conversation, [])


@pytest.mark.parametrize(
    "call",
    [
        pytest.param({**CALL, "id": None}, id="no id"),
        pytest.param({**CALL, "type": "custom"}, id="another type"),
        pytest.param({**CALL, "function": {"name": "f", "arguments": {}}}, id="an object"),
        pytest.param({**CALL, "function": {"name": "f", "arguments": "[]"}}, id="a list"),
        pytest.param({**CALL, "function": {"name": "f", "arguments": "{"}}, id="no JSON"),
        pytest.param({**CALL, "function": {"name": "f", "arguments": '{"a": 1}'}}, id="a space"),
        pytest.param({**CALL, "index": 0}, id="a key without a place"),
    ],
)
def test_calls_that_would_not_come_back_are_a_loss(call: dict[str, Any]) -> None:
    messages = (USER, turn("assistant", "I look.", tool_calls=[call]))

    assert [lost.loss for lost in losses(Conversation(messages))] == ["tool-calls"]
    blocks = render(Conversation(messages), [])["messages"][1]["content"]
    assert blocks == [{"type": "text", "text": "I look."}]


def test_a_tool_that_answers_no_call_becomes_the_user() -> None:
    conversation = Conversation((USER, ANSWER, turn("tool", "a"), ANSWER))

    assert [lost.loss for lost in losses(conversation)] == ["roles"]
    assert render(conversation, [])["messages"][2]["role"] == "user"


@pytest.mark.parametrize(
    ("fields", "reason", "where"),
    [
        pytest.param(image(type=["base64"]), Reason.PART_UNKNOWN, "type", id="a list as type"),
        pytest.param(image(type="base64", data=" "), Reason.FIELD_MISSING, "data", id="blank"),
        pytest.param(image(type="base64", data=7), Reason.FIELD_NOT_TEXT, "data", id="a number"),
        pytest.param(image(type="url"), Reason.FIELD_MISSING, "url", id="no url"),
    ],
)
def test_a_source_that_is_none_is_refused(
    fields: dict[str, Any], reason: Reason, where: str
) -> None:
    with pytest.raises(RowError) as caught:
        parse(fields)

    assert caught.value.args[:2] == (reason, f"$.messages[0].content[0].source.{where}")
