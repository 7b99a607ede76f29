"""What goes into the columns of a shard comes out of them."""

from __future__ import annotations

from array import array
from dataclasses import replace

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import given

from vlm_datakit.checks import layout_of
from vlm_datakit.conversation import Conversation, Message
from vlm_datakit.shards import columns
from vlm_datakit.shards.layout import from_columns, schema

from ..batches import batch_of


def in_layout(conversation: Conversation, layout: str) -> Conversation:
    """Return the conversation with the boundary, and the other answer, that a layout has."""
    if layout == "conversation":
        return replace(conversation, prompt_messages=None, rejected=())
    prompt = conversation.prompt_messages or 1
    rejected = conversation.messages[prompt:] if layout == "pair" else ()
    return replace(conversation, prompt_messages=prompt, rejected=rejected)


@pytest.mark.parametrize("layout", ["conversation", "answer", "pair"])
@given(conversations=st.lists(st.from_type(Conversation), min_size=1, max_size=3))
def test_rows_come_back_from_their_columns(layout: str, conversations: list[Conversation]) -> None:
    rows = [in_layout(c, layout) for c in conversations]

    batch = batch_of([(str(n), row) for n, row in enumerate(rows)], layout, with_images=True)

    batch.validate(full=True)
    back = [from_columns(row, layout) for row in batch.to_pylist()]
    assert back == [replace(row, id=str(n)) for n, row in enumerate(rows)]
    assert {layout_of(row) for row in back} == {layout}
    assert batch.schema.equals(schema(layout, with_images=True), check_metadata=True)


@given(conversation=st.from_type(Conversation))
def test_a_row_of_text_comes_back_without_picture_columns(conversation: Conversation) -> None:
    messages = tuple(Message(m.role, (), m.extras) for m in conversation.messages)
    row = in_layout(replace(conversation, messages=messages, images=(), id="7"), "conversation")

    batch = batch_of([("7", row)], "conversation", with_images=False)

    assert [from_columns(found, "conversation") for found in batch.to_pylist()] == [row]
    assert "images" not in batch.schema.names


@given(st.lists(st.one_of(st.none(), st.text())))
def test_texts_are_those_of_pyarrow(values: list[str | None]) -> None:
    array = columns.texts(values)

    array.validate(full=True)
    assert array.equals(pa.array(values, pa.string()))


@given(st.lists(st.one_of(st.none(), st.binary())))
def test_bytes_are_those_of_pyarrow(values: list[bytes | None]) -> None:
    array = columns.binaries(values)

    array.validate(full=True)
    assert array.equals(pa.array(values, pa.binary()))


@given(st.lists(st.integers(-(2**31), 2**31 - 1)))
def test_numbers_are_those_of_pyarrow(values: list[int]) -> None:
    assert columns.int32s(array("i", values)).equals(pa.array(values, pa.int32()))


@given(st.lists(st.lists(st.text(max_size=3), max_size=3)))
def test_lists_of_structs_are_those_of_pyarrow(values: list[list[str]]) -> None:
    flat = columns.structs({"a": columns.texts([text for inner in values for text in inner])})

    array = columns.lists(list(map(len, values)), flat)

    kind = pa.list_(pa.struct([("a", pa.string())]))
    array.validate(full=True)
    assert array.equals(pa.array([[{"a": text} for text in inner] for inner in values], kind))
