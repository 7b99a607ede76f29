"""Formats give back what they are given, or name what they cannot hold. Nothing in between."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import hypothesis.strategies as st
import orjson
import pytest
from hypothesis import event, given

from vlm_datakit.checks import check, layout_of
from vlm_datakit.conversation import Conversation, Converted, Message, Rejected, Row
from vlm_datakit.errors import RowError
from vlm_datakit.formats import FORMATS
from vlm_datakit.formats.format import Format, row_of
from vlm_datakit.images.files import read_image_file
from vlm_datakit.images.resolver import Opener
from vlm_datakit.losses import Loss
from vlm_datakit.plan import ImagePolicy, Limits
from vlm_datakit.shards.layout import from_columns
from vlm_datakit.sinks.jsonl import json_line
from vlm_datakit.walk import Stages, convert_row

from ..batches import batch_of

each_format = pytest.mark.parametrize("format_", FORMATS.values(), ids=FORMATS)


def read_nothing(name: str, max_bytes: int, where: str) -> bytes:
    """Read picture files as rows of a pipe do: there is no folder to read from."""
    return read_image_file(name, (), max_bytes, where)


RESOLVE = Opener(Limits(), ImagePolicy(), read_nothing)


def there_and_back(conversation: Conversation, format_: Format) -> Conversation | None:
    """Write a conversation as a JSON line and read it again; None if the row is refused."""
    fields = orjson.loads(json_line(row_of(conversation, format_)))
    try:
        draft = format_.parse(fields)
    except RowError:
        return None
    return draft.with_images(tuple(map(RESOLVE, draft.images)))


def held_by(conversation: Conversation, format_: Format) -> Conversation:
    """Return the conversation less what means nothing: where a prompt without answers ends."""
    prompt = conversation.messages[: conversation.prompt_messages or 0]
    is_plain = not any(message.role == "assistant" for message in prompt)
    keeps_boundary = format_.name == "trl" or not is_plain or bool(conversation.rejected)
    return conversation if keeps_boundary else replace(conversation, prompt_messages=None)


@each_format
@given(conversation=st.from_type(Conversation))
def test_a_row_comes_back_equal_exactly_if_no_loss_is_named(
    format_: Format, conversation: Conversation
) -> None:
    losses = format_.losses(conversation)
    event("something is lost" if losses else "nothing is lost")
    assert {lost.loss for lost in losses} <= format_.cannot_hold

    back = there_and_back(conversation, format_)

    if {lost.loss for lost in losses} != {Loss.TURN_ORDER}:  # a row that only we can read
        assert (back == held_by(conversation, format_)) is (losses == ())


@given(conversation=st.from_type(Conversation))
def test_chat_rows_lose_nothing_of_a_conversation(conversation: Conversation) -> None:
    messages = tuple(map(without_options, conversation.messages))
    whole = replace(conversation, messages=messages, prompt_messages=None, rejected=())

    assert there_and_back(whole, FORMATS["openai"]) == whole


def without_options(message: Message) -> Message:
    extras = {name: v for name, v in message.extras.items() if name != "image_options"}
    return replace(message, extras=extras)


@each_format
@given(row=st.from_type(Row))
def test_any_row_is_refused_with_a_reason_or_can_be_written(format_: Format, row: Row) -> None:
    outcome = convert_row(row, Stages(format_.parse, RESOLVE, check))

    if isinstance(outcome, Rejected):
        event(f"{outcome.reason}")
        orjson.dumps([outcome.where, outcome.seen])
        assert outcome.seen.isprintable()
        return
    event("converted")
    assert_can_be_written(outcome)


def assert_can_be_written(outcome: Converted) -> None:
    """Write a conversation to columns and to every format that holds it."""
    found = outcome.conversation
    layout = layout_of(found)
    (columns,) = batch_of([("7", found)], layout, with_images=True).to_pylist()
    stored = tuple(image._replace(rewritten=()) for image in found.images)
    assert from_columns(columns, layout) == replace(found, id="7", images=stored)
    for format_ in FORMATS.values():
        if not format_.losses(found):
            back = there_and_back(replace(found, images=stored), format_)
            assert back == held_by(replace(found, images=stored), format_)


@each_format
def test_no_picture_is_read_from_the_disk(format_: Format, tmp_path: Path) -> None:
    row = {"text": "?", "response": "!", "image": f"{tmp_path}/a.png"}
    (tmp_path / "a.png").write_bytes(b"GIF89a")

    with pytest.raises(RowError, match=r"^image-outside-root"):
        RESOLVE(FORMATS["simple"].parse(row).images[0])
