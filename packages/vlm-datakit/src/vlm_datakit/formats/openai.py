"""OpenAI chat rows: ``{"messages": [{"role", "content"}, ...], "tools": [...]}``.

Accepts string contents and part lists, ``image_url`` as text and as ``{url, detail}``,
and Qwen's ``{"type": "image", "image": ...}``, since both stand in the same files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from vlm_datakit.conversation import (
    MESSAGE_EXTRAS,
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
from vlm_datakit.images.kind import classify
from vlm_datakit.losses import Loss, Lost, boundary_lost, extras_lost
from vlm_datakit.plain import PICTURE, TEXT, PlainDraft, Turn
from vlm_datakit.turns import (
    exact,
    ignored,
    is_known,
    json_text,
    list_field,
    object_field,
    plain_id,
    row_id,
    row_warnings,
    text_field,
)

#: Roles as rows spell them, and as they are written: developer is OpenAI's newer system.
ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
_ROW_FIELDS = frozenset({"messages", "tools", "id"})
_PLAIN_ROLES = ("user", "assistant", "system")
_OURS = ("original_role", "image_options")  # for us to say, not for rows
_EXTRAS = tuple(name for name in MESSAGE_EXTRAS if name not in _OURS)
_KEPT = (*_EXTRAS, "original_role")
_BARE = frozenset({"role", "content"})
_MESSAGE_FIELDS = _BARE | {*_EXTRAS}
_TEXT_FIELDS = frozenset({"type", "text"})
_IMAGE_FIELDS = frozenset({"type", "detail"})
_URL_FIELDS = frozenset({"url", "detail"})


def parse(fields: Fields) -> Draft:
    """Read one row.

    Raises:
        RowError: ``field-missing``, ``field-not-text``, ``field-wrong-type``,
            ``role-unknown``, ``part-unknown``, ``number-not-exact``.

    Example:
        >>> draft = parse({"messages": [{"role": "user", "content": "Hi"}]})
        >>> draft.messages[0].content
        (Text(text='Hi'),)
    """
    found = Found()
    values = list_field(fields.get("messages"), "$.messages")
    messages = tuple(
        [parse_message(value, f"$.messages[{index}]", found) for index, value in enumerate(values)]
    )
    return Draft(
        messages,
        tuple(found.images),
        row_id(fields.get("id")),
        json_text(fields.get("tools"), "$.tools"),
        warnings=(*row_warnings(fields, _ROW_FIELDS), *found.warnings),
    )


def plain(fields: Fields) -> PlainDraft | None:
    """Read a row of messages whose contents are texts, or parts of text and pictures."""
    messages = fields.get("messages")
    if type(messages) is not list or not is_known(fields, 1):
        return None
    turns, texts, images = list[Turn](), list[str](), list[ImageSource]()
    for message in messages:
        if type(message) is not dict or len(message) != 2:
            return None
        role, content = message.get("role"), message.get("content")
        if type(content) is str:
            parts = TEXT
            texts.append(content)
        elif type(content) is not list or not (parts := _plain_parts(content, texts, images)):
            return None
        if role not in _PLAIN_ROLES:
            return None
        turns.append(Turn(role, parts))
    return PlainDraft((tuple(turns),), tuple(texts), tuple(images), plain_id(fields))


def _plain_parts(content: list[Any], texts: list[str], images: list[ImageSource]) -> str:
    """Add what parts say to texts and images; return a letter for each, or nothing."""
    parts = ""
    for part in content:
        if type(part) is not dict or len(part) != 2:
            return ""
        text, url = part.get("text"), part.get("image_url")
        if part.get("type") == "text" and type(text) is str:
            texts.append(text)
            parts += TEXT
        elif part.get("type") == "image_url" and type(url) is dict and len(url) == 1:
            value = url.get("url")
            if type(value) is not str or not value.strip():
                return ""
            images.append(classify(value, "$.messages"))
            parts += PICTURE
        else:
            return ""
    return parts


class Found:
    """What the messages of one row named on the way: pictures in order, and warnings."""

    def __init__(self) -> None:
        self.images: list[ImageSource] = []
        self.warnings: list[Warned] = []


def parse_message(value: Any, where: str, found: Found) -> Message:
    """Read one message; its pictures are added to what was found."""
    fields = object_field(value, where)
    role = text_field(fields.get("role"), f"{where}.role")
    if role not in ROLES:
        raise RowError(Reason.ROLE_UNKNOWN, f"{where}.role", quoted(role))
    extras = {} if _BARE.issuperset(fields) else _extras(fields, where)
    if ROLES[role] != role:
        extras["original_role"] = role
    found.warnings += ignored(fields, _MESSAGE_FIELDS, where)
    return Message(ROLES[role], _content(fields, f"{where}.content", found), extras)


def _extras(fields: Fields, where: str) -> dict[str, Any]:
    given = [key for key in _EXTRAS if fields.get(key) is not None]
    return {key: exact(fields[key], f"{where}.{key}") for key in given}


def _content(fields: Fields, where: str, found: Found) -> tuple[Part, ...]:
    content = fields.get("content")
    if isinstance(content, str):
        return (Text(content),)
    if not content and fields.get("tool_calls"):
        return ()
    parts = list_field(content, where)
    return tuple([_part(part, f"{where}[{index}]", found) for index, part in enumerate(parts)])


def _part(value: Any, where: str, found: Found) -> Part:
    part = object_field(value, where)
    kind = part.get("type")
    if kind == "text":
        found.warnings += ignored(part, _TEXT_FIELDS, where)
        return Text(text_field(part.get("text"), f"{where}.text"))
    if kind not in ("image_url", "image"):
        raise RowError(Reason.PART_UNKNOWN, f"{where}.type", quoted(kind))
    other = "image" if kind == "image_url" else "image_url"
    key = other if part.get(kind) is None and part.get(other) is not None else kind
    found.warnings += ignored(part, _IMAGE_FIELDS | {key}, where)
    return _image_part(part, key, f"{where}.{key}", found)


def _image_part(part: Mapping[str, Any], key: str, where: str, found: Found) -> ImageRef:
    value, detail = part.get(key), part.get("detail")
    if isinstance(value, Mapping) and "url" in value:
        found.warnings += ignored(value, _URL_FIELDS, where)
        detail = detail if value.get("detail") is None else value["detail"]
        value, where = value["url"], f"{where}.url"
    found.images.append(classify(value, where))
    return ImageRef(None if detail is None else text_field(detail, f"{where}.detail"))


def render(conversation: Conversation, pictures: Sequence[str]) -> dict[str, Any]:
    """Write a row; contents are part lists."""
    urls = iter(pictures)
    row: dict[str, Any] = {} if conversation.id is None else {"id": conversation.id}
    row["messages"] = [_rendered(message, urls) for message in conversation.messages]
    if conversation.tools is not None:
        row["tools"] = orjson.loads(conversation.tools)
    return row


def _rendered(message: Message, urls: Any) -> dict[str, Any]:
    parts = [_rendered_part(part, urls) for part in message.content]
    extras = {name: value for name, value in message.extras.items() if name not in _OURS}
    role = message.extras.get("original_role", message.role)
    return {"role": role, "content": parts or None, **extras}


def _rendered_part(part: Part, urls: Any) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    image: dict[str, Any] = {"url": next(urls)}
    if part.detail is not None:
        image["detail"] = part.detail
    return {"type": "image_url", "image_url": image}


def losses(conversation: Conversation) -> tuple[Lost, ...]:
    """Name what a chat row has no place for: the other answer, an inner prompt boundary."""
    found = boundary_lost(conversation)
    for index, message in enumerate(conversation.messages):
        found += extras_lost(message, f"$.messages[{index}]", _KEPT)
    if conversation.rejected:
        found.append(Lost(Loss.REJECTED, "$.rejected", "the rejected answer"))
    return tuple(found)


def recognise(fields: Fields) -> Evidence | None:
    """Recognise ``messages`` of objects with a role."""
    messages = fields.get("messages")
    if not (isinstance(messages, list) and messages and isinstance(messages[0], Mapping)):
        return None
    return Evidence(2, "rows have messages with roles") if "role" in messages[0] else None


_CANNOT_HOLD = frozenset({Loss.BOUNDARY, Loss.REJECTED, Loss.IMAGE_OPTIONS})
FORMAT = Format("openai", parse, render, losses, recognise, _CANNOT_HOLD)
