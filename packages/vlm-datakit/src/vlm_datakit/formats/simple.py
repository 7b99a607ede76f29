"""Simple rows: ``{"text", "image", "response"}`` and an optional ``system``; one turn each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vlm_datakit.conversation import Conversation, Draft, ImageRef, Message, Part, Text
from vlm_datakit.formats.format import Evidence, Fields, Format
from vlm_datakit.images.kind import classify
from vlm_datakit.losses import Loss, Lost, details_lost, extras_lost
from vlm_datakit.plain import PICTURE, TEXT, PlainDraft, TextColumns, Turn
from vlm_datakit.turns import (
    count_images,
    only_texts,
    plain_id,
    row_id,
    row_warnings,
    spoken,
    text_field,
)

_FIELDS = frozenset({"text", "image", "response", "system", "id"})
_PLAIN = ((Turn("user"), Turn("assistant")),)
_PLAIN_WITH_IMAGE = ((Turn("user", PICTURE + TEXT), Turn("assistant")),)
#: Of the rows without a picture that `plain` reads.
TEXT_COLUMNS = TextColumns(("text", "response"), _PLAIN)


def parse(fields: Fields) -> Draft:
    """Read one row; ``output`` stands in for a missing ``response``.

    Raises:
        RowError: ``field-missing``, ``field-not-text``, ``field-wrong-type``.

    Example:
        >>> draft = parse({"text": "2 + 2?", "response": "4"})
        >>> [message.role for message in draft.messages]
        ['user', 'assistant']
    """
    image, system = fields.get("image"), fields.get("system")
    has_image = image is not None and not (isinstance(image, str) and image == "")
    question = Text(text_field(fields.get("text"), "$.text"))
    content: tuple[Part, ...] = (ImageRef(), question) if has_image else (question,)
    answer_key = (
        "response" if fields.get("response") is not None or "output" not in fields else "output"
    )
    answer = text_field(fields.get(answer_key), f"$.{answer_key}")
    messages = [Message("user", content), Message("assistant", (Text(answer),))]
    if system is not None:
        messages.insert(0, Message("system", (Text(text_field(system, "$.system")),)))
    images = (classify(image, "$.image"),) if has_image else ()
    return Draft(
        tuple(messages),
        images,
        row_id(fields.get("id")),
        warnings=row_warnings(fields, _FIELDS | {answer_key}),
    )


def plain(fields: Fields) -> PlainDraft | None:
    """Read a row of a question, an answer, and maybe a picture spelled as text."""
    if "image" not in fields:
        texts = only_texts(fields, TEXT_COLUMNS.names)
        return None if texts is None else PlainDraft(_PLAIN, texts, id=plain_id(fields))
    texts = only_texts(fields, ("text", "response", "image"))
    if texts is None or not texts[2].strip():
        return None
    images = (classify(texts[2], "$.image"),)
    return PlainDraft(_PLAIN_WITH_IMAGE, texts[:2], images, plain_id(fields))


def render(conversation: Conversation, pictures: Sequence[str]) -> dict[str, Any]:
    """Write a row: the first question with its first picture, and the first answer."""
    row: dict[str, Any] = {} if conversation.id is None else {"id": conversation.id}
    for role, key in (("system", "system"), ("user", "text")):
        if (message := _first(conversation, role)) is not None:
            row[key] = spoken(message)
            if role == "user" and count_images((message,)):
                row["image"] = pictures[0]
    answer = _first(conversation, "assistant")
    return {**row, "response": "" if answer is None else spoken(answer)}


def _first(conversation: Conversation, role: str) -> Message | None:
    return next((message for message in conversation.messages if message.role == role), None)


def losses(conversation: Conversation) -> tuple[Lost, ...]:
    """Name what one question with one picture and one answer cannot hold."""
    messages = conversation.messages
    found = []
    has_system = bool(messages) and messages[0].role == "system"
    if [message.role for message in messages[has_system:]] != ["user", "assistant"]:
        found.append(Lost(Loss.FIRST_TURN, "$.messages", f"{len(messages)} messages"))
    question = _first(conversation, "user")
    images = 0 if question is None else count_images((question,))
    if images > 1:
        found.append(Lost(Loss.FIRST_IMAGE, "$.messages", f"{images} images"))
    for index, message in enumerate(messages):
        found += _message_losses(message, f"$.messages[{index}]")
    if conversation.tools is not None:
        found.append(Lost(Loss.TOOLS, "$.tools", "tools"))
    if conversation.rejected:
        found.append(Lost(Loss.REJECTED, "$.rejected", "the rejected answer"))
    return tuple(found)


def _message_losses(message: Message, where: str) -> list[Lost]:
    found = extras_lost(message, where)
    texts = [part for part in message.content if isinstance(part, Text)]
    images = [part for part in message.content if isinstance(part, ImageRef)]
    if len(texts) != 1:
        found.append(
            Lost(Loss.JOINED_TEXTS, f"{where}.content", f"{len(texts)} texts in one message")
        )
    elif images and message.content[-1] != texts[0]:
        found.append(Lost(Loss.IMAGE_PLACE, f"{where}.content", "an image after the text"))
    return found + details_lost(message, where)


def recognise(fields: Fields) -> Evidence | None:
    """Recognise ``text`` with ``response`` or ``output``."""
    if "text" in fields and ("response" in fields or "output" in fields):
        return Evidence(2, "rows have text and response")
    return None


_CANNOT_HOLD = frozenset(
    {Loss.FIRST_TURN, Loss.LAST_TURN, Loss.FIRST_IMAGE, Loss.IMAGE_PLACE, Loss.JOINED_TEXTS}
    | {Loss.ROLES, Loss.NAMES, Loss.TOOLS, Loss.TOOL_CALLS, Loss.FLAGS, Loss.DETAIL}
    | {Loss.REJECTED, Loss.BOUNDARY, Loss.IMAGE_OPTIONS}
)
FORMAT = Format("simple", parse, render, losses, recognise, _CANNOT_HOLD)
