"""ShareGPT rows: ``{"conversations": [{"from", "value"}, ...], "images": [...]}``.

As LLaMA-Factory reads them: the n-th ``<image>`` of all questions is the n-th of ``images``;
calls of tools are a turn ``function_call`` of JSON text, what a tool says is an ``observation``.
A pair has its question last in ``conversations``, and the answers in ``chosen`` and ``rejected``.
Turns may also come in twos, ``{"human", "assistant"}``, also in ``conversation``, as ms-swift reads
them; they are written as turns of one.

LLaMA-Factory empties rows, and drops them with a line in its log, unless a question (human or
observation) and an answer (gpt or function_call) take turns after at most one system message.
Such rows are read here as far as they make a conversation, and never written.

Source:
    LLaMA-Factory, ``data/converter.py`` and ``data/formatter.py``; ms-swift for turns in twos.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vlm_datakit.calls import bare_calls, holds_calls, parse_calls, spelled
from vlm_datakit.conversation import Conversation, Draft, Message, Warned
from vlm_datakit.errors import Reason, RowError, quoted
from vlm_datakit.formats.format import Evidence, Fields, Format
from vlm_datakit.losses import Loss, Lost, boundary_lost, extras_lost, turns_lost
from vlm_datakit.placeholders import (
    TEXTS_CANNOT_HOLD,
    Spelling,
    content_of,
    hold_counts,
    images_of,
    plain_turns,
    texts_lost,
    unbind,
)
from vlm_datakit.plain import PlainDraft
from vlm_datakit.turns import (
    exact,
    ignored,
    json_text,
    list_field,
    object_field,
    row_id,
    row_warnings,
    text_field,
)

#: Who speaks, as rows of this family spell it.
ROLES = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "function_call": "assistant",
    "observation": "tool",
    "tool": "tool",
}
_SPELLED = {"system": "system", "user": "human", "assistant": "gpt", "tool": "observation"}
_FIELDS = frozenset({"conversations", "system", "tools", "id"})
_PAIR = frozenset({"chosen", "rejected"})
_FLAGS = ("weight", "train")
_TWO = (("human", "user"), ("assistant", "assistant"))
_PLAIN = Spelling(
    *("conversations", "from", "value"),
    {"system": "system", "human": "user", "gpt": "assistant"},
)


def parse(fields: Fields) -> Draft:
    """Read one row; turns may also say ``role`` and ``content``, and one picture ``image``.

    Raises:
        RowError: ``field-missing``, ``field-not-text``, ``field-wrong-type``, ``field-not-json``,
            ``role-unknown``, ``part-unknown``, ``image-count-differs``, ``image-in-answer``,
            ``pair-equal``.

    Example:
        >>> turns = [{"from": "human", "value": "2 + 2?"}, {"from": "gpt", "value": "4"}]
        >>> [message.role for message in parse({"conversations": turns}).messages]
        ['user', 'assistant']
    """
    images = images_of(fields, ("images", "image"))
    is_pair = fields.get("chosen") is not None or fields.get("rejected") is not None
    column = _column(fields)
    pictures = "images" if fields.get("images") or "image" not in fields else "image"
    known = _FIELDS | {column, pictures}
    warnings = list(row_warnings(fields, known | _PAIR if is_pair else known))
    messages = _messages(fields, column, warnings)
    tools, id_ = json_text(fields.get("tools") or None, "$.tools"), row_id(fields.get("id"))
    boundary, rejected = None, tuple[Message, ...]()
    if is_pair:
        boundary = len(messages)
        messages += (_message(fields.get("chosen"), "$.chosen", warnings),)
        rejected = (_message(fields.get("rejected"), "$.rejected", warnings),)
        if messages[boundary:] == rejected:
            raise RowError(Reason.PAIR_EQUAL, "$.rejected", quoted(fields["rejected"]))
    hold_counts(messages, images)
    return Draft(messages, images, id_, tools, boundary, rejected, tuple(warnings))


def plain(fields: Fields) -> PlainDraft | None:
    """Read a row of turns of texts, and maybe pictures; rows of LLaVA as well."""
    return plain_turns(fields, _PLAIN)


def _column(fields: Fields) -> str:
    """Name the column of the turns; ``conversation`` is one where they come in twos."""
    turns = fields.get("conversation") if fields.get("conversations") is None else None
    is_list = isinstance(turns, (list, tuple)) and bool(turns)
    return "conversation" if is_list and turns and _is_two(turns[0]) else "conversations"


def _is_two(turn: Any) -> bool:
    """Whether a turn is a question with its answer."""
    is_object = isinstance(turn, Mapping) and turn.get("human") is not None
    return is_object and turn.get("from") is None and turn.get("role") is None


def _messages(fields: Fields, column: str, warnings: list[Warned]) -> tuple[Message, ...]:
    """Read the turns, after what ``system`` says, unless the first of them says it."""
    found = list[Message]()
    for index, value in enumerate(list_field(fields.get(column), f"$.{column}")):
        where = f"$.{column}[{index}]"
        if _is_two(value):
            found += _two_messages(value, where, warnings)
        else:
            found.append(_message(value, where, warnings))
    if system := fields.get("system"):
        content = content_of(system, "system", "$.system")
        if found[0].role != "system":
            found.insert(0, Message("system", content))
        elif found[0].content != content:
            warnings += ignored({"system": system}, frozenset(), "$")
    return tuple(found)


def _two_messages(turn: Fields, where: str, warnings: list[Warned]) -> list[Message]:
    warnings += ignored(turn, frozenset(name for name, _ in _TWO), where)
    return [
        Message(role, content_of(turn.get(name), role, f"{where}.{name}")) for name, role in _TWO
    ]


def _message(value: Any, where: str, warnings: list[Warned]) -> Message:
    fields = object_field(value, where)
    who = "role" if fields.get("from") is None and "role" in fields else "from"
    what = "content" if fields.get("value") is None and "content" in fields else "value"
    name = text_field(fields.get(who), f"{where}.{who}")
    if name not in ROLES:
        raise RowError(Reason.ROLE_UNKNOWN, f"{where}.{who}", quoted(name))
    warnings += ignored(fields, frozenset({who, what, *_FLAGS}), where)
    given = [key for key in _FLAGS if fields.get(key) is not None]
    extras = {key: exact(fields[key], f"{where}.{key}") for key in given}
    if name == "function_call":
        extras["tool_calls"] = parse_calls(fields.get(what), f"{where}.{what}", warnings)
        return Message("assistant", (), extras)
    return Message(
        ROLES[name], content_of(fields.get(what), ROLES[name], f"{where}.{what}"), extras
    )


def render(conversation: Conversation, pictures: Sequence[str]) -> dict[str, Any]:
    """Write a row; tools as the JSON text that LLaMA-Factory takes."""
    row: dict[str, Any] = {} if conversation.id is None else {"id": conversation.id}
    turns = [_turn(message) for message in conversation.messages]
    if conversation.rejected:
        row["conversations"] = turns[:-1]
        row |= {"chosen": turns[-1], "rejected": _turn(conversation.rejected[0])}
    else:
        row["conversations"] = turns
    if conversation.tools is not None:
        row["tools"] = conversation.tools
    if pictures:
        row["images"] = [*pictures]
    return row


def _turn(message: Message) -> dict[str, str]:
    calls = bare_calls(message.extras.get("tool_calls"))
    if calls and not message.content:
        return {"from": "function_call", "value": spelled(calls[0] if len(calls) == 1 else calls)}
    return {"from": _SPELLED[message.role], "value": unbind(message.content)}


def losses(conversation: Conversation) -> tuple[Lost, ...]:
    """Name what texts of speakers cannot hold, and what LLaMA-Factory would drop."""
    found = turns_lost(conversation.messages)
    if conversation.rejected:
        found += pair_lost(conversation)
    else:
        found += boundary_lost(conversation)
    for index, message in enumerate(conversation.messages + conversation.rejected):
        found += _message_lost(message, f"$.messages[{index}]")
    return tuple(found)


def pair_lost(conversation: Conversation) -> Iterator[Lost]:
    """Name a pair whose answers are not one answer each, after the same question."""
    rejected, prompt = conversation.rejected, conversation.prompt_messages or 0
    is_one = prompt == len(conversation.messages) - 1 and len(rejected) == 1
    if not is_one or rejected[0].role != "assistant":
        yield Lost(Loss.TURN_ORDER, "$.rejected", "a pair of several messages each")


def _message_lost(message: Message, where: str) -> list[Lost]:
    is_call = not message.content and message.role == "assistant"
    if is_call and holds_calls(message.extras.get("tool_calls")):
        return extras_lost(message, where, ("tool_calls",))
    return extras_lost(message, where) + texts_lost(message, where)


def recognise(fields: Fields) -> Evidence | None:
    """Recognise ``conversations`` of objects that say who speaks, or of questions and answers."""
    turns = fields.get(_column(fields))
    if not (isinstance(turns, (list, tuple)) and turns and isinstance(turns[0], Mapping)):
        return None
    if _is_two(turns[0]) and "assistant" in turns[0]:
        return Evidence(3, "rows have conversations of human and assistant")
    if "from" in turns[0] or "role" in turns[0]:
        return Evidence(3, "rows have conversations of speakers")
    return None


_CANNOT_HOLD = TEXTS_CANNOT_HOLD | {
    *(Loss.TURN_ORDER, Loss.BOUNDARY, Loss.TOOL_CALLS, Loss.NAMES, Loss.FLAGS, Loss.ROLES),
    Loss.IMAGE_OPTIONS,
}
FORMAT = Format("sharegpt", parse, render, losses, recognise, _CANNOT_HOLD)
