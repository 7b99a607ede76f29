"""The columns of a shard, as the contract lists them, and the way back from them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from vlm_datakit.conversation import Conversation, Image, ImageRef, Message, Origin, Text
from vlm_datakit.errors import SourceError
from vlm_datakit.shards.layout import (
    derived_id,
    from_columns,
    schema,
    sections,
)

from ...batches import batch_of

PICTURES = ["images", "image_sizes"]
TEXT = {"dtype": "string", "_type": "Value"}
PART = {"type": TEXT, "text": TEXT}


@pytest.mark.parametrize(
    ("layout", "messages"),
    [
        pytest.param("conversation", ["messages"], id="conversation"),
        pytest.param("answer", ["prompt", "completion"], id="answer"),
        pytest.param("pair", ["prompt", "chosen", "rejected"], id="pair"),
    ],
)
def test_the_columns_are_those_of_the_contract(layout: str, messages: list[str]) -> None:
    with_images = schema(layout, with_images=True)
    text_only = schema(layout, with_images=False)

    assert with_images.names == ["id", *messages, *PICTURES, "tools", "extras"]
    assert text_only.names == ["id", *messages, "tools", "extras"]
    assert [field.name for field in with_images if not field.nullable] == ["id"]


def test_the_types_are_those_of_the_contract() -> None:
    types = {field.name: str(field.type) for field in schema("conversation", with_images=True)}

    content = "list<element: struct<type: string, text: string>>"
    assert {name: kind.replace("item:", "element:") for name, kind in types.items()} == {
        "id": "string",
        "messages": f"list<element: struct<role: string, content: {content}>>",
        "images": "list<element: struct<bytes: binary, path: string>>",
        "image_sizes": "list<element: struct<width: int32, height: int32>>",
        "tools": "string",
        "extras": "string",
    }


def test_the_features_are_spelled_as_old_and_new_datasets_read_them() -> None:
    metadata = json.loads(schema("conversation", with_images=True).metadata[b"huggingface"])

    features = metadata["info"]["features"]
    assert features["messages"] == [{"role": TEXT, "content": [PART]}]
    assert features["images"] == [{"_type": "Image"}]
    assert list(features) == schema("conversation", with_images=True).names


def test_an_id_of_ours_comes_from_source_and_offset_alone() -> None:
    ids = {
        derived_id(Origin("a", 0)),
        derived_id(Origin("a", 1)),
        derived_id(Origin("b", 0)),
        derived_id(Origin("a", 0, 7)),
    }

    assert [len(id_) for id_ in ids] == [16] * 3


def test_a_row_in_columns_has_bare_parts_and_its_extras_aside(
    chat: Callable[..., Conversation],
) -> None:
    question = Message("user", (ImageRef("low"), ImageRef(), Text("?")), {"name": "Ana"})
    images = (Image(b"GIF", "image/gif", 2, 1),) * 2
    conversation = Conversation((question, *chat().messages[1:]), images, tools="[]")

    (row,) = batch_of([("7", conversation)], "conversation", with_images=True).to_pylist()

    bare = {"type": "image", "text": None}
    assert row["messages"][0]["content"] == [bare, bare, {"type": "text", "text": "?"}]
    assert row["images"] == [{"bytes": b"GIF", "path": None}] * 2
    assert row["image_sizes"] == [{"width": 2, "height": 1}] * 2
    assert json.loads(row["extras"]) == {"0": {"name": "Ana", "detail": ["low", None]}}
    assert (row["id"], row["tools"]) == ("7", "[]")


@pytest.mark.parametrize(
    ("data", "kind"),
    [(b"GIF89a", "image/gif"), (b"GIF", "application/octet-stream")],
    ids=["a GIF", "not a picture"],
)
def test_a_picture_comes_back_with_the_type_its_bytes_tell(
    chat: Callable[..., Conversation], data: bytes, kind: str
) -> None:
    conversation = chat(images=(Image(data, "image/png", 2, 1, ("alpha",)),))

    (row,) = batch_of([("7", conversation)], "conversation", with_images=True).to_pylist()

    assert from_columns(row, "conversation").images == (Image(data, kind, 2, 1),)


def test_a_row_of_text_has_no_null_lists(chat: Callable[..., Conversation]) -> None:
    (row,) = batch_of([("7", chat())], "conversation", with_images=True).to_pylist()

    assert (row["images"], row["image_sizes"]) == ([], [])
    assert (row["tools"], row["extras"]) == (None, None)


def test_extras_are_numbered_through_all_columns() -> None:
    said = [Message(role, (Text("a"),), {"weight": i}) for i, role in enumerate("abc")]
    pair = Conversation(tuple(said[:2]), prompt_messages=1, rejected=(said[2],))

    (row,) = batch_of([("7", pair)], "pair", with_images=False).to_pylist()

    assert json.loads(row["extras"]) == {"0": {"weight": 0}, "1": {"weight": 1}, "2": {"weight": 2}}
    assert sections(pair) == ((said[0],), (said[1],), (said[2],))
    assert from_columns(row, "pair") == replace(pair, id="7")


GOOD: dict[str, Any] = {
    "id": "7",
    "messages": [{"role": "user", "content": [{"type": "text", "text": "?"}]}],
    "images": [],
    "image_sizes": [],
    "tools": None,
    "extras": None,
}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"messages": None}, id="null messages"),
        pytest.param({"messages": [{"role": "user"}]}, id="no content"),
        pytest.param({"messages": [{"role": "user", "content": None}]}, id="null content"),
        pytest.param({"messages": ["hi"]}, id="texts"),
        pytest.param({"images": None}, id="null images"),
        pytest.param({"images": [{"bytes": b"GIF"}]}, id="a size missing"),
        pytest.param({"images": [{"bytes": None}], "image_sizes": [{}]}, id="no bytes"),
        pytest.param({"extras": "{"}, id="extras cut"),
        pytest.param({"extras": "[1]"}, id="extras a list"),
        pytest.param({"extras": '{"0": 7}'}, id="extras of numbers"),
        pytest.param({"extras": '{"0": {"detail": 7}}'}, id="a detail that is none"),
    ],
)
def test_a_row_that_breaks_the_contract_is_named(change: dict[str, Any]) -> None:
    with pytest.raises(SourceError, match=r"^row '7' is not of the shard layout: "):
        from_columns({**GOOD, **change}, "conversation")


def test_a_row_without_picture_columns_is_text() -> None:
    row = {name: value for name, value in GOOD.items() if name not in PICTURES}

    assert from_columns(row, "conversation").images == ()
