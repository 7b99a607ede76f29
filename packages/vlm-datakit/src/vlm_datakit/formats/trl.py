"""TRL's vision rows: ``messages`` or ``prompt`` + ``completion``, and ``images`` beside them.

Rules as TRL's data utilities apply them (trl 1.16, ``prepare_multimodal_messages``):
with string contents all pictures stand before the first user text; with part lists each
bare ``{"type": "image"}`` takes the next picture, and the counts must agree.
"""

from __future__ import annotations

from collections.abc import Mapping
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
from vlm_datakit.formats.format import Evidence, Fields, Format, data_uri, lost
from vlm_datakit.formats.openai import ROLES
from vlm_datakit.images.kind import classify
from vlm_datakit.turns import (
    count_images,
    exact,
    ignored,
    json_text,
    list_field,
    object_field,
    row_id,
    text_field,
)

_FIELDS = frozenset({"messages", "prompt", "completion", "images", "image", "tools", "id"})
_KEPT = ("tool_calls", "tool_call_id", "name")


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
    images = _images(fields)
    boundary = None
    if "messages" in fields:
        messages = _messages(fields["messages"], "$.messages", "user")
    else:
        prompt = _messages(fields.get("prompt"), "$.prompt", "user")
        boundary = len(prompt)
        messages = prompt + _messages(fields.get("completion"), "$.completion", "assistant")
    messages = _with_leading_images(messages, len(images), fields)
    if count_images(messages) != len(images):
        seen = f"{count_images(messages)} places for {len(images)} images"
        raise RowError(Reason.IMAGE_COUNT_DIFFERS, "$.images", seen)
    tools = json_text(fields.get("tools"), "$.tools")
    warnings = ignored(fields, _FIELDS, "$")
    return Draft(messages, images, row_id(fields.get("id")), tools, boundary, warnings=warnings)


def _images(fields: Fields) -> tuple[ImageSource, ...]:
    if fields.get("image") is not None:  # TRL: the single column wins
        return (classify(fields["image"], "$.image"),)
    values = fields.get("images") or []
    if not isinstance(values, (list, tuple)):
        values = [values]
    return tuple(classify(value, f"$.images[{index}]") for index, value in enumerate(values))


def _messages(value: Any, where: str, role: str) -> tuple[Message, ...]:
    if isinstance(value, str):
        return (Message(role, (Text(value),)),)
    values = list_field(value, where)
    return tuple(_message(item, f"{where}[{index}]") for index, item in enumerate(values))


def _message(value: Any, where: str) -> Message:
    fields = object_field(value, where)
    role = text_field(fields.get("role"), f"{where}.role")
    if role not in ROLES:
        raise RowError(Reason.ROLE_UNKNOWN, f"{where}.role", quoted(role))
    kept = {k: exact(fields[k], f"{where}.{k}") for k in _KEPT if fields.get(k) is not None}
    if ROLES[role] != role:
        kept["original_role"] = role
    content = fields.get("content")
    if isinstance(content, str):
        return Message(ROLES[role], (Text(content),), kept)
    if not content and "tool_calls" in kept:
        return Message(ROLES[role], (), kept)
    parts = list_field(content, f"{where}.content")
    found = tuple(_part(part, f"{where}.content[{index}]") for index, part in enumerate(parts))
    return Message(ROLES[role], found, kept)


def _part(value: Any, where: str) -> Part:
    part = object_field(value, where)
    if part.get("type") == "image":
        return ImageRef()
    if part.get("type") == "text":
        return Text(text_field(part.get("text"), f"{where}.text"))
    raise RowError(Reason.PART_UNKNOWN, f"{where}.type", quoted(part.get("type")))


def _with_leading_images(
    messages: tuple[Message, ...], images: int, fields: Fields
) -> tuple[Message, ...]:
    """Put the pictures before the first user text, when every content is a string."""
    if not images or not _has_string_contents(fields):
        return messages
    index = next((i for i, message in enumerate(messages) if message.role == "user"), None)
    if index is None:
        return messages
    content = (ImageRef(),) * images + messages[index].content
    return (*messages[:index], replace(messages[index], content=content), *messages[index + 1 :])


def _has_string_contents(fields: Fields) -> bool:
    values = [fields.get(name) for name in ("messages", "prompt", "completion")]
    return not any(
        isinstance(message, Mapping) and isinstance(message.get("content"), list)
        for value in values
        if isinstance(value, list)
        for message in value
    )


def render(conversation: Conversation) -> dict[str, Any]:
    """Write a row; the pictures are data URIs in ``images``, their places bare parts."""
    row: dict[str, Any] = {} if conversation.id is None else {"id": conversation.id}
    messages = [_rendered(message) for message in conversation.messages]
    if conversation.prompt_messages is None:
        row["messages"] = messages
    else:
        row["prompt"] = messages[: conversation.prompt_messages]
        row["completion"] = messages[conversation.prompt_messages :]
    if conversation.images:
        row["images"] = [data_uri(image) for image in conversation.images]
    if conversation.tools is not None:
        row["tools"] = orjson.loads(conversation.tools)
    return row


def _rendered(message: Message) -> dict[str, Any]:
    parts = [
        {"type": "text", "text": part.text} if isinstance(part, Text) else {"type": "image"}
        for part in message.content
    ]
    kept = {key: message.extras[key] for key in _KEPT if key in message.extras}
    return {"role": message.role, "content": parts, **kept}


def losses(conversation: Conversation) -> tuple[Warned, ...]:
    """Name what TRL has no column for: training flags, details, the row's older role."""
    found = []
    for index, message in enumerate(conversation.messages):
        where = f"$.messages[{index}]"
        found += [lost(f"{where}.{name}", name) for name in message.extras if name not in _KEPT]
        details = [part for part in message.content if isinstance(part, ImageRef) and part.detail]
        found += [lost(f"{where}.content", "detail") for _ in details]
    if conversation.rejected:
        found.append(lost("$.rejected", "the rejected answer"))
    return tuple(found)


def recognise(fields: Fields) -> Evidence | None:
    """Recognise ``prompt`` + ``completion``, or ``messages`` with a column of pictures."""
    if "prompt" in fields and "completion" in fields:
        return Evidence(3, "rows have prompt and completion")
    if "messages" in fields and ("images" in fields or "image" in fields):
        return Evidence(3, "rows have messages and a column of images")
    return None


FORMAT = Format("trl", parse, render, losses, recognise)
