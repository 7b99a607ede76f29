"""Alpaca rows: ``{"instruction", "input", "output"}``, and ``system``, ``history``, ``images``.

As LLaMA-Factory reads them: the question is ``instruction`` and ``input`` on lines of their own,
or the one of them that is not empty; the turns of ``history`` come before and are trained as
well. ``<image>`` takes the next picture, history first. A pair has ``chosen`` and ``rejected``
for ``output``, or both as a list in ``output``.

Source:
    LLaMA-Factory, ``data/converter.py``. ms-swift joins an empty ``input`` with a line end, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vlm_datakit.conversation import Conversation, Draft, Message
from vlm_datakit.errors import Reason, RowError, quoted
from vlm_datakit.formats.format import Evidence, Fields, Format
from vlm_datakit.formats.sharegpt import pair_lost
from vlm_datakit.losses import Loss, Lost, boundary_lost, extras_lost, turns_lost
from vlm_datakit.placeholders import (
    TEXTS_CANNOT_HOLD,
    content_of,
    hold_counts,
    images_of,
    texts_lost,
    unbind,
)
from vlm_datakit.plain import PlainDraft, Turn
from vlm_datakit.turns import (
    json_text,
    list_field,
    only_texts,
    plain_id,
    row_id,
    row_warnings,
    spoken,
    text_field,
)

_FIELDS = frozenset({"instruction", "input", "system", "history", "tools", "id"})
_PLAIN = ((Turn("user"), Turn("assistant")),)


def parse(fields: Fields) -> Draft:
    r"""Read one row.

    Raises:
        RowError: ``field-missing``, ``field-not-text``, ``field-wrong-type``, ``field-not-json``,
            ``part-unknown``, ``image-count-differs``, ``image-in-answer``, ``pair-equal``.

    Example:
        >>> draft = parse({"instruction": "Translate.", "input": "ja", "output": "yes"})
        >>> draft.messages[0].content
        (Text(text='Translate.\nja'),)
    """
    images = images_of(fields, ("images", "image"))
    known = _FIELDS | {"images" if fields.get("images") or "image" not in fields else "image"}
    messages = [*_system(fields), *_history(fields), _question(fields)]
    boundary, rejected = None, tuple[Message, ...]()
    output = fields.get("output")
    if fields.get("chosen") is not None or fields.get("rejected") is not None:
        known |= {"chosen", "rejected"} | ({"output"} if output == "" else set())
        answers = [(fields.get(name), f"$.{name}") for name in ("chosen", "rejected")]
    elif isinstance(output, (list, tuple)) and len(output) == 2:
        known |= {"output"}
        answers = [(value, f"$.output[{index}]") for index, value in enumerate(output)]
    else:
        known |= {"output"}
        answers = [(output, "$.output")]
    found = [_turn("assistant", value, where) for value, where in answers]
    if len(found) == 2:
        if found[0] == found[1]:
            raise RowError(Reason.PAIR_EQUAL, answers[1][1], quoted(answers[1][0]))
        boundary, rejected = len(messages), (found[1],)
    whole = (*messages, found[0])
    hold_counts(whole, images)
    tools, id_ = json_text(fields.get("tools") or None, "$.tools"), row_id(fields.get("id"))
    return Draft(whole, images, id_, tools, boundary, rejected, row_warnings(fields, known))


def plain(fields: Fields) -> PlainDraft | None:
    """Read a row of a text ``instruction``, ``input`` and ``output``."""
    texts = only_texts(fields, ("instruction", "input", "output"))
    if texts is None or any("<" in text for text in texts):
        return None
    question = "\n".join([text for text in texts[:2] if text])
    return PlainDraft(_PLAIN, (question, texts[2]), id=plain_id(fields))


def _turn(role: str, value: Any, where: str) -> Message:
    return Message(role, content_of(value, role, where))


def _system(fields: Fields) -> list[Message]:
    system = fields.get("system")
    return [Message("system", content_of(system, "system", "$.system"))] if system else []


def _history(fields: Fields) -> list[Message]:
    turns = []
    given = fields.get("history")
    for index, pair in enumerate(list_field(given, "$.history") if given else []):
        where = f"$.history[{index}]"
        values = list_field(pair, where)
        if len(values) != 2:
            raise RowError(Reason.FIELD_WRONG_TYPE, where, quoted(pair))
        for number, role in enumerate(("user", "assistant")):
            turns.append(_turn(role, values[number], f"{where}[{number}]"))
    return turns


def _question(fields: Fields) -> Message:
    """Join ``instruction`` and ``input``; each may be left out, not both."""
    first = "instruction" if fields.get("instruction") is not None else "input"
    texts = [text_field(fields.get(first), "$.instruction")]
    if first == "instruction" and fields.get("input") is not None:
        texts.append(text_field(fields["input"], "$.input"))
    return _turn("user", "\n".join([text for text in texts if text]), "$.instruction")


def render(conversation: Conversation, pictures: Sequence[str]) -> dict[str, Any]:
    """Write a row: the last question as ``instruction``, those before it as ``history``."""
    row: dict[str, Any] = {} if conversation.id is None else {"id": conversation.id}
    turns = [message for message in conversation.messages if message.role != "system"]
    texts = [unbind(message.content) for message in turns]
    for message in conversation.messages:
        if message.role == "system":
            row["system"] = unbind(message.content)
    row |= {"instruction": "".join(texts[-2:-1]), "input": ""}
    answer = "".join(texts[-1:])
    if conversation.rejected:
        row |= {"chosen": answer, "rejected": unbind(conversation.rejected[0].content)}
    else:
        row["output"] = answer
    if history := texts[:-2]:
        row["history"] = [list(pair) for pair in zip(history[::2], history[1::2], strict=False)]
    if conversation.tools is not None:
        row["tools"] = conversation.tools
    if pictures:
        row["images"] = [*pictures]
    return row


def losses(conversation: Conversation) -> tuple[Lost, ...]:
    """Name what texts of questions and answers cannot hold."""
    found = turns_lost(conversation.messages)
    if conversation.rejected:
        found += pair_lost(conversation)
    else:
        found += boundary_lost(conversation)
    for index, message in enumerate(conversation.messages + conversation.rejected):
        where = f"$.messages[{index}]"
        if message.role == "tool":
            found.append(Lost(Loss.TURN_ORDER, where, "what a tool says"))
        if message.role == "system" and not spoken(message):
            found.append(Lost(Loss.SYSTEM, where, "an empty system message"))
        found += extras_lost(message, where) + texts_lost(message, where)
    return tuple(found)


def recognise(fields: Fields) -> Evidence | None:
    """Recognise ``instruction`` with ``output``, or with ``chosen``."""
    if "instruction" in fields and ("output" in fields or "chosen" in fields):
        return Evidence(3, "rows have instruction and output")
    return None


_CANNOT_HOLD = TEXTS_CANNOT_HOLD | {
    *(Loss.TURN_ORDER, Loss.BOUNDARY, Loss.TOOL_CALLS, Loss.NAMES, Loss.FLAGS, Loss.ROLES),
    *(Loss.SYSTEM, Loss.IMAGE_OPTIONS),
}
FORMAT = Format("alpaca", parse, render, losses, recognise, _CANNOT_HOLD)
