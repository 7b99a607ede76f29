"""Calls of tools as a JSON text of names and arguments, and as OpenAI's ``tool_calls``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from vlm_datakit.conversation import Warned
from vlm_datakit.errors import Reason, RowError, quoted
from vlm_datakit.turns import exact, ignored, json_text, list_field, object_field, text_field

_FIELDS = frozenset({"name", "arguments"})


def parse_calls(value: Any, where: str, warnings: list[Warned]) -> list[dict[str, Any]]:
    """Read the text of a call, or of a list of calls, as ``tool_calls``.

    Raises:
        RowError: ``field-not-json``, ``number-not-exact``; ``field-missing`` or
            ``field-not-text`` for a name or arguments that are none.

    Example:
        >>> parse_calls('{"name": "add", "arguments": {"a": 2}}', "$", [])
        [{'type': 'function', 'function': {'name': 'add', 'arguments': {'a': 2}}}]
    """
    found = orjson.loads(json_text(text_field(value, where), where) or "")
    calls = list_field(found if isinstance(found, list) else [found], where)
    return [_parsed(call, where, warnings) for call in calls]


def _parsed(value: Any, where: str, warnings: list[Warned]) -> dict[str, Any]:
    call = object_field(value, where)
    name, arguments = text_field(call.get("name"), f"{where}.name"), call.get("arguments")
    if arguments is None:
        raise RowError(Reason.FIELD_MISSING, f"{where}.arguments", quoted(None))
    warnings += ignored(call, _FIELDS, where)
    return {"type": "function", "function": {"name": name, "arguments": arguments}}


def bare_calls(tool_calls: Any) -> list[dict[str, Any]]:
    """Return the name and arguments of each call; nothing if one of them has none.

    Arguments that are JSON text, as OpenAI spells them, become the value they spell: these
    formats spell the whole call once.

    Example:
        >>> bare_calls([{"id": "1", "function": {"name": "add", "arguments": '{"a": 2}'}}])
        [{'name': 'add', 'arguments': {'a': 2}}]
    """
    if not tool_calls:
        return []
    values = tool_calls if isinstance(tool_calls, Sequence) else ()
    found = [_bare(value) for value in values]
    return [call for call in found if call is not None] if None not in found else []


def _bare(value: Any) -> dict[str, Any] | None:
    if not isinstance(value, Mapping):
        return None
    inner = value.get("function")
    call = inner if isinstance(inner, Mapping) else value
    name, arguments = call.get("name"), call.get("arguments")
    if isinstance(arguments, str):
        try:
            arguments = exact(orjson.loads(arguments), "")
        except (ValueError, RowError):  # no JSON, or digits would be lost
            return None
    if not isinstance(name, str) or arguments is None:
        return None
    return {"name": name, "arguments": arguments}


def holds_calls(tool_calls: Any) -> bool:
    """Whether calls are no more than what `bare_calls` makes of them.

    Example:
        >>> holds_calls([{"type": "function", "function": {"name": "now", "arguments": {}}}])
        True
        >>> holds_calls([{"id": "1", "function": {"name": "now", "arguments": "{}"}}])
        False
    """
    calls = bare_calls(tool_calls)
    return bool(calls) and tool_calls == [{"type": "function", "function": c} for c in calls]


def spelled(call: Any) -> str:
    """Return the JSON text of a call, or of a list of calls."""
    return orjson.dumps(call).decode()
