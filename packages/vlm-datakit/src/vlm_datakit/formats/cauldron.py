"""Rows of the Cauldron and FineVision: ``{"images": [...], "texts": [{"user", "assistant"}]}``.

All pictures stand before the text of the first question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vlm_datakit.conversation import Conversation, Draft, Message
from vlm_datakit.formats.dialogue import (
    TURNS_CANNOT_HOLD,
    asked,
    images_moved,
    losses_of_turns,
    rest_lost,
    turns_of,
)
from vlm_datakit.formats.format import Evidence, Fields, Format
from vlm_datakit.formats.trl import images_of
from vlm_datakit.losses import Loss, Lost
from vlm_datakit.turns import ignored, list_field, object_field, row_id, row_warnings, text_field

_FIELDS = frozenset({"images", "texts", "id"})
_TURN_FIELDS = frozenset({"user", "assistant"})


def parse(fields: Fields) -> Draft:
    """Read one row; a row may have no pictures.

    Raises:
        RowError: ``field-missing``, ``field-not-text``, ``field-wrong-type``.

    Example:
        >>> draft = parse({"images": ["a.png"], "texts": [{"user": "?", "assistant": "!"}]})
        >>> draft.messages[0].content
        (ImageRef(detail=None), Text(text='?'))
    """
    images = images_of({"images": fields.get("images")})
    warnings = list(row_warnings(fields, _FIELDS))
    messages = list[Message]()
    for index, value in enumerate(list_field(fields.get("texts"), "$.texts")):
        where = f"$.texts[{index}]"
        turn = object_field(value, where)
        question = text_field(turn.get("user"), f"{where}.user")
        answer = text_field(turn.get("assistant"), f"{where}.assistant")
        messages += asked(question, answer, () if messages else images)
        warnings += ignored(turn, _TURN_FIELDS, where)
    return Draft(tuple(messages), images, row_id(fields.get("id")), warnings=tuple(warnings))


def render(conversation: Conversation, pictures: Sequence[str]) -> dict[str, Any]:
    """Write a row: questions and answers in turn, all pictures beside them."""
    row: dict[str, Any] = {} if conversation.id is None else {"id": conversation.id}
    texts = [text for _, text in turns_of(conversation.messages)]
    pairs = zip(texts[::2], texts[1::2], strict=False)
    row["images"] = [*pictures]
    row["texts"] = [{"user": question, "assistant": answer} for question, answer in pairs]
    return row


def losses(conversation: Conversation) -> tuple[Lost, ...]:
    """Name what questions and answers in turn cannot hold."""
    messages = conversation.messages
    found = losses_of_turns(messages) + images_moved(messages) + rest_lost(conversation)
    if len(turns_of(messages)) % 2:
        found.append(Lost(Loss.LAST_TURN, "$.messages", "a question without an answer"))
    return tuple(found)


def recognise(fields: Fields) -> Evidence | None:
    """Recognise ``texts`` of objects with user and assistant."""
    texts = fields.get("texts")
    if not (isinstance(texts, list) and texts and isinstance(texts[0], Mapping)):
        return None
    if _TURN_FIELDS.issubset(texts[0]):
        return Evidence(5, "rows have texts of user and assistant")
    return None


_CANNOT_HOLD = TURNS_CANNOT_HOLD | {Loss.DETAIL, Loss.IMAGE_PLACE, Loss.LAST_TURN}
FORMAT = Format("cauldron", parse, render, losses, recognise, _CANNOT_HOLD)
