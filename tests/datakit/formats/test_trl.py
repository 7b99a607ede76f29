"""TRL's vision rows: pictures in a column, their places in the messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from vlm_datakit.conversation import Conversation, Image, ImageRef, Message, Text
from vlm_datakit.errors import Reason, RowError
from vlm_datakit.formats.format import row_of
from vlm_datakit.formats.trl import FORMAT, losses, parse, recognise

GIF = Image(b"GIF", "image/gif", 1, 1)
GIF_URI = "data:image/gif;base64,R0lG"
QUESTION = {"role": "user", "content": "?"}
ANSWER = {"role": "assistant", "content": "!"}


def parts(*kinds: str) -> list[dict[str, Any]]:
    """Return content parts: bare images, and texts that say their kind."""
    return [{"type": k} if k == "image" else {"type": "text", "text": k} for k in kinds]


def test_with_text_contents_pictures_stand_before_the_first_question() -> None:
    system = {"role": "system", "content": "s"}
    fields = {"messages": [system, QUESTION, ANSWER, QUESTION], "images": ["a", "b"]}

    draft = parse(fields)

    assert [message.content for message in draft.messages] == [
        (Text("s"),),
        (ImageRef(), ImageRef(), Text("?")),
        (Text("!"),),
        (Text("?"),),
    ]


@pytest.mark.parametrize("sequence", [list, tuple])
def test_with_part_lists_each_bare_part_takes_the_next_picture(
    sequence: Callable[[Any], Any],
) -> None:
    turns = [
        {"role": "user", "content": sequence(parts("one", "image"))},
        ANSWER,
        {"role": "user", "content": sequence(parts("image", "two"))},
    ]

    draft = parse({"messages": sequence(turns), "images": sequence(["a", "b"])})

    assert draft.messages[0].content == (Text("one"), ImageRef())
    assert draft.messages[2].content == (ImageRef(), Text("two"))
    assert [image.value for image in draft.images] == ["a", "b"]


@pytest.mark.parametrize(
    ("fields", "roles", "boundary"),
    [
        pytest.param({"prompt": "?", "completion": "!"}, ["user", "assistant"], 1, id="texts"),
        pytest.param(
            {"prompt": [QUESTION, ANSWER, QUESTION], "completion": [ANSWER]},
            ["user", "assistant", "user", "assistant"],
            3,
            id="messages",
        ),
        pytest.param(
            {"messages": None, "prompt": "?", "completion": "!"},
            ["user", "assistant"],
            1,
            id="messages filled up with null",
        ),
        pytest.param(
            {"messages": [QUESTION, ANSWER], "prompt": None, "completion": None},
            ["user", "assistant"],
            None,
            id="a prompt filled up with null",
        ),
    ],
)
def test_a_prompt_and_its_completion_keep_their_boundary(
    fields: dict[str, Any], roles: list[str], boundary: int | None
) -> None:
    draft = parse(fields)

    assert [message.role for message in draft.messages] == roles
    assert (draft.prompt_messages, draft.warnings) == (boundary, ())


@pytest.mark.parametrize(
    ("fields", "values"),
    [
        pytest.param({"images": ["a", "b"]}, ["a", "b"], id="a list"),
        pytest.param({"images": "a"}, ["a"], id="one text"),
        pytest.param({"images": {"bytes": b"GIF"}}, [b"GIF"], id="one struct"),
        pytest.param({"image": "a"}, ["a"], id="the single column"),
        pytest.param({"image": "a", "images": None}, ["a"], id="beside a null"),
        pytest.param({"image": None, "images": []}, [], id="none"),
    ],
)
def test_pictures_stand_in_either_column(fields: dict[str, Any], values: list[Any]) -> None:
    draft = parse({"messages": [QUESTION, ANSWER], **fields})

    assert [image.value for image in draft.images] == values
    assert draft.warnings == ()


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        pytest.param({"image": "a", "images": ["b"]}, ["$.images"], id="image before images"),
        pytest.param({"prompt": "p", "completion": "c"}, ["$.prompt", "$.completion"], id="texts"),
        pytest.param({"label": True}, ["$.label"], id="another column"),
    ],
)
def test_a_column_that_is_not_read_is_warned_about(
    fields: dict[str, Any], where: list[str]
) -> None:
    draft = parse({"messages": [QUESTION, ANSWER], **fields})

    assert [warned.where for warned in draft.warnings] == where


def test_a_key_that_is_not_read_is_warned_about() -> None:
    image = {"type": "image", "image": "elsewhere.png"}
    text = {"type": "text", "text": "?", "image": None}
    message = {"role": "user", "content": [image, text], "weight": 0}

    draft = parse({"messages": [message, {**ANSWER, "train": False}], "images": ["a"]})

    assert [(warned.reason, warned.where) for warned in draft.warnings] == [
        (Reason.FIELD_IGNORED, "$.messages[0].weight"),
        (Reason.FIELD_IGNORED, "$.messages[0].content[0].image"),
        (Reason.FIELD_IGNORED, "$.messages[1].train"),
    ]


def test_a_developer_is_a_system_whose_older_name_would_be_lost() -> None:
    draft = parse({"messages": [{"role": "developer", "content": "s"}, QUESTION, ANSWER]})

    assert draft.messages[0] == Message("system", (Text("s"),), {"original_role": "developer"})
    assert [loss.what for loss in losses(draft.with_images(()))] == ["original_role"]


def test_tool_turns_are_kept() -> None:
    call = {"role": "assistant", "content": None, "tool_calls": [{"id": "c"}]}
    result = {"role": "tool", "content": "4", "tool_call_id": "c", "name": "sum"}

    draft = parse({"messages": [QUESTION, call, result, ANSWER], "tools": '[{"a": 1}]'})

    assert draft.messages[1] == Message("assistant", (), {"tool_calls": [{"id": "c"}]})
    assert draft.messages[2].extras == {"tool_call_id": "c", "name": "sum"}
    assert draft.tools == '[{"a": 1}]'


@pytest.mark.parametrize(
    ("fields", "reason", "where"),
    [
        pytest.param({}, Reason.FIELD_MISSING, "$.prompt", id="nothing"),
        pytest.param({"messages": None}, Reason.FIELD_MISSING, "$.messages", id="null"),
        pytest.param({"prompt": "?"}, Reason.FIELD_MISSING, "$.completion", id="no completion"),
        pytest.param({"prompt": 7}, Reason.FIELD_WRONG_TYPE, "$.prompt", id="a number"),
        pytest.param(
            {"messages": [{"role": "bot", "content": "!"}]},
            Reason.ROLE_UNKNOWN,
            "$.messages[0].role",
            id="an unknown role",
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": parts("image", "?")}]},
            Reason.IMAGE_COUNT_DIFFERS,
            "$.images",
            id="a place without a picture",
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": parts("?")}], "images": ["a"]},
            Reason.IMAGE_COUNT_DIFFERS,
            "$.images",
            id="a picture without a place",
        ),
        pytest.param(
            {"messages": [ANSWER], "images": ["a"]},
            Reason.IMAGE_COUNT_DIFFERS,
            "$.images",
            id="no question for it",
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "a"}]}]},
            Reason.PART_UNKNOWN,
            "$.messages[0].content[0].type",
            id="OpenAI's part",
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            Reason.FIELD_MISSING,
            "$.messages[0].content[0].text",
            id="no text",
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": None}]},
            Reason.FIELD_MISSING,
            "$.messages[0].content",
            id="no content",
        ),
        pytest.param(
            {"messages": [QUESTION, {"role": "assistant", "content": None, "tool_calls": []}]},
            Reason.FIELD_MISSING,
            "$.messages[1].content",
            id="no content and no calls",
        ),
        pytest.param(
            {"messages": [QUESTION], "images": [None]},
            Reason.FIELD_MISSING,
            "$.images[0]",
            id="a null picture",
        ),
    ],
)
def test_a_row_that_is_off_is_refused_where_it_is(
    fields: dict[str, Any], reason: Reason, where: str
) -> None:
    with pytest.raises(RowError) as caught:
        parse(fields)

    assert (caught.value.reason, caught.value.where) == (reason, where)


@pytest.mark.parametrize(
    ("boundary", "columns"),
    [
        pytest.param(None, ["id", "messages", "images", "tools"], id="conversation"),
        pytest.param(1, ["id", "prompt", "completion", "images", "tools"], id="answer"),
    ],
)
def test_a_conversation_becomes_a_row(
    chat: Callable[..., Conversation], boundary: int | None, columns: list[str]
) -> None:
    row = row_of(
        chat("?", "!", (GIF,), id="7", tools='[{"a": 1}]', prompt_messages=boundary), FORMAT
    )

    question = (row.get("messages") or row["prompt"])[0]
    assert list(row) == columns
    assert question == {
        "role": "user",
        "content": [{"type": "image"}, {"type": "text", "text": "?"}],
    }
    assert (row["images"], row["tools"]) == ([GIF_URI], [{"a": 1}])


def test_what_has_no_column_is_named() -> None:
    question = Message("user", (ImageRef(""), Text("?")), {"name": "Ana", "weight": 0})
    system = Message("system", (Text("s"),), {"original_role": "developer"})
    answer = Message("assistant", (Text("!"),), {"train": False})
    pair = Conversation((system, question, answer), (GIF,), prompt_messages=2, rejected=(answer,))

    assert [(loss.where, loss.what) for loss in losses(pair)] == [
        ("$.messages[0].original_role", "original_role"),
        ("$.messages[1].weight", "weight"),
        ("$.messages[1].content", "detail"),
        ("$.messages[2].train", "train"),
        ("$.rejected", "the rejected answer"),
    ]


@pytest.mark.parametrize(
    ("fields", "is_known"),
    [
        pytest.param({"prompt": "", "completion": ""}, True, id="prompt and completion"),
        pytest.param({"messages": [], "images": []}, True, id="messages and images"),
        pytest.param({"messages": [], "image": "a"}, True, id="messages and image"),
        pytest.param({"messages": []}, False, id="messages alone"),
        pytest.param({"prompt": "", "chosen": "", "rejected": ""}, False, id="a pair"),
    ],
)
def test_rows_are_recognised_by_their_columns(fields: dict[str, Any], is_known: bool) -> None:
    assert (recognise(fields) is not None) is is_known


def test_a_tag_in_a_text_beside_pictures_is_refused() -> None:
    fields = {"messages": [{"role": "user", "content": "<image>?"}], "images": ["a.png"]}

    with pytest.raises(RowError) as caught:
        parse(fields)
    assert (caught.value.reason, caught.value.where) == (Reason.IMAGE_COUNT_DIFFERS, "$.images")
    assert "--from swift or llava" in caught.value.seen
    assert parse({**fields, "images": []}).messages[0].content == (Text("<image>?"),)
