"""Qwen messages: ``{"type": "image", "image": ..., "min_pixels": ...}`` in part lists.

As qwen_vl_utils and the chat templates of Qwen read them. The size at which a picture is looked
at (``min_pixels``, ``max_pixels``, ``resized_height``, ``resized_width``) is kept as the message's
``image_options``, one object or null for each picture. Keys that Arrow fills with null are none.
Else rows are read as the format openai reads them, which takes the same parts but not the sizes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import repeat
from typing import Any

import orjson

from vlm_datakit.conversation import Conversation, Draft, Message, Text
from vlm_datakit.formats.format import Evidence, Fields, Format
from vlm_datakit.formats.openai import Found, parse_message
from vlm_datakit.losses import Loss, Lost, boundary_lost, details_lost, extras_lost
from vlm_datakit.turns import (
    count_images,
    exact,
    json_text,
    list_field,
    row_id,
    row_warnings,
)

_FIELDS = frozenset({"messages", "tools", "id"})
_OPTIONS = ("min_pixels", "max_pixels", "resized_height", "resized_width")
_KINDS = ("image", "image_url")
_KEPT = ("tool_calls", "tool_call_id", "name")


def parse(fields: Fields) -> Draft:
    """Read one row.

    Raises:
        RowError: as the format openai; ``part-unknown`` for a video.

    Example:
        >>> draft = parse({"messages": [{"role": "user", "content": [
        ...     {"type": "image", "image": "a.png", "max_pixels": 50176}]}]})
        >>> draft.messages[0].extras
        {'image_options': [{'max_pixels': 50176}]}
    """
    found = Found()
    values = list_field(fields.get("messages"), "$.messages")
    messages = [
        _message(value, f"$.messages[{index}]", found) for index, value in enumerate(values)
    ]
    tools, id_ = json_text(fields.get("tools"), "$.tools"), row_id(fields.get("id"))
    warnings = (*row_warnings(fields, _FIELDS), *found.warnings)
    return Draft(tuple(messages), tuple(found.images), id_, tools, warnings=warnings)


def _message(value: Any, where: str, found: Found) -> Message:
    content = value.get("content") if isinstance(value, Mapping) else None
    if not isinstance(content, (list, tuple)):
        return parse_message(value, where, found)
    options = [
        _options(part, f"{where}.content[{index}]")
        for index, part in enumerate(content)
        if isinstance(part, Mapping) and part.get("type") in _KINDS
    ]
    bare = {**value, "content": [_without_options(part) for part in content]}
    message = parse_message(bare, where, found)
    if not any(options):
        return message
    return replace(message, extras={**message.extras, "image_options": options})


def _options(part: Mapping[str, Any], where: str) -> dict[str, Any] | None:
    return {name: exact(value, f"{where}.{name}") for name, value in _sizes(part).items()} or None


def _sizes(part: Mapping[str, Any]) -> dict[str, Any]:
    return {name: part[name] for name in _OPTIONS if part.get(name) is not None}


def _without_options(part: Any) -> Any:
    if not isinstance(part, Mapping) or part.get("type") not in _KINDS:
        return part
    return {name: value for name, value in part.items() if name not in _OPTIONS}


def render(conversation: Conversation, pictures: Sequence[str]) -> dict[str, Any]:
    """Write a row; contents are part lists."""
    images = iter(pictures)
    row: dict[str, Any] = {} if conversation.id is None else {"id": conversation.id}
    row["messages"] = [_rendered(message, images) for message in conversation.messages]
    if conversation.tools is not None:
        row["tools"] = orjson.loads(conversation.tools)
    return row


def _rendered(message: Message, images: Iterator[str]) -> dict[str, Any]:
    sizes = iter(message.extras["image_options"] if _holds_options(message) else repeat(None))
    parts = [
        {"type": "text", "text": part.text}
        if isinstance(part, Text)
        else _image_part(next(images), next(sizes))
        for part in message.content
    ]
    kept = {key: message.extras[key] for key in _KEPT if key in message.extras}
    return {"role": message.role, "content": parts, **kept}


def _image_part(image: str, size: Mapping[str, Any] | None) -> dict[str, Any]:
    return {"type": "image", "image": image, **(size or {})}


def _holds_options(message: Message) -> bool:
    """Whether options are as `parse` makes them, one for each picture of the message."""
    options = message.extras.get("image_options")
    return (
        isinstance(options, list)
        and any(options)
        and len(options) == count_images((message,))
        and all(option is None or _is_option(option) for option in options)
    )


def _is_option(value: Any) -> bool:
    is_object = isinstance(value, Mapping) and bool(value)
    return is_object and all(name in _OPTIONS and value[name] is not None for name in value)


def losses(conversation: Conversation) -> tuple[Lost, ...]:
    """Name what these messages have no place for."""
    found = boundary_lost(conversation)
    for index, message in enumerate(conversation.messages):
        where = f"$.messages[{index}]"
        kept = (*_KEPT, "image_options") if _holds_options(message) else _KEPT
        found += extras_lost(message, where, kept) + details_lost(message, where)
    if conversation.rejected:
        found.append(Lost(Loss.REJECTED, "$.rejected", "the rejected answer"))
    return tuple(found)


def recognise(fields: Fields) -> Evidence | None:
    """Recognise parts of the type image that name their picture, and how it is looked at.

    Without a size openai reads the same from them, so most rows decide; one with a size does.
    """
    messages = fields.get("messages")
    if not isinstance(messages, (list, tuple)):
        return None
    contents = [message.get("content") for message in messages if isinstance(message, Mapping)]
    lists = [content for content in contents if isinstance(content, (list, tuple))]
    if not lists:
        return None
    parts = [part for content in lists for part in content if isinstance(part, Mapping)]
    images = [part for part in parts if part.get("type") in _KINDS]
    if any(_sizes(part) for part in images):
        return Evidence(50, "rows have images with pixels or sizes")
    if any(part.get("image") is not None for part in images):
        return Evidence(3, "rows have parts of the type image with an image")
    return Evidence(1, "rows have messages of parts")


_CANNOT_HOLD = frozenset({Loss.BOUNDARY, Loss.REJECTED, Loss.FLAGS, Loss.ROLES, Loss.DETAIL})
_CANNOT_HOLD |= {Loss.IMAGE_OPTIONS}
FORMAT = Format("qwen", parse, render, losses, recognise, _CANNOT_HOLD)
