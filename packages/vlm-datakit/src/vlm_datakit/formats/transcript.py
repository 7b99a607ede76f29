r"""Transcripts as those of hh-rlhf: ``"\n\nHuman: ...\n\nAssistant: ..."``, alone or as a pair.

A turn begins with two line ends, the speaker's name, a colon and at most one space; all up
to the next turn is its text, white space and all. A pair is ``chosen`` and ``rejected``,
with the prompt in both; one transcript stands in ``text``.

Pictures stand beside, in ``image`` or ``images``. In a row that has any, each ``<image>`` of a
human's text is the place of one; if there is none, all of them stand before the first question.
Without pictures ``<image>`` is text like any other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from vlm_datakit.conversation import Conversation, Draft, ImageRef, ImageSource, Message, Text
from vlm_datakit.errors import Reason, RowError, quoted
from vlm_datakit.formats import trl
from vlm_datakit.formats.dialogue import (
    TURNS_CANNOT_HOLD,
    losses_of_turns,
    rest_lost,
    turns_of,
)
from vlm_datakit.formats.format import Evidence, Fields, Format
from vlm_datakit.losses import Loss, Lost, details_lost
from vlm_datakit.placeholders import IMAGE, bare, bind, hold_counts, unbind
from vlm_datakit.turns import (
    count_images,
    row_id,
    row_warnings,
    shared_prompt,
    sole_text,
    spoken,
    text_field,
)

_MARKER = re.compile(r"\n\n(Human|Assistant): ?")
_START = "\n\nHuman:"
_ROLES = {"Human": "user", "Assistant": "assistant"}
_NAMES = {role: name for name, role in _ROLES.items()}


def parse(fields: Fields) -> Draft:
    r"""Read one row.

    Raises:
        RowError: ``field-missing``, ``field-not-text``; ``roles-out-of-order`` unless the
            human begins and the two take turns; ``prompt-differs``, ``pair-equal``,
            ``answer-missing`` of a pair; ``image-in-answer`` and ``image-count-differs``
            unless every picture has a place.

    Example:
        >>> asked = "\n\nHuman: 2 + 2?\n\nAssistant:"
        >>> draft = parse({"chosen": f"{asked} 4", "rejected": f"{asked} 5"})
        >>> draft.prompt_messages, draft.rejected[0].content
        (1, (Text(text='5'),))
    """
    images = trl.images_of(fields)
    own_id = row_id(fields.get("id"))
    is_pair = fields.get("chosen") is not None or fields.get("rejected") is not None
    columns = ("chosen", "rejected") if is_pair else ("text",)
    column = "images" if fields.get("image") is None else "image"
    warnings = row_warnings(fields, frozenset({"id", column, *columns}))
    found = [_messages(fields.get(name), f"$.{name}") for name in columns]
    if images:
        named = zip(found, columns, strict=True)
        found = [_with_places(messages, images, f"$.{name}") for messages, name in named]
    if not is_pair:
        return Draft(found[0], images, own_id, warnings=warnings)
    chosen, rejected = found
    count = shared_prompt(chosen, rejected)
    if count_images(rejected[count:]):
        raise RowError(Reason.IMAGE_COUNT_DIFFERS, "$.rejected", f"{IMAGE} behind the prompt")
    return Draft(chosen, images, own_id, None, count, rejected[count:], warnings)


def _messages(value: Any, where: str) -> tuple[Message, ...]:
    head, *turns = _MARKER.split(text_field(value, where))
    names, texts = turns[::2], turns[1::2]
    if head or names[:1] != ["Human"]:
        raise RowError(Reason.ROLES_OUT_OF_ORDER, where, quoted(value))
    if twice := [one for one, other in pairwise(names) if one == other]:
        raise RowError(Reason.ROLES_OUT_OF_ORDER, where, f"{twice[0]} twice in turn")
    turned = zip(names, texts, strict=True)
    return tuple(Message(_ROLES[name], (Text(text),)) for name, text in turned)


def _with_places(
    messages: tuple[Message, ...], images: Sequence[ImageSource], where: str
) -> tuple[Message, ...]:
    """Bind each ``<image>``; if there is none, put the pictures before the first question.

    Raises:
        RowError: ``image-in-answer``; ``image-count-differs``.
    """
    placed = tuple([replace(message, content=bind(spoken(message))) for message in messages])
    answers = tuple([message for message in placed if message.role == "assistant"])
    if count_images(answers):
        raise RowError(Reason.IMAGE_IN_ANSWER, where, quoted(IMAGE))
    if not count_images(placed):
        content = (ImageRef(),) * len(images) + placed[0].content
        placed = (replace(placed[0], content=content), *placed[1:])
    hold_counts(placed, images)
    return placed


def render(conversation: Conversation, pictures: Sequence[str]) -> dict[str, Any]:
    """Write a row: a pair if there is a rejected answer, else one transcript."""
    row: dict[str, Any] = {} if conversation.id is None else {"id": conversation.id}
    if conversation.rejected:
        row["chosen"] = _transcript(conversation.messages)
        row["rejected"] = _transcript(_other(conversation))
    else:
        row["text"] = _transcript(conversation.messages)
    return {**row, "images": [*pictures]} if pictures else row


def _other(conversation: Conversation) -> tuple[Message, ...]:
    """Return the prompt with the rejected answer."""
    return conversation.messages[: conversation.prompt_messages or 0] + conversation.rejected


def _transcript(messages: Sequence[Message]) -> str:
    turns = turns_of([_tagged(message) for message in messages])
    return "".join(f"\n\n{_NAMES[role]}: {text}" for role, text in turns)


def _tagged(message: Message) -> Message:
    """Return a message with its pictures' places as ``<image>`` in one text."""
    if sole_text(message.content) is not None or not count_images((message,)):
        return message
    return replace(message, content=(Text(unbind(message.content)),))


def losses(conversation: Conversation) -> tuple[Lost, ...]:
    """Name what a transcript cannot hold; of a pair, also a prompt that it would not give back."""
    found = list[Lost]()
    wholes = [conversation.messages, *([_other(conversation)] if conversation.rejected else [])]
    for messages in wholes:
        tagged = [_tagged(message) for message in messages]
        found += losses_of_turns(tagged)
        if conversation.images:
            found += _places_lost(messages)
        if any(_MARKER.search(text) for _, text in turns_of(tagged)):
            found.append(Lost(Loss.TURN_MARKERS, "$.messages", "a text with the marker of a turn"))
    ignored = {Loss.REJECTED, Loss.BOUNDARY} if conversation.rejected else {Loss.REJECTED}
    found += [lost for lost in rest_lost(conversation) if lost.loss not in ignored]
    if conversation.rejected and not _comes_back(conversation):
        found.append(Lost(Loss.BOUNDARY, "$.rejected", "where the prompt ends"))
    return tuple(found)


def _places_lost(messages: Sequence[Message]) -> list[Lost]:
    """Name what the texts of a row with pictures cannot hold as it is."""
    found = list[Lost]()
    for index, message in enumerate(messages):
        where = f"$.messages[{index}].content"
        found += details_lost(message, f"$.messages[{index}]")
        if any(IMAGE in part.text for part in message.content if isinstance(part, Text)):
            found.append(Lost(Loss.PLACEHOLDER, where, f"a text that spells {IMAGE}"))
        elif count_images((message,)) and bare(message.content) != bind(unbind(message.content)):
            found.append(Lost(Loss.JOINED_TEXTS, where, "texts around a picture"))
    return found


def _comes_back(conversation: Conversation) -> bool:
    try:
        count = shared_prompt(conversation.messages, _other(conversation))
    except RowError:
        return False
    return count == conversation.prompt_messages


def recognise(fields: Fields) -> Evidence | None:
    """Recognise transcripts by how they begin."""
    if all(_begins(fields.get(name)) for name in ("chosen", "rejected")):
        return Evidence(5, "rows have chosen and rejected transcripts")
    if _begins(fields.get("text")):
        return Evidence(4, "rows have a transcript in text")
    return None


def _begins(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(_START)


_CANNOT_HOLD = TURNS_CANNOT_HOLD - {Loss.REJECTED} | {
    *(Loss.DETAIL, Loss.PLACEHOLDER, Loss.TURN_MARKERS)
}
FORMAT = Format("transcript", parse, render, losses, recognise, _CANNOT_HOLD)
