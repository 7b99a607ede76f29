"""Chat rows of Anthropic's Messages API: content blocks, ``system`` beside the messages.

A user's message with tool results becomes a tool's message for each of them, and what else
it says the user's; so it goes back. Calls and tools are kept in OpenAI's dialect, which chat
templates read: ``input`` as JSON text, ``input_schema`` as ``parameters``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from vlm_datakit.conversation import Conversation, Draft, ImageRef, Message, Part, Text
from vlm_datakit.errors import Reason, RowError, quoted
from vlm_datakit.formats.format import Evidence, Fields, Format, base64_of, in_base64
from vlm_datakit.formats.openai import Found
from vlm_datakit.images.kind import classify
from vlm_datakit.losses import Loss, Lost, boundary_lost, details_lost, extras_lost
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

_ROW_FIELDS = frozenset({"messages", "system", "tools", "id"})
_MESSAGE_FIELDS = frozenset({"role", "content"})
_TOOL_FIELDS = ("name", "description", "input_schema")
_BLOCK_FIELDS = {
    "text": frozenset({"type", "text"}),
    "image": frozenset({"type", "source"}),
    "tool_use": frozenset({"type", "id", "name", "input"}),
    "tool_result": frozenset({"type", "tool_use_id", "content"}),
}
_SOURCE_FIELDS = {
    "base64": frozenset({"type", "media_type", "data"}),
    "url": frozenset({"type", "url"}),
}


def parse(fields: Fields) -> Draft:
    """Read one row.

    Raises:
        RowError: ``field-missing``, ``field-not-text``, ``field-wrong-type``,
            ``field-not-json``, ``role-unknown``, ``part-unknown``, ``number-not-exact``.

    Example:
        >>> asked = {"role": "user", "content": [{"type": "text", "text": "Hi"}]}
        >>> draft = parse({"system": "Be brief.", "messages": [asked]})
        >>> [message.role for message in draft.messages]
        ['system', 'user']
    """
    found = Found()
    messages = []
    if fields.get("system") is not None:
        messages.append(Message("system", _parts(fields["system"], "$.system", found)))
    for index, value in enumerate(list_field(fields.get("messages"), "$.messages")):
        messages += _messages(value, f"$.messages[{index}]", found)
    return Draft(
        tuple(messages),
        tuple(found.images),
        row_id(fields.get("id")),
        _kept_tools(fields.get("tools"), found),
        warnings=(*row_warnings(fields, _ROW_FIELDS), *found.warnings),
    )


def _messages(value: Any, where: str, found: Found) -> list[Message]:
    """Read one message of a row: several, if it holds tool results or goes on after a call."""
    fields = object_field(value, where)
    role = text_field(fields.get("role"), f"{where}.role")
    if role not in ("user", "assistant"):
        raise RowError(Reason.ROLE_UNKNOWN, f"{where}.role", quoted(role))
    found.warnings += ignored(fields, _MESSAGE_FIELDS, where)
    content = fields.get("content")
    if isinstance(content, str):
        return [Message(role, (Text(content),))]
    messages = list[Message]()
    parts, calls = list[Part](), list[dict[str, Any]]()
    for index, item in enumerate(list_field(content, f"{where}.content")):
        at = f"{where}.content[{index}]"
        block = object_field(item, at)
        kind = block.get("type")
        if role == "assistant" and kind == "tool_use":
            calls.append(_call(block, at, found))
            continue
        if calls or (role == "user" and kind == "tool_result"):
            messages += _spoken(role, parts, calls)
            parts, calls = [], []
        if role == "user" and kind == "tool_result":
            messages.append(_result(block, at, found))
        else:
            parts.append(_part(block, at, found))
    return messages + _spoken(role, parts, calls)


def _spoken(role: str, parts: list[Part], calls: list[dict[str, Any]]) -> list[Message]:
    extras = {"tool_calls": calls} if calls else {}
    return [Message(role, tuple(parts), extras)] if parts or calls else []


def _parts(content: Any, where: str, found: Found) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (Text(content),)
    blocks = [
        (f"{where}[{index}]", block) for index, block in enumerate(list_field(content, where))
    ]
    return tuple([_part(object_field(block, at), at, found) for at, block in blocks])


def _part(block: Fields, where: str, found: Found) -> Part:
    kind = block.get("type")
    if kind not in ("text", "image"):
        raise RowError(Reason.PART_UNKNOWN, f"{where}.type", quoted(kind))
    found.warnings += ignored(block, _BLOCK_FIELDS[kind], where)
    if kind == "text":
        return Text(text_field(block.get("text"), f"{where}.text"))
    where = f"{where}.source"
    source = object_field(block.get("source"), where)
    form = source.get("type")
    if form not in ("base64", "url"):
        raise RowError(Reason.PART_UNKNOWN, f"{where}.type", quoted(form))
    found.warnings += ignored(source, _SOURCE_FIELDS[form], where)
    if form == "base64":
        found.images.append(in_base64(source.get("data"), f"{where}.data"))
    else:
        found.images.append(classify(source.get("url"), f"{where}.url"))
    return ImageRef()


def _call(block: Fields, where: str, found: Found) -> dict[str, Any]:
    found.warnings += ignored(block, _BLOCK_FIELDS["tool_use"], where)
    given = exact(object_field(block.get("input"), f"{where}.input"), f"{where}.input")
    name = text_field(block.get("name"), f"{where}.name")
    call_id = text_field(block.get("id"), f"{where}.id")
    function = {"name": name, "arguments": orjson.dumps(given).decode()}
    return {"id": call_id, "type": "function", "function": function}


def _result(block: Fields, where: str, found: Found) -> Message:
    found.warnings += ignored(block, _BLOCK_FIELDS["tool_result"], where)
    call_id = text_field(block.get("tool_use_id"), f"{where}.tool_use_id")
    parts = _parts(block.get("content"), f"{where}.content", found)
    return Message("tool", parts, {"tool_call_id": call_id})


def _kept_tools(value: Any, found: Found) -> str | None:
    text = json_text(value, "$.tools")
    if text is None:
        return None
    tools = orjson.loads(text)
    if not isinstance(tools, list):
        raise RowError(Reason.FIELD_WRONG_TYPE, "$.tools", quoted(tools))
    kept = [_kept_tool(tool, f"$.tools[{index}]", found) for index, tool in enumerate(tools)]
    return orjson.dumps(kept).decode()


def _kept_tool(value: Any, where: str, found: Found) -> dict[str, Any]:
    tool = object_field(value, where)
    text_field(tool.get("name"), f"{where}.name")
    object_field(tool.get("input_schema"), f"{where}.input_schema")
    found.warnings += ignored(tool, frozenset(_TOOL_FIELDS), where)
    given = {key: tool[key] for key in tool if key in _TOOL_FIELDS and tool[key] is not None}
    renamed = {("parameters" if key == "input_schema" else key): given[key] for key in given}
    return {"type": "function", "function": renamed}


def render(conversation: Conversation, pictures: Sequence[str]) -> dict[str, Any]:
    """Write a row; contents are blocks, and results of tools stand with what the user says next."""
    spelled = iter(pictures)
    row: dict[str, Any] = {} if conversation.id is None else {"id": conversation.id}
    systems = [message for message in conversation.messages if message.role == "system"]
    if systems:
        row["system"] = [block for message in systems for block in _blocks(message, spelled)]
    row["messages"] = messages = list[dict[str, Any]]()
    after_tool = False
    for message in conversation.messages:
        if message.role == "system":
            continue
        role = "assistant" if message.role == "assistant" else "user"
        blocks = _blocks(message, spelled)
        if after_tool and role == "user":
            messages[-1]["content"] += blocks
        else:
            messages.append({"role": role, "content": blocks})
        after_tool = _answers_a_call(message)
    tools = _tools_back(conversation.tools)
    return row if tools is None else {**row, "tools": tools}


def _answers_a_call(message: Message) -> bool:
    return message.role == "tool" and isinstance(message.extras.get("tool_call_id"), str)


def _blocks(message: Message, spelled: Iterator[str]) -> list[dict[str, Any]]:
    blocks = [_block(part, spelled) for part in message.content]
    if _answers_a_call(message):
        call_id = message.extras["tool_call_id"]
        return [{"type": "tool_result", "tool_use_id": call_id, "content": blocks}]
    blocks += _calls_back(message) or []
    return blocks or [{"type": "text", "text": ""}]


def _block(part: Part, spelled: Iterator[str]) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    picture = next(spelled)
    if (found := base64_of(picture)) is None:
        return {"type": "image", "source": {"type": "url", "url": picture}}
    source = {"type": "base64", "media_type": found[0], "data": found[1]}
    return {"type": "image", "source": source}


def _calls_back(message: Message) -> list[dict[str, Any]] | None:
    """Return the calls of a message as blocks, or None unless all come back as they are."""
    blocks = []
    if message.role != "assistant":
        return None
    for call in message.extras.get("tool_calls", ()):
        try:
            function = call["function"]
            given = orjson.loads(function["arguments"])
            block = {"type": "tool_use", "id": call["id"], "name": function["name"], "input": given}
            if _call(block, "$", Found()) != call:
                return None
        except (KeyError, TypeError, ValueError, RowError):
            return None
        blocks.append(block)
    return blocks


def _tools_back(text: str | None) -> list[dict[str, Any]] | None:
    """Return tools in the dialect of this format, or None unless all come back as they are."""
    tools = [] if text is None else orjson.loads(text)
    try:
        found = [_tool_back(tool) for tool in tools]
        kept = [_kept_tool(tool, "$", Found()) for tool in found]
    except (KeyError, TypeError, AttributeError, RowError):
        return None
    is_same = text is not None and orjson.dumps(kept) == orjson.dumps(tools)
    return found if is_same else None


def _tool_back(tool: Mapping[str, Any]) -> dict[str, Any]:
    items = tool["function"].items()
    return {("input_schema" if key == "parameters" else key): value for key, value in items}


def losses(conversation: Conversation) -> tuple[Lost, ...]:
    """Name what content blocks have no place for."""
    found = list[Lost]()
    for index, message in enumerate(conversation.messages):
        found += _message_losses(message, f"$.messages[{index}]")
    systems = [message.role for message in conversation.messages].count("system")
    if systems > 1:
        found.append(Lost(Loss.JOINED_TEXTS, "$.messages", f"{systems} system messages"))
    if conversation.tools is not None and _tools_back(conversation.tools) is None:
        found.append(Lost(Loss.TOOLS, "$.tools", "tools of another dialect"))
    found += boundary_lost(conversation)
    if conversation.rejected:
        found.append(Lost(Loss.REJECTED, "$.rejected", "the rejected answer"))
    return tuple(found)


def _message_losses(message: Message, where: str) -> list[Lost]:
    answers = _answers_a_call(message)
    kept = ["tool_call_id"] if answers else []
    if _calls_back(message):
        kept.append("tool_calls")
    found = extras_lost(message, where, kept) + details_lost(message, where)
    if message.role == "tool" and not answers:
        found.append(Lost(Loss.ROLES, where, "a tool that answers no call"))
    return found


def recognise(fields: Fields) -> Evidence | None:
    """Recognise ``messages`` with blocks that only this format has, or with ``system`` beside."""
    messages = fields.get("messages")
    if not (isinstance(messages, list) and messages and isinstance(messages[0], Mapping)):
        return None
    if fields.get("system") is not None and messages[0].get("role") in ("user", "assistant"):
        return Evidence(5, "rows have messages and system beside them")
    contents = [m.get("content") for m in messages if isinstance(m, Mapping)]
    blocks = [block for content in contents if isinstance(content, list) for block in content]
    if any(isinstance(block, Mapping) and _is_ours(block) for block in blocks):
        return Evidence(5, "rows have messages with blocks of Anthropic's kinds")
    return None


def _is_ours(block: Fields) -> bool:
    kind = block.get("type")
    return kind in ("tool_use", "tool_result") or (kind == "image" and "source" in block)


_CANNOT_HOLD = frozenset(
    {Loss.JOINED_TEXTS, Loss.ROLES, Loss.NAMES, Loss.TOOLS, Loss.TOOL_CALLS, Loss.FLAGS}
    | {Loss.DETAIL, Loss.BOUNDARY, Loss.REJECTED, Loss.IMAGE_OPTIONS}
)
FORMAT = Format("anthropic", parse, render, losses, recognise, _CANNOT_HOLD)
