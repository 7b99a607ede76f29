"""Steps over messages that several formats share: roles, text fields, JSON texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from vlm_datakit.conversation import ImageRef, Message, Text, Warned
from vlm_datakit.errors import Reason, RowError, quoted

_MAX_EXACT = 2.0**63  # orjson reads longer integers as floats, with other digits


def text_field(value: Any, where: str) -> str:
    """Return a value that must be text, character for character.

    Raises:
        RowError: ``field-missing`` for null; ``field-not-text`` for anything else that is
            not text: numbers and objects are never spelled out silently.
    """
    if isinstance(value, str):
        return value
    reason = Reason.FIELD_MISSING if value is None else Reason.FIELD_NOT_TEXT
    raise RowError(reason, where, quoted(value))


def list_field(value: Any, where: str) -> list[Any]:
    """Return a value that must be a list with something in it.

    Raises:
        RowError: ``field-missing`` for null or an empty list, ``field-wrong-type`` otherwise.
    """
    if isinstance(value, (list, tuple)) and value:
        return list(value)
    is_missing = value is None or isinstance(value, (list, tuple))
    raise RowError(
        Reason.FIELD_MISSING if is_missing else Reason.FIELD_WRONG_TYPE, where, quoted(value)
    )


def object_field(value: Any, where: str) -> Mapping[str, Any]:
    """Return a value that must be an object.

    Raises:
        RowError: ``field-missing`` for null, ``field-wrong-type`` otherwise.
    """
    if isinstance(value, Mapping):
        return value
    reason = Reason.FIELD_MISSING if value is None else Reason.FIELD_WRONG_TYPE
    raise RowError(reason, where, quoted(value))


def row_id(value: Any) -> str | None:
    """Return a row's own id as text: a text or a whole number; anything else is none.

    Example:
        >>> row_id(7), row_id("a-7"), row_id(True)
        ('7', 'a-7', None)
    """
    if isinstance(value, str) and value:
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def json_text(value: Any, where: str) -> str | None:
    """Return JSON text: a text byte for byte, objects spelled with their key order.

    Raises:
        RowError: ``field-not-json`` for a text that is not JSON.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        return orjson.dumps(exact(value, where)).decode()
    try:
        orjson.loads(value)
    except ValueError as error:
        raise RowError(Reason.FIELD_NOT_JSON, where, quoted(value)) from error
    return value


def exact(value: Any, where: str) -> Any:
    """Return a JSON value unless a number in it has lost digits.

    Raises:
        RowError: ``number-not-exact`` for an integer beyond 64 bits, which the parser
            has turned into a float.
    """
    if isinstance(value, float) and abs(value) >= _MAX_EXACT:
        raise RowError(Reason.NUMBER_NOT_EXACT, where, quoted(value))
    if isinstance(value, Mapping):
        for key, inner in value.items():
            exact(inner, f"{where}.{key}")
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            exact(inner, f"{where}[{index}]")
    return value


def ignored(fields: Mapping[str, Any], known: frozenset[str], where: str) -> tuple[Warned, ...]:
    """Warn of each field that a format does not know and that says something.

    Example:
        >>> [w.where for w in ignored({"text": "a", "score": 1}, frozenset({"text"}), "$")]
        ['$.score']
    """
    if fields.keys() <= known:
        return ()
    return tuple(
        Warned(Reason.FIELD_IGNORED, f"{where}.{name}", quoted(value))
        for name, value in fields.items()
        if name not in known and value is not None
    )


def spoken(message: Message) -> str:
    """Return a message's text parts, one after the other."""
    return "".join(part.text for part in message.content if isinstance(part, Text))


def count_images(messages: tuple[Message, ...]) -> int:
    """Count the places of pictures in messages."""
    return sum(isinstance(part, ImageRef) for message in messages for part in message.content)
