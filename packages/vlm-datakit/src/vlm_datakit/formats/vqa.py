"""Visual questions: ``{"image", "question", "answer"}``, or ``answers`` that are all the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vlm_datakit.conversation import Conversation, Draft
from vlm_datakit.errors import Reason, RowError
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
from vlm_datakit.turns import list_field, row_id, row_warnings, text_field

_FIELDS = frozenset({"image", "question"})


def parse(fields: Fields) -> Draft:
    """Read one row; ``question_id`` stands in for a missing ``id``.

    Several answers are one if they are all the same text; which of different ones is to be
    learned, nobody here can know.

    Raises:
        RowError: ``answers-differ``, ``field-missing``, ``field-not-text``,
            ``field-wrong-type``.

    Example:
        >>> draft = parse({"image": "a.png", "question": "Colour?", "answers": ["red", "red"]})
        >>> draft.messages[1].content
        (Text(text='red'),)
    """
    images = picture_of(fields, "image")
    question = text_field(fields.get("question"), "$.question")
    answer_key = "answer" if fields.get("answer") is not None else "answers"
    answer = _answer(fields.get(answer_key), f"$.{answer_key}")
    id_key = "id" if fields.get("id") is not None else "question_id"
    own_id = row_id(fields.get(id_key))
    known = _FIELDS | {answer_key} | ({id_key} if own_id is not None else set())
    warnings = row_warnings(fields, known)
    return Draft(asked(question, answer, images), images, own_id, warnings=warnings)


def _answer(value: Any, where: str) -> str:
    if not isinstance(value, (list, tuple)):
        return text_field(value, where)
    values = enumerate(list_field(value, where))
    answers = [text_field(answer, f"{where}[{index}]") for index, answer in values]
    different = len(set(answers))
    if different > 1:
        seen = f"{different} different answers among {len(answers)}"
        raise RowError(Reason.ANSWERS_DIFFER, where, seen)
    return answers[0]


def render(conversation: Conversation, pictures: Sequence[str]) -> dict[str, Any]:
    """Write a row: the first question with its first picture, and its answer."""
    row: dict[str, Any] = {} if conversation.id is None else {"id": conversation.id}
    if first_images(conversation.messages):
        row["image"] = pictures[0]
    question, answer = first_pair(conversation.messages)
    return {**row, "question": question, "answer": answer}


def losses(conversation: Conversation) -> tuple[Lost, ...]:
    """Name what one question with one picture and one answer cannot hold."""
    found = losses_of_one(conversation) + images_moved(conversation.messages)
    images = first_images(conversation.messages)
    if images > 1:
        found.append(Lost(Loss.FIRST_IMAGE, "$.messages", f"{images} images"))
    return tuple(found)


def recognise(fields: Fields) -> Evidence | None:
    """Recognise ``image`` and ``question`` with ``answer`` or ``answers``."""
    if "image" in fields and "question" in fields and ("answer" in fields or "answers" in fields):
        return Evidence(3, "rows have image, question and answer")
    return None


_CANNOT_HOLD = ONE_CANNOT_HOLD | {Loss.DETAIL, Loss.FIRST_IMAGE, Loss.IMAGE_PLACE}
FORMAT = Format("vqa", parse, render, losses, recognise, _CANNOT_HOLD)
