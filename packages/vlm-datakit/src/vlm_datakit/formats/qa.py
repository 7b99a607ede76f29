"""Two columns of text, a question and its answer, under one of a few known pairs of names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vlm_datakit.conversation import Conversation, Draft
from vlm_datakit.errors import Reason, RowError
from vlm_datakit.formats.dialogue import (
    NO_IMAGES,
    ONE_CANNOT_HOLD,
    asked,
    first_pair,
    images_lost,
    losses_of_one,
)
from vlm_datakit.formats.format import Evidence, Fields, Format
from vlm_datakit.losses import Lost
from vlm_datakit.plain import PlainDraft, Turn
from vlm_datakit.turns import (
    only_texts,
    plain_id,
    row_id,
    row_warnings,
    text_field,
)

#: The names that are known, the first of them those that are written.
PAIRS = (
    ("question", "answer"),
    ("query", "response"),
    ("prompt", "response"),
    ("instruction", "response"),
    ("problem", "solution"),
)
# What a question may need to be understood, or a picture: such rows are not recognised.
_MORE = ("context", "input", "image", "images", "messages", "conversations", "choices", "options")
_PLAIN = ((Turn("user"), Turn("assistant")),)


def parse(fields: Fields) -> Draft:
    """Read one row.

    Raises:
        RowError: ``field-missing``, ``field-not-text``; ``field-wrong-type`` if several
            pairs are filled.

    Example:
        >>> draft = parse({"query": "2 + 2?", "response": "4"})
        >>> [message.role for message in draft.messages]
        ['user', 'assistant']
    """
    pairs = [pair for pair in PAIRS if all(fields.get(name) is not None for name in pair)]
    if len(pairs) > 1:
        seen = " and ".join(question for question, _ in pairs)
        raise RowError(Reason.FIELD_WRONG_TYPE, "$", f"more than one question: {seen}")
    if fields.get("image"):
        raise RowError(Reason.IMAGE_COUNT_DIFFERS, "$.image", "an image, and no place for it")
    question, answer = pairs[0] if pairs else _named(fields)
    messages = asked(
        text_field(fields.get(question), f"$.{question}"),
        text_field(fields.get(answer), f"$.{answer}"),
    )
    warnings = row_warnings(fields, frozenset({"id", question, answer}))
    return Draft(messages, id=row_id(fields.get("id")), warnings=warnings)


def _named(fields: Fields) -> tuple[str, str]:
    """Return the pair that a row with none in full comes closest to, to say what is missing."""
    return next((pair for pair in PAIRS if pair[0] in fields), PAIRS[0])


def plain(fields: Fields) -> PlainDraft | None:
    """Read a row of nothing but a question and an answer."""
    for pair in PAIRS:
        if (texts := only_texts(fields, pair)) is not None:
            return PlainDraft(_PLAIN, texts, id=plain_id(fields))
    return None


def render(conversation: Conversation, pictures: Sequence[str]) -> dict[str, Any]:  # noqa: ARG001
    """Write a row: the first question and its answer."""
    row: dict[str, Any] = {} if conversation.id is None else {"id": conversation.id}
    return row | dict(zip(PAIRS[0], first_pair(conversation.messages), strict=True))


def losses(conversation: Conversation) -> tuple[Lost, ...]:
    """Name what one question and one answer cannot hold."""
    return (*losses_of_one(conversation), *images_lost(conversation.messages))


def recognise(fields: Fields) -> Evidence | None:
    """Recognise one known pair of columns, if nothing beside it belongs to the question."""
    pairs = [pair for pair in PAIRS if all(name in fields for name in pair)]
    if len(pairs) != 1 or any(fields.get(name) for name in _MORE):
        return None
    return Evidence(2, f"rows have {pairs[0][0]} and {pairs[0][1]}")


_CANNOT_HOLD = ONE_CANNOT_HOLD | NO_IMAGES
FORMAT = Format("qa", parse, render, losses, recognise, _CANNOT_HOLD)
