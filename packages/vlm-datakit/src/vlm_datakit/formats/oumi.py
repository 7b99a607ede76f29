"""Conversations of Oumi: ``{"messages": [{"role", "content"}]}``, pictures as typed parts.

A part has its text, path or URL in ``content`` and a picture's base64 in ``binary``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vlm_datakit.conversation import Conversation, Draft, ImageRef, Message, Part, Text
from vlm_datakit.errors import Reason, RowError, quoted
from vlm_datakit.formats.format import Evidence, Fields, Format, base64_of, in_base64
from vlm_datakit.formats.openai import Found
from vlm_datakit.images.kind import classify
from vlm_datakit.losses import Loss, Lost, boundary_lost, details_lost, extras_lost
from vlm_datakit.turns import (
    ignored,
    list_field,
    object_field,
    row_id,
    row_warnings,
    text_field,
)

_ROLES = ("system", "user", "assistant", "tool")
_PICTURES = ("image_path", "image_url", "image_binary")
_MESSAGE_FIELDS = frozenset({"role", "content"})
_PART_FIELDS = frozenset({"type", "content", "binary"})


def parse(fields: Fields) -> Draft:
    """Read one row; ``conversation_id``, or else ``id``, is its id.

    Raises:
        RowError: ``field-missing``, ``field-not-text``, ``field-wrong-type``,
            ``role-unknown``, ``part-unknown``.

    Example:
        >>> parts = [{"type": "image_path", "content": "a.png"}, {"type": "text", "content": "?"}]
        >>> draft = parse({"messages": [{"role": "user", "content": parts}]})
        >>> draft.messages[0].content
        (ImageRef(detail=None), Text(text='?'))
    """
    found = Found()
    values = enumerate(list_field(fields.get("messages"), "$.messages"))
    messages = tuple([_message(value, f"$.messages[{index}]", found) for index, value in values])
    own_id = row_id(fields.get("conversation_id"))
    known = frozenset({"messages", "id" if own_id is None else "conversation_id"})
    return Draft(
        messages,
        tuple(found.images),
        row_id(fields.get("id")) if own_id is None else own_id,
        warnings=(*row_warnings(fields, known), *found.warnings),
    )


def _message(value: Any, where: str, found: Found) -> Message:
    fields = object_field(value, where)
    role = text_field(fields.get("role"), f"{where}.role")
    if role not in _ROLES:
        raise RowError(Reason.ROLE_UNKNOWN, f"{where}.role", quoted(role))
    found.warnings += ignored(fields, _MESSAGE_FIELDS, where)
    content = fields.get("content")
    if isinstance(content, str):
        return Message(role, (Text(content),))
    parts = enumerate(list_field(content, f"{where}.content"))
    return Message(role, tuple([_part(p, f"{where}.content[{i}]", found) for i, p in parts]))


def _part(value: Any, where: str, found: Found) -> Part:
    part = object_field(value, where)
    kind = part.get("type")
    if kind == "text":
        found.warnings += ignored(part, _PART_FIELDS - {"binary"}, where)
        return Text(text_field(part.get("content"), f"{where}.content"))
    if kind not in _PICTURES:
        raise RowError(Reason.PART_UNKNOWN, f"{where}.type", quoted(kind))
    if part.get("binary") is not None:
        found.warnings += ignored(part, _PART_FIELDS - {"content"}, where)
        found.images.append(in_base64(part["binary"], f"{where}.binary"))
    elif kind == "image_binary":
        raise RowError(Reason.FIELD_MISSING, f"{where}.binary", quoted(None))
    else:
        found.warnings += ignored(part, _PART_FIELDS, where)
        text = text_field(part.get("content"), f"{where}.content")
        found.images.append(classify(text, f"{where}.content"))
    return ImageRef()


def render(conversation: Conversation, pictures: Sequence[str]) -> dict[str, Any]:
    """Write a row; a message of one text has it as its content."""
    spelled = iter(pictures)
    row: dict[str, Any] = {}
    if conversation.id is not None:
        row["conversation_id"] = conversation.id
    row["messages"] = [_rendered(message, spelled) for message in conversation.messages]
    return row


def _rendered(message: Message, spelled: Iterator[str]) -> dict[str, Any]:
    parts = [_rendered_part(part, spelled) for part in message.content]
    is_text = len(parts) == 1 and parts[0]["type"] == "text"
    content = parts[0]["content"] if is_text else parts or ""
    return {"role": message.role, "content": content}


def _rendered_part(part: Part, spelled: Iterator[str]) -> dict[str, str]:
    if isinstance(part, Text):
        return {"type": "text", "content": part.text}
    picture = next(spelled)
    if (found := base64_of(picture)) is not None:
        return {"type": "image_binary", "binary": found[1]}
    kind = "image_url" if "://" in picture else "image_path"
    return {"type": kind, "content": picture}


def losses(conversation: Conversation) -> tuple[Lost, ...]:
    """Name what Oumi's messages have no place for."""
    found = list[Lost]()
    for index, message in enumerate(conversation.messages):
        where = f"$.messages[{index}]"
        found += extras_lost(message, where) + details_lost(message, where)
    if conversation.tools is not None:
        found.append(Lost(Loss.TOOLS, "$.tools", "tools"))
    found += boundary_lost(conversation)
    if conversation.rejected:
        found.append(Lost(Loss.REJECTED, "$.rejected", "the rejected answer"))
    return tuple(found)


def recognise(fields: Fields) -> Evidence | None:
    """Recognise ``messages`` with parts of Oumi's types, or with ``conversation_id`` beside."""
    messages = fields.get("messages")
    if not (isinstance(messages, list) and messages and isinstance(messages[0], Mapping)):
        return None
    contents = [m.get("content") for m in messages if isinstance(m, Mapping)]
    parts = [part for content in contents if isinstance(content, list) for part in content]
    if any(isinstance(part, Mapping) and _is_ours(part) for part in parts):
        return Evidence(6, "rows have messages with parts of Oumi's types")
    if not parts and fields.get("conversation_id") is not None and "role" in messages[0]:
        return Evidence(4, "rows have messages and conversation_id")
    return None


def _is_ours(part: Fields) -> bool:
    is_text = part.get("type") == "text" and "content" in part and "text" not in part
    return is_text or part.get("type") in ("image_path", "image_binary")


_CANNOT_HOLD = frozenset(
    {Loss.ROLES, Loss.NAMES, Loss.TOOLS, Loss.TOOL_CALLS, Loss.FLAGS, Loss.DETAIL}
    | {Loss.BOUNDARY, Loss.REJECTED, Loss.IMAGE_OPTIONS}
)
FORMAT = Format("oumi", parse, render, losses, recognise, _CANNOT_HOLD)
