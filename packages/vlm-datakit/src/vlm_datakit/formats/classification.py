"""Pictures and their classes: ``{"image", "label"}``, asked one question for all rows.

Such a row has no question, and a conversation needs one: it is `QUESTION`, said by
`recognise` and in the docs. A label must be a name: what a model should learn from a bare
number nobody here can know.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vlm_datakit.conversation import Conversation, Draft
from vlm_datakit.errors import Reason, RowError, quoted
from vlm_datakit.formats.dialogue import (
    ONE_CANNOT_HOLD,
    asked,
    first_images,
    first_pair,
    images_moved,
    losses_of_one,
    picture_of,
)
from vlm_datakit.formats.format import Evidence, Fields, Format
from vlm_datakit.losses import Loss, Lost
from vlm_datakit.turns import row_id, row_warnings, text_field

QUESTION = "What is in the picture? Answer with its class."
# With one of these beside it, a label is not what is to be learned.
_OTHERS = ("messages", "conversations", "prompt", "text", "texts", "question", "instruction")


def parse(fields: Fields) -> Draft:
    """Read one row; ``img`` stands in for a missing ``image``.

    Raises:
        RowError: ``field-missing``, also for no picture; ``field-not-text`` for a number;
            ``field-wrong-type``.

    Example:
        >>> draft = parse({"image": "a.png", "label": "cat"})
        >>> draft.messages[0].content[1].text, draft.messages[1].content[0].text
        ('What is in the picture? Answer with its class.', 'cat')
    """
    key = "image" if fields.get("image") is not None or "img" not in fields else "img"
    images = picture_of(fields, key)
    if not images:
        raise RowError(Reason.FIELD_MISSING, f"$.{key}", quoted(fields.get(key)))
    label = fields.get("label")
    if isinstance(label, (int, float)):
        seen = f"{quoted(label)}, and not the name of the class"
        raise RowError(Reason.FIELD_NOT_TEXT, "$.label", seen)
    messages = asked(QUESTION, text_field(label, "$.label"), images)
    warnings = row_warnings(fields, frozenset({"id", key, "label"}))
    return Draft(messages, images, row_id(fields.get("id")), warnings=warnings)


def render(conversation: Conversation, pictures: Sequence[str]) -> dict[str, Any]:
    """Write a row: the first picture and the first answer."""
    row: dict[str, Any] = {} if conversation.id is None else {"id": conversation.id}
    if first_images(conversation.messages):
        row["image"] = pictures[0]
    return {**row, "label": first_pair(conversation.messages)[1]}


def losses(conversation: Conversation) -> tuple[Lost, ...]:
    """Name what a picture and its class cannot hold: any other question is one of them."""
    found = losses_of_one(conversation) + images_moved(conversation.messages)
    images = first_images(conversation.messages)
    if images == 0:
        found.append(Lost(Loss.NO_IMAGE, "$.messages", "a row without a picture"))
    if images > 1:
        found.append(Lost(Loss.FIRST_IMAGE, "$.messages", f"{images} images"))
    if first_pair(conversation.messages)[0] != QUESTION:
        found.append(Lost(Loss.QUESTION, "$.messages", "a question of its own"))
    return tuple(found)


def recognise(fields: Fields) -> Evidence | None:
    """Recognise a picture and a label, with no text beside them that asks or answers."""
    has_image = "image" in fields or "img" in fields
    is_label = type(fields.get("label")) in (str, int)  # TRL's other label is a bool
    if has_image and is_label and not any(name in fields for name in _OTHERS):
        return Evidence(3, f'rows have a picture and a label; the question of all is "{QUESTION}"')
    return None


_CANNOT_HOLD = ONE_CANNOT_HOLD | {
    *(Loss.DETAIL, Loss.FIRST_IMAGE, Loss.IMAGE_PLACE, Loss.NO_IMAGE, Loss.QUESTION),
}
FORMAT = Format("classification", parse, render, losses, recognise, _CANNOT_HOLD)
