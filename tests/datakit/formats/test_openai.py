"""Chat rows as OpenAI and Qwen users write them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
from vlm_datakit.formats.format import row_of
from vlm_datakit.formats.openai import FORMAT, losses, parse, recognise, render

GIF = Image(b"GIF", "image/gif", 1, 1)
GIF_URI = "data:image/gif;base64,R0lG"


def row(*content: Any, **message: Any) -> dict[str, Any]:
    """Return a row of one user message with these content parts."""
    return {"messages": [{"role": "user", "content": list(content), **message}]}


def test_a_text_content_becomes_one_part() -> None:
    draft = parse({"messages": [{"role": "user", "content": '{"a": "007"}'}]})

    assert draft.messages == (Message("user", (Text('{"a": "007"}'),)),)


@pytest.mark.parametrize(
    ("part", "where", "detail"),
    [
        pytest.param({"type": "image_url", "image_url": "a.png"}, "image_url", None, id="text"),
        pytest.param(
            {"type": "image_url", "image_url": {"url": "a.png"}}, "image_url.url", None, id="object"
        ),
        pytest.param(
            {"type": "image_url", "image_url": {"url": "a.png", "detail": "low"}},
            "image_url.url",
            "low",
            id="detail inside",
        ),
        pytest.param(
            {"type": "image_url", "image_url": "a.png", "detail": "low"},
            "image_url",
            "low",
            id="detail beside",
        ),
        pytest.param(
            {"type": "image_url", "image_url": {"url": "a.png", "detail": None}, "detail": "low"},
            "image_url.url",
            "low",
            id="detail beside a null",
        ),
        pytest.param({"type": "image", "image": "a.png"}, "image", None, id="Qwen"),
        pytest.param(
            {"type": "image", "image": {"bytes": None, "path": "a.png"}}, "image", None, id="struct"
        ),
        pytest.param({"type": "image", "image_url": "a.png"}, "image_url", None, id="mixed names"),
        pytest.param(
            {"type": "image_url", "image": "a.png", "image_url": None}, "image", None, id="null"
        ),
    ],
)
def test_a_picture_is_found_in_every_spelling(
    part: dict[str, Any], where: str, detail: str | None
) -> None:
    draft = parse(row(part))

    source = ImageSource(ImageForm.PATH, "a.png", f"$.messages[0].content[0].{where}")
    assert (draft.images, draft.messages[0].content) == ((source,), (ImageRef(detail),))
    assert draft.warnings == ()


def test_pictures_are_numbered_through_all_turns() -> None:
    turns = [
        {
            "role": "user",
            "content": [{"type": "image", "image": "a"}, {"type": "text", "text": "?"}],
        },
        {"role": "assistant", "content": "!"},
        {
            "role": "user",
            "content": [{"type": "image", "image": "b"}, {"type": "image", "image": "c"}],
        },
    ]

    draft = parse({"messages": turns})

    assert [image.value for image in draft.images] == ["a", "b", "c"]
    assert draft.messages[2].content == (ImageRef(), ImageRef())


def test_what_a_message_says_beside_its_content_is_kept() -> None:
    call = {"id": "c1", "function": {"name": "f", "arguments": '{"x": "007"}'}}
    said = {"name": "Ana", "weight": 0, "train": False, "tool_calls": [call], "tool_call_id": "c0"}

    draft = parse(row({"type": "text", "text": "a"}, **said))

    assert (draft.messages[0].extras, draft.warnings) == (said, ())


@pytest.mark.parametrize("content", [None, []], ids=["null", "empty"])
def test_an_answer_may_stand_in_tool_calls_alone(content: Any) -> None:
    message = {"role": "assistant", "content": content, "tool_calls": [{"id": "c1"}]}

    draft = parse({"messages": [message]})

    assert draft.messages == (Message("assistant", (), {"tool_calls": [{"id": "c1"}]}),)


def test_the_developer_is_a_system_that_is_called_developer_on_the_way_back() -> None:
    draft = parse({"messages": [{"role": "developer", "content": "Be brief."}]})

    assert draft.messages[0].role == "system"
    assert render(draft.with_images(()), [])["messages"][0]["role"] == "developer"


def test_a_row_cannot_change_a_role_by_a_field_of_ours() -> None:
    draft = parse(row({"type": "text", "text": "a"}, original_role="assistant"))

    assert draft.messages[0] == Message("user", (Text("a"),))
    assert [warned.where for warned in draft.warnings] == ["$.messages[0].original_role"]


@pytest.mark.parametrize(
    ("fields", "reason", "where"),
    [
        pytest.param({}, Reason.FIELD_MISSING, "$.messages", id="no messages"),
        pytest.param({"messages": []}, Reason.FIELD_MISSING, "$.messages", id="none"),
        pytest.param({"messages": "hi"}, Reason.FIELD_WRONG_TYPE, "$.messages", id="a text"),
        pytest.param({"messages": ["hi"]}, Reason.FIELD_WRONG_TYPE, "$.messages[0]", id="texts"),
        pytest.param(
            {"messages": [{"from": "human", "value": "hi"}]},
            Reason.FIELD_MISSING,
            "$.messages[0].role",
            id="ShareGPT's names",
        ),
        pytest.param(
            {"messages": [{"role": "User", "content": "hi"}]},
            Reason.ROLE_UNKNOWN,
            "$.messages[0].role",
            id="a capital",
        ),
        pytest.param(
            {"messages": [{"role": "user"}]},
            Reason.FIELD_MISSING,
            "$.messages[0].content",
            id="no content",
        ),
        pytest.param(
            {"messages": [{"role": "assistant", "content": None, "tool_calls": []}]},
            Reason.FIELD_MISSING,
            "$.messages[0].content",
            id="no content and no calls",
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": 42}]},
            Reason.FIELD_WRONG_TYPE,
            "$.messages[0].content",
            id="a number",
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": {"type": "text", "text": "hi"}}]},
            Reason.FIELD_WRONG_TYPE,
            "$.messages[0].content",
            id="a part without its list",
        ),
        pytest.param(row("hi"), Reason.FIELD_WRONG_TYPE, "$.messages[0].content[0]", id="no part"),
        pytest.param(
            row({"text": "hi"}), Reason.PART_UNKNOWN, "$.messages[0].content[0].type", id="untyped"
        ),
        pytest.param(
            row({"type": "video_url", "video_url": "a.mp4"}),
            Reason.PART_UNKNOWN,
            "$.messages[0].content[0].type",
            id="video",
        ),
        pytest.param(
            row({"type": "text", "text": 7}),
            Reason.FIELD_NOT_TEXT,
            "$.messages[0].content[0].text",
            id="a number as text",
        ),
        pytest.param(
            row({"type": "image"}),
            Reason.FIELD_MISSING,
            "$.messages[0].content[0].image",
            id="TRL's bare part",
        ),
        pytest.param(
            row({"type": "image_url", "image_url": {"url": None}}),
            Reason.FIELD_MISSING,
            "$.messages[0].content[0].image_url.url",
            id="no url",
        ),
        pytest.param(
            row({"type": "image_url", "image_url": {"url": "a", "detail": 1}}),
            Reason.FIELD_NOT_TEXT,
            "$.messages[0].content[0].image_url.url.detail",
            id="a detail that is no text",
        ),
        pytest.param(
            row({"type": "text", "text": "a"}, tool_calls=[{"n": 1e30}]),
            Reason.NUMBER_NOT_EXACT,
            "$.messages[0].tool_calls[0].n",
            id="digits lost",
        ),
        pytest.param(
            {**row({"type": "text", "text": "a"}), "tools": "[{"},
            Reason.FIELD_NOT_JSON,
            "$.tools",
            id="tools that are no JSON",
        ),
        pytest.param(
            {**row({"type": "text", "text": "a"}), "tools": '[{"max": 123456789012345678901}]'},
            Reason.NUMBER_NOT_EXACT,
            "$.tools[0].max",
            id="digits lost in tools as text",
        ),
    ],
)
def test_a_row_that_is_off_is_refused_where_it_is(
    fields: dict[str, Any], reason: Reason, where: str
) -> None:
    with pytest.raises(RowError) as caught:
        parse(fields)

    assert (caught.value.reason, caught.value.where) == (reason, where)


def test_what_is_not_used_is_warned_about_at_every_level() -> None:
    image = {
        "type": "image_url",
        "image_url": {"url": "a", "fps": 1},
        "image": "b",
        "max_pixels": 9,
    }
    text = {"type": "text", "text": "?", "annotations": [1]}

    draft = parse({**row(image, text, refusal="no"), "images": ["c"], "source": None})

    assert [(warned.reason, warned.where) for warned in draft.warnings] == [
        (Reason.FIELD_IGNORED, "$.images"),
        (Reason.FIELD_IGNORED, "$.messages[0].refusal"),
        (Reason.FIELD_IGNORED, "$.messages[0].content[0].image"),
        (Reason.FIELD_IGNORED, "$.messages[0].content[0].max_pixels"),
        (Reason.FIELD_IGNORED, "$.messages[0].content[0].image_url.fps"),
        (Reason.FIELD_IGNORED, "$.messages[0].content[1].annotations"),
    ]


def test_columns_filled_up_with_null_say_nothing() -> None:
    part = {"type": "text", "text": "a", "image_url": None, "image": None}

    draft = parse({**row(part, name=None, tool_calls=None), "tools": None, "id": None})

    assert (draft.warnings, draft.messages) == ((), (Message("user", (Text("a"),)),))


def test_a_conversation_is_written_as_part_lists_and_data_uris() -> None:
    question = Message("user", (ImageRef("low"), Text("?")), {"name": "Ana"})
    call = Message("assistant", (), {"tool_calls": [{"id": "c"}]})
    conversation = Conversation((question, call), (GIF,), "7", '[{"a": 1}]')

    assert row_of(conversation, FORMAT) == {
        "id": "7",
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": GIF_URI, "detail": "low"}},
                    {"type": "text", "text": "?"},
                ],
                "name": "Ana",
            },
            {"role": "assistant", "content": None, "tool_calls": [{"id": "c"}]},
        ],
        "tools": [{"a": 1}],
    }


def test_nothing_of_a_plain_conversation_is_lost(chat: Callable[..., Conversation]) -> None:
    assert losses(chat(images=(GIF,), tools="[]", id="7")) == ()
    assert losses(chat(prompt_messages=1)) == ()


def test_another_answer_and_an_inner_boundary_have_no_place(
    chat: Callable[..., Conversation],
) -> None:
    turns = chat().messages * 2
    pair = Conversation(turns, prompt_messages=3, rejected=turns[1:2])

    assert [(loss.where, loss.what) for loss in losses(pair)] == [
        ("$.completion", "where the prompt ends"),
        ("$.rejected", "the rejected answer"),
    ]


@pytest.mark.parametrize(
    ("fields", "is_known"),
    [
        pytest.param({"messages": [{"role": "user"}]}, True, id="roles"),
        pytest.param({"messages": [{"from": "human"}]}, False, id="ShareGPT"),
        pytest.param({"messages": []}, False, id="empty"),
        pytest.param({"messages": ["hi"]}, False, id="texts"),
        pytest.param({"messages": "hi"}, False, id="a text"),
        pytest.param({}, False, id="nothing"),
    ],
)
def test_rows_are_recognised_by_their_roles(fields: dict[str, Any], is_known: bool) -> None:
    assert (recognise(fields) is not None) is is_known
