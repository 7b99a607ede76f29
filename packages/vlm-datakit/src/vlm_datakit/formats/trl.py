"""TRL's vision rows: ``messages`` or ``prompt`` + ``completion``, and ``images`` beside them.

Rules as TRL's data utilities apply them (trl 1.16, ``prepare_multimodal_messages``):
with string contents all pictures stand before the first user text; with part lists each
bare ``{"type": "image"}`` takes the next picture, and the counts must agree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from vlm_datakit.conversation import (
    Conversation,
    Draft,
    ImageRef,
    ImageSource,
    Message,
    Part,
    Text,
    Warned,
)
from vlm_datakit.errors import Reason, RowError, quoted
from vlm_datakit.formats.format import Evidence, Fields, Format
from vlm_datakit.formats.openai import ROLES
from vlm_datakit.images.kind import classify
from vlm_datakit.losses import Loss, Lost, details_lost, extras_lost, says_more
from vlm_datakit.placeholders import IMAGE
from vlm_datakit.plain import PlainDraft, TextColumns, Turn
from vlm_datakit.turns import (
    count_images,
    exact,
    ignored,
    json_text,
    list_field,
    object_field,
    only_texts,
    plain_id,
    row_id,
    row_warnings,
    spoken,
    text_field,
)
from vlm_datakit.unread import says_something

_KEPT = ("tool_calls", "tool_call_id", "name")
_MESSAGE_FIELDS = frozenset({"role", "content", *_KEPT})
_TEXT_FIELDS, _IMAGE_FIELDS = frozenset({"type", "text"}), frozenset({"type"})
_PLAIN = ((Turn("user"),), (Turn("assistant"),))
#: Of the rows that `plain` reads.
TEXT_COLUMNS = TextColumns(("prompt", "completion"), _PLAIN)


def parse(fields: Fields) -> Draft:
    """Read one row.

    Raises:
        RowError: ``field-missing``, ``field-not-text``, ``field-wrong-type``,
            ``role-unknown``, ``part-unknown``, ``image-count-differs``.

    Example:
        >>> draft = parse({"prompt": "2 + 2?", "completion": "4"})
        >>> draft.prompt_messages, [message.role for message in draft.messages]
        (1, ['user', 'assistant'])
    """
    images, is_chat = images_of(fields), _is_chat(fields)
    warnings = list(row_warnings(fields, _used(fields, is_chat=is_chat)))
    boundary = None
    if is_chat:
        messages = messages_of(fields["messages"], "$.messages", "user", warnings)
    else:
        prompt = messages_of(fields.get("prompt"), "$.prompt", "user", warnings)
        boundary = len(prompt)
        answer = messages_of(fields.get("completion"), "$.completion", "assistant", warnings)
        messages = prompt + answer
    messages = with_images(messages, images, fields, ("messages", "prompt", "completion"))
    tools, id_ = json_text(fields.get("tools"), "$.tools"), row_id(fields.get("id"))
    return Draft(messages, images, id_, tools, boundary, warnings=tuple(warnings))


def plain(fields: Fields) -> PlainDraft | None:
    """Read a row of a text ``prompt`` and a text ``completion``."""
    texts = only_texts(fields, TEXT_COLUMNS.names)
    return None if texts is None else PlainDraft(_PLAIN, texts, id=plain_id(fields))


def _is_chat(fields: Fields) -> bool:
    """Whether ``messages`` is meant; readers that fill up columns leave it null beside a prompt."""
    return "messages" in fields and (fields["messages"] is not None or fields.get("prompt") is None)


def _used(fields: Fields, *, is_chat: bool) -> frozenset[str]:
    """Name what is read: ``messages`` before a prompt, ``image`` before ``images``."""
    texts = {"messages"} if is_chat else {"prompt", "completion"}
    picture = "images" if fields.get("image") is None else "image"
    return frozenset({"tools", "id", picture, *texts})


def images_of(fields: Fields) -> tuple[ImageSource, ...]:
    """Return the pictures of a row: those of ``image``, else those of ``images``."""
    if says_something(fields.get("image")):  # TRL: the single column wins
        return (classify(fields["image"], "$.image"),)
    values = fields.get("images")
    if not values:
        return ()
    if not isinstance(values, (list, tuple)):
        values = [values]
    return tuple(classify(value, f"$.images[{index}]") for index, value in enumerate(values))


def messages_of(value: Any, where: str, role: str, warnings: list[Warned]) -> tuple[Message, ...]:
    """Read a column: messages, or a text that is one turn of the given role.

    Raises:
        RowError: as `parse`; of fields that are ignored, warnings are added.
    """
    if isinstance(value, str):
        return (Message(role, (Text(value),)),)
    values = list_field(value, where)
    return tuple(_message(item, f"{where}[{i}]", warnings) for i, item in enumerate(values))


def _message(value: Any, where: str, warnings: list[Warned]) -> Message:
    fields = object_field(value, where)
    role = text_field(fields.get("role"), f"{where}.role")
    if role not in ROLES:
        raise RowError(Reason.ROLE_UNKNOWN, f"{where}.role", quoted(role))
    kept = {k: exact(fields[k], f"{where}.{k}") for k in _KEPT if fields.get(k) is not None}
    if ROLES[role] != role:
        kept["original_role"] = role
    warnings += ignored(fields, _MESSAGE_FIELDS, where)
    content = fields.get("content")
    if isinstance(content, str):
        return Message(ROLES[role], (Text(content),), kept)
    if not content and kept.get("tool_calls"):
        return Message(ROLES[role], (), kept)
    parts = list_field(content, f"{where}.content")
    found = tuple(_part(part, f"{where}.content[{i}]", warnings) for i, part in enumerate(parts))
    return Message(ROLES[role], found, kept)


def _part(value: Any, where: str, warnings: list[Warned]) -> Part:
    part = object_field(value, where)
    if part.get("type") == "image":
        warnings += ignored(part, _IMAGE_FIELDS, where)
        return ImageRef()
    if part.get("type") == "text":
        warnings += ignored(part, _TEXT_FIELDS, where)
        return Text(text_field(part.get("text"), f"{where}.text"))
    raise RowError(Reason.PART_UNKNOWN, f"{where}.type", quoted(part.get("type")))


def with_images(
    messages: tuple[Message, ...],
    images: Sequence[ImageSource],
    fields: Fields,
    columns: Sequence[str],
) -> tuple[Message, ...]:
    """Return messages with a place for each picture, in the columns they were read from.

    Raises:
        RowError: ``image-count-differs`` unless there are as many places as pictures, and for
            ``<image>`` in texts beside pictures: TRL would show it as text, which nobody means.
    """
    placed = messages
    if not images and not count_images(messages):
        return messages
    if images and _has_string_contents([fields.get(name) for name in columns]):
        if any(IMAGE in spoken(message) for message in messages):
            seen = f"{IMAGE} in a text, which trl leaves there: --from swift or llava binds it"
            raise RowError(Reason.IMAGE_COUNT_DIFFERS, "$.images", seen)
        placed = _with_leading_images(messages, len(images))
    if count_images(placed) != len(images):
        seen = f"{count_images(placed)} places for {len(images)} images"
        raise RowError(Reason.IMAGE_COUNT_DIFFERS, "$.images", seen)
    return placed


def _with_leading_images(messages: tuple[Message, ...], images: int) -> tuple[Message, ...]:
    """Put the pictures before the first user text, when every content is a string."""
    index = next((i for i, message in enumerate(messages) if message.role == "user"), None)
    if index is None:
        return messages
    content = (ImageRef(),) * images + messages[index].content
    return (*messages[:index], replace(messages[index], content=content), *messages[index + 1 :])


def _has_string_contents(values: Sequence[Any]) -> bool:
    """Whether no message in these columns has parts, so that pictures have no places."""
    return not any(
        isinstance(message, Mapping) and isinstance(message.get("content"), (list, tuple))
        for value in values
        if isinstance(value, (list, tuple))
        for message in value
    )


def render(conversation: Conversation, pictures: Sequence[str]) -> dict[str, Any]:
    """Write a row; the pictures stand in ``images``, their places are bare parts."""
    row: dict[str, Any] = {} if conversation.id is None else {"id": conversation.id}
    messages = [rendered(message) for message in conversation.messages]
    if conversation.prompt_messages is None:
        row["messages"] = messages
    else:
        row["prompt"] = messages[: conversation.prompt_messages]
        row["completion"] = messages[conversation.prompt_messages :]
    if pictures:
        row["images"] = [*pictures]
    if conversation.tools is not None:
        row["tools"] = orjson.loads(conversation.tools)
    return row


def rendered(message: Message) -> dict[str, Any]:
    """Write one message, its content as parts."""
    parts = [
        {"type": "text", "text": part.text} if isinstance(part, Text) else {"type": "image"}
        for part in message.content
    ]
    kept = {key: message.extras[key] for key in _KEPT if key in message.extras}
    return {"role": message.role, "content": parts, **kept}


def losses(conversation: Conversation) -> tuple[Lost, ...]:
    """Name what TRL has no column for: training flags, details, the row's older role."""
    found = list(losses_of(conversation.messages))
    if conversation.rejected:
        found.append(Lost(Loss.REJECTED, "$.rejected", "the rejected answer"))
    return tuple(found)


def losses_of(messages: Sequence[Message]) -> Iterator[Lost]:
    """Name what of messages has no place in parts of type and text."""
    for index, message in enumerate(messages):
        if says_more(message):
            where = f"$.messages[{index}]"
            yield from extras_lost(message, where, _KEPT)
            yield from details_lost(message, where)


def recognise(fields: Fields) -> Evidence | None:
    """Recognise ``prompt`` + ``completion``, or ``messages`` with a column of pictures."""
    if "prompt" in fields and "completion" in fields:
        return Evidence(3, "rows have prompt and completion")
    if "messages" in fields and ("images" in fields or "image" in fields):
        return Evidence(3, "rows have messages and a column of images")
    return None


#: Of what stands in messages, as `losses_of` names it.
MESSAGES_CANNOT_HOLD = frozenset({Loss.FLAGS, Loss.ROLES, Loss.DETAIL, Loss.IMAGE_OPTIONS})
_CANNOT_HOLD = MESSAGES_CANNOT_HOLD | {Loss.REJECTED}
FORMAT = Format("trl", parse, render, losses, recognise, _CANNOT_HOLD)
