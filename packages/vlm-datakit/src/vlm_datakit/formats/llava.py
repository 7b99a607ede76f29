r"""LLaVA rows: ``{"id", "image", "conversations": [{"from": "human", "value": "<image>\n..."}]}``.

As Qwen's fine-tuning code reads them: as many ``<image>`` in the questions as pictures, none
in an answer. The line end after ``<image>`` is text and stays. A picture without ``<image>``
is refused: LLaVA would not show it, Qwen stops, ms-swift puts it first, so nobody knows.
A pair is ``{"id", "image", "prompt", "chosen", "rejected"}``, three texts, one question.

One picture is written as a text, several as a list. A file that has rows of both loads as
JSON, but not as an Arrow table; the format sharegpt always writes a list.

Source:
    Qwen2.5-VL ``qwen-vl-finetune``; Qwen-VL-Series-Finetune for pairs. Both skip a system
    message, and neither knows tools: such rows are read, and written with consent only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from vlm_datakit.conversation import Conversation, Draft, Message
from vlm_datakit.errors import Reason, RowError, quoted
from vlm_datakit.formats import sharegpt
from vlm_datakit.formats.format import Evidence, Fields, Format
from vlm_datakit.losses import Loss, Lost, boundary_lost, extras_lost, turns_lost
from vlm_datakit.placeholders import (
    IMAGE,
    TEXTS_CANNOT_HOLD,
    content_of,
    has_images,
    hold_counts,
    images_of,
    texts_lost,
    unbind,
)
from vlm_datakit.turns import row_id, row_warnings

_PAIR = ("prompt", "chosen", "rejected")
_PAIR_FIELDS = frozenset({"id", "image", *_PAIR})
_SPELLED = {"user": "human", "assistant": "gpt"}


def parse(fields: Fields) -> Draft:
    r"""Read one row.

    Raises:
        RowError: as the format sharegpt.

    Example:
        >>> draft = parse({"image": "a.png", "conversations": [
        ...     {"from": "human", "value": "What is it?\n<image>"}]})
        >>> draft.messages[0].content
        (Text(text='What is it?\n'), ImageRef(detail=None))
    """
    is_pair = "conversations" not in fields and "prompt" in fields
    return _pair(fields) if is_pair else sharegpt.parse(fields)


def _pair(fields: Fields) -> Draft:
    images = images_of(fields, ("image",))
    roles = ("user", "assistant", "assistant")
    question, chosen, rejected = [
        Message(role, content_of(fields.get(name), role, f"$.{name}"))
        for name, role in zip(_PAIR, roles, strict=True)
    ]
    if chosen == rejected:
        raise RowError(Reason.PAIR_EQUAL, "$.rejected", quoted(fields["rejected"]))
    hold_counts((question,), images)
    warnings = row_warnings(fields, _PAIR_FIELDS)
    id_ = row_id(fields.get("id"))
    return Draft((question, chosen), images, id_, None, 1, (rejected,), warnings)


def render(conversation: Conversation, pictures: Sequence[str]) -> dict[str, Any]:
    """Write a row without what only other readers know."""
    row: dict[str, Any] = {} if conversation.id is None else {"id": conversation.id}
    if pictures:
        row["image"] = pictures[0] if len(pictures) == 1 else [*pictures]
    messages = [message for message in conversation.messages if message.role in _SPELLED]
    if conversation.rejected:
        texts = [unbind(message.content) for message in (*messages, *conversation.rejected)]
        return {**row, **dict(zip(_PAIR, texts, strict=False))}
    row["conversations"] = [
        {"from": _SPELLED[message.role], "value": unbind(message.content)} for message in messages
    ]
    return row


def losses(conversation: Conversation) -> tuple[Lost, ...]:
    """Name what questions and answers cannot hold."""
    messages = conversation.messages
    found = turns_lost(messages)
    if conversation.rejected:
        found += sharegpt.pair_lost(conversation)
        found += _turns_of_pair_lost(messages)
    else:
        found += boundary_lost(conversation)
    if conversation.tools is not None:
        found.append(Lost(Loss.TOOLS, "$.tools", "tools"))
    for index, message in enumerate(messages + conversation.rejected):
        where = f"$.messages[{index}]"
        if message.role == "system":
            found.append(Lost(Loss.SYSTEM, where, "a system message"))
        elif message.role == "tool":
            found.append(Lost(Loss.TURN_ORDER, where, "what a tool says"))
        found += extras_lost(message, where) + texts_lost(message, where)
    return tuple(found)


def _turns_of_pair_lost(messages: tuple[Message, ...]) -> Iterator[Lost]:
    if [message.role for message in messages if message.role != "system"] != ["user", "assistant"]:
        yield Lost(Loss.TURN_ORDER, "$.messages", "a pair after several turns")


def recognise(fields: Fields) -> Evidence | None:
    """Recognise ``image`` beside ``conversations``, or beside a pair with its place."""
    prompt = fields.get("prompt")
    if "rejected" in fields and isinstance(prompt, str) and IMAGE in prompt:
        return Evidence(5, f"rows have pairs with {IMAGE} in the prompt")
    if "image" in fields and not has_images(fields.get("images")) and sharegpt.recognise(fields):
        return Evidence(4, "rows have an image and conversations of speakers")
    return None


_CANNOT_HOLD = TEXTS_CANNOT_HOLD | {
    *(Loss.TURN_ORDER, Loss.BOUNDARY, Loss.TOOL_CALLS, Loss.NAMES, Loss.FLAGS, Loss.ROLES),
    *(Loss.SYSTEM, Loss.TOOLS, Loss.IMAGE_OPTIONS),
}
FORMAT = Format("llava", parse, render, losses, recognise, _CANNOT_HOLD)
