"""ms-swift rows: ``{"messages": [{"role", "content"}, ...], "images": [...]}`` with ``<image>``.

Contents are texts; the n-th ``<image>`` of all is the n-th picture, and pictures without any
``<image>`` stand before the first question, as ms-swift puts them. ``tool_call`` turns in a row,
and an assistant's text before them, are one message; each ``tool_response`` is one of a tool's.
``loss`` true or false is our ``train``, ``loss_scale`` our ``weight``. A pair has its other
answer in ``rejected_response``: a text for the last message, or messages for all after the last
question. Older rows say ``query``, ``response`` and ``history``.

``objects`` fill ``<ref-object>`` and ``<bbox>`` in the texts, differently for each model. A
conversation has no place for that, so a row that has both is refused; without the tags the
column says nothing and is ignored with a warning, and without objects the tags are text.

ms-swift joins two turns of one speaker, so such rows are read here, and never written.

Source:
    ms-swift, ``swift/llm``: ``dataset/preprocessor/core.py`` and ``template/base.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from vlm_datakit.calls import bare_calls, holds_calls, parse_calls, spelled
from vlm_datakit.conversation import Conversation, Draft, ImageRef, Message, Warned
from vlm_datakit.errors import Reason, RowError, quoted
from vlm_datakit.formats.format import Evidence, Fields, Format
from vlm_datakit.losses import Loss, Lost, boundary_lost, extras_lost, turns_lost
from vlm_datakit.placeholders import (
    IMAGE,
    TEXTS_CANNOT_HOLD,
    Spelling,
    content_of,
    has_images,
    hold_counts,
    images_of,
    plain_turns,
    texts_lost,
    unbind,
)
from vlm_datakit.plain import PlainDraft
from vlm_datakit.turns import (
    count_images,
    exact,
    ignored,
    json_text,
    list_field,
    object_field,
    row_id,
    row_warnings,
    spoken,
    text_field,
)

_ROLES = {
    "system": "system",
    "user": "user",
    "assistant": "assistant",
    "tool_call": "assistant",
    "tool": "tool",
    "tool_response": "tool",
}
_FIELDS = frozenset({"tools", "id"})
_PAIR = "rejected_response"
_MESSAGE_FIELDS = frozenset({"role", "content", "loss", "loss_scale"})
_PLAIN = Spelling(
    *("messages", "role", "content"),
    {"system": "system", "user": "user", "assistant": "assistant"},
)
_GROUNDING = ("<ref-object>", "<bbox>")


def parse(fields: Fields) -> Draft:
    """Read one row.

    Raises:
        RowError: ``field-missing``, ``field-not-text``, ``field-wrong-type``, ``field-not-json``,
            ``role-unknown``, ``part-unknown``, ``image-count-differs``, ``image-in-answer``,
            ``pair-equal``.

    Example:
        >>> draft = parse({"query": "2 + 2?", "response": "4"})
        >>> [message.role for message in draft.messages]
        ['user', 'assistant']
    """
    images = images_of(fields, ("images", "image"))
    if fields.get("rejected_images"):
        raise RowError(Reason.PART_UNKNOWN, "$.rejected_images", quoted(fields["rejected_images"]))
    names = {"messages"} if fields.get("messages") is not None else _OLDER
    picture = "images" if fields.get("images") or "image" not in fields else "image"
    known = _FIELDS | {picture, *names} | ({_PAIR} if fields.get(_PAIR) is not None else set())
    warnings = list(row_warnings(fields, known))
    messages = _messages(fields, warnings)
    boundary, rejected = None, tuple[Message, ...]()
    if fields.get(_PAIR) is not None:
        boundary, rejected = _rejected(fields[_PAIR], messages, warnings)
    _hold_no_objects(fields, messages + rejected)
    if images and not count_images(messages):
        messages = _with_leading_images(messages, len(images))
    hold_counts(messages, images)
    tools, id_ = json_text(fields.get("tools") or None, "$.tools"), row_id(fields.get("id"))
    return Draft(messages, images, id_, tools, boundary, rejected, tuple(warnings))


def plain(fields: Fields) -> PlainDraft | None:
    """Read a row of messages of texts, and pictures that each have their place."""
    return plain_turns(fields, _PLAIN)


_OLDER = frozenset({"query", "response", "history", "system"})


def _messages(fields: Fields, warnings: list[Warned]) -> tuple[Message, ...]:
    if fields.get("messages") is None and ("query" in fields or "response" in fields):
        return tuple(_older(fields))
    return _merged(list_field(fields.get("messages"), "$.messages"), "$.messages", warnings)


def _older(fields: Fields) -> Iterator[Message]:
    """Read ``system``, ``history`` and ``query`` with ``response``."""
    if system := fields.get("system"):
        yield Message("system", content_of(system, "system", "$.system"))
    given = fields.get("history")
    for index, pair in enumerate(list_field(given, "$.history") if given else []):
        where = f"$.history[{index}]"
        values = list_field(pair, where)
        if len(values) != 2:
            raise RowError(Reason.FIELD_WRONG_TYPE, where, quoted(pair))
        yield Message("user", content_of(values[0], "user", f"{where}[0]"))
        yield Message("assistant", content_of(values[1], "assistant", f"{where}[1]"))
    yield Message("user", content_of(fields.get("query"), "user", "$.query"))
    yield Message("assistant", content_of(fields.get("response"), "assistant", "$.response"))


def _merged(values: Sequence[Any], column: str, warnings: list[Warned]) -> tuple[Message, ...]:
    """Read messages; calls join the answer, or the calls, right before them."""
    found: list[Message] = []
    open_ = False  # whether the last message may take calls
    for index, value in enumerate(values):
        where = f"{column}[{index}]"
        fields = object_field(value, where)
        role = text_field(fields.get("role"), f"{where}.role")
        if role not in _ROLES:
            raise RowError(Reason.ROLE_UNKNOWN, f"{where}.role", quoted(role))
        warnings += ignored(fields, _MESSAGE_FIELDS, where)
        flags = _flags(fields, where)
        if role != "tool_call":
            content = content_of(fields.get("content"), _ROLES[role], f"{where}.content")
            found.append(Message(_ROLES[role], content, flags))
        else:
            calls = parse_calls(fields.get("content"), f"{where}.content", warnings)
            if open_:
                warnings += _flags_ignored(found[-1], flags, where)
                found[-1] = _with_calls(found[-1], calls)
            else:
                found.append(Message("assistant", (), {**flags, "tool_calls": calls}))
        open_ = role in ("assistant", "tool_call")
    return tuple(found)


def _flags(fields: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return what a message says of its training: ``loss`` and ``loss_scale``."""
    found = {}
    if (loss := fields.get("loss")) is not None:
        found["train" if isinstance(loss, bool) else "weight"] = exact(loss, f"{where}.loss")
    if (scale := fields.get("loss_scale")) is not None:
        found["weight"] = exact(scale, f"{where}.loss_scale")
    return found


def _flags_ignored(message: Message, flags: dict[str, Any], where: str) -> tuple[Warned, ...]:
    """Warn of flags of a later call that differ; of a run of calls ms-swift takes the first."""
    names = {"train": "loss", "weight": "loss_scale"}
    differ = {names[flag]: v for flag, v in flags.items() if message.extras.get(flag) != v}
    return ignored(differ, frozenset(), where)


def _with_calls(message: Message, calls: list[Any]) -> Message:
    before = message.extras.get("tool_calls", [])
    return replace(message, extras={**message.extras, "tool_calls": [*before, *calls]})


def _rejected(
    value: Any, messages: tuple[Message, ...], warnings: list[Warned]
) -> tuple[int, tuple[Message, ...]]:
    """Return where the prompt ends and the other answer."""
    if isinstance(value, str):
        boundary, content = len(messages) - 1, content_of(value, "assistant", f"$.{_PAIR}")
        rejected: tuple[Message, ...] = (Message("assistant", content),)
    else:
        rejected = _merged(list_field(value, f"$.{_PAIR}"), f"$.{_PAIR}", warnings)
        boundary = _after_last_question(messages)
    if messages[boundary:] == rejected:
        raise RowError(Reason.PAIR_EQUAL, f"$.{_PAIR}", quoted(value))
    return boundary, rejected


def _after_last_question(messages: Sequence[Message]) -> int:
    roles = [message.role for message in messages]
    return len(roles) - roles[::-1].index("user") if "user" in roles else 0


def _hold_no_objects(fields: Fields, messages: Sequence[Message]) -> None:
    """Refuse a row whose texts have tags that its ``objects`` fill."""
    objects = fields.get("objects")
    if objects and any(tag in spoken(message) for message in messages for tag in _GROUNDING):
        raise RowError(Reason.PART_UNKNOWN, "$.objects", quoted(objects))


def _with_leading_images(messages: tuple[Message, ...], images: int) -> tuple[Message, ...]:
    index = next((i for i, message in enumerate(messages) if message.role == "user"), None)
    if index is None:
        return messages
    found = replace(messages[index], content=(ImageRef(),) * images + messages[index].content)
    return (*messages[:index], found, *messages[index + 1 :])


def render(conversation: Conversation, pictures: Sequence[str]) -> dict[str, Any]:
    """Write a row; tools as JSON text, each call as a message."""
    row: dict[str, Any] = {} if conversation.id is None else {"id": conversation.id}
    row["messages"] = [turn for message in conversation.messages for turn in _turns(message)]
    if conversation.rejected:
        turns = [turn for message in conversation.rejected for turn in _turns(message)]
        row[_PAIR] = turns[0]["content"] if _is_text(conversation) else turns
    if conversation.tools is not None:
        row["tools"] = conversation.tools
    if pictures:
        row["images"] = [*pictures]
    return row


def _is_text(conversation: Conversation) -> bool:
    """Whether the rejected answer is a text for the last message."""
    (first, *others), boundary = conversation.rejected, conversation.prompt_messages
    is_last = boundary == len(conversation.messages) - 1 and not others
    return is_last and first.role == "assistant" and bool(first.content) and not first.extras


def _turns(message: Message) -> Iterator[dict[str, Any]]:
    calls = bare_calls(message.extras.get("tool_calls")) if message.role == "assistant" else []
    flags = {
        name: message.extras[extra]
        for extra, name in (("train", "loss"), ("weight", "loss_scale"))
        if extra in _held_flags(message)
    }
    if message.content or not calls:
        yield {"role": message.role, "content": unbind(message.content), **flags}
        flags = {}
    for call in calls:
        yield {"role": "tool_call", "content": spelled(call), **flags}
        flags = {}


def _held_flags(message: Message) -> list[str]:
    if not message.extras:
        return []
    train, weight = message.extras.get("train"), message.extras.get("weight")
    held = ["train"] if isinstance(train, bool) else []
    is_number = isinstance(weight, (int, float)) and not isinstance(weight, bool)
    return [*held, "weight"] if is_number else held


def losses(conversation: Conversation) -> tuple[Lost, ...]:
    """Name what texts cannot hold, and what ms-swift would join."""
    messages, rejected = conversation.messages, conversation.rejected
    found = turns_lost(messages, runs=True)
    if rejected:
        boundary = conversation.prompt_messages or 0
        is_messages = boundary == _after_last_question(messages)
        if not is_messages and not _is_text(conversation):
            found.append(Lost(Loss.BOUNDARY, "$.rejected", "where the answers part"))
        found += turns_lost((*messages[:boundary], *rejected), runs=True)
    else:
        found += boundary_lost(conversation)
    for index, message in enumerate(messages + rejected):
        found += _message_lost(message, f"$.messages[{index}]")
    return tuple(found)


def _message_lost(message: Message, where: str) -> list[Lost]:
    kept = _held_flags(message)
    if message.role != "assistant" or not holds_calls(message.extras.get("tool_calls")):
        return extras_lost(message, where, kept) + texts_lost(message, where)
    found = extras_lost(message, where, ("tool_calls", *kept))
    return found + texts_lost(message, where) if message.content else found


#: What stands beside ``query`` and ``response`` in ms-swift alone; else they are two columns.
_BESIDE_QUERY = ("history", "images", "image", "system", _PAIR)


def recognise(fields: Fields) -> Evidence | None:
    """Recognise texts with ``<image>`` beside ``images``, or what only ms-swift says."""
    is_asked = fields.get("query") is not None and fields.get("response") is not None
    if is_asked and any(fields.get(name) is not None for name in _BESIDE_QUERY):
        return Evidence(3, "rows have query and response, and more that ms-swift reads")
    messages = fields.get("messages")
    if not isinstance(messages, (list, tuple)) or not messages:
        return None
    given = [message for message in messages if isinstance(message, Mapping)]
    if not all(isinstance(message.get("content"), str) for message in given):
        return None
    if words := _only_here(fields, given):
        return Evidence(50, f"rows have {words}")
    return Evidence(1, "rows have messages and images") if "images" in fields else None


def _only_here(fields: Fields, messages: Sequence[Mapping[str, Any]]) -> str | None:
    """Name what no other format says; one such row outweighs many that say nothing."""
    if fields.get(_PAIR) is not None:
        return f"messages and {_PAIR}"
    if any(message.get("role") in ("tool_call", "tool_response") for message in messages):
        return "tool_call turns"
    if any("loss" in message or "loss_scale" in message for message in messages):
        return "messages with a loss"
    has_column = has_images(fields.get("images")) or has_images(fields.get("image"))
    if has_column and any(IMAGE in message["content"] for message in messages):
        return f"{IMAGE} in texts and a column of images"
    return None


_CANNOT_HOLD = TEXTS_CANNOT_HOLD | {
    *(Loss.TURN_ORDER, Loss.BOUNDARY, Loss.TOOL_CALLS, Loss.NAMES, Loss.FLAGS, Loss.ROLES),
    Loss.IMAGE_OPTIONS,
}
FORMAT = Format("swift", parse, render, losses, recognise, _CANNOT_HOLD)
