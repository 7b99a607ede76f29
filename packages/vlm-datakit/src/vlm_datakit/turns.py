"""Steps over messages that several formats share: roles, text fields, JSON texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from vlm_datakit.conversation import ImageRef, Message, Part, Text, Warned
from vlm_datakit.errors import SEEN_CHARS, Reason, RowError, quoted

_MAX_EXACT = 2.0**63  # orjson reads longer integers as floats, with other digits
_MAX_DEPTH = 200  # orjson reads 1,024 levels and writes 254, those of the row included


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
    if type(value) is dict or isinstance(value, Mapping):  # asking Mapping takes long
        return value
    reason = Reason.FIELD_MISSING if value is None else Reason.FIELD_WRONG_TYPE
    raise RowError(reason, where, quoted(value))


def row_id(value: Any) -> str | None:
    """Return a row's own id as text: a text or a whole number; anything else is none.

    Raises:
        RowError: ``number-not-exact`` for a whole number beyond 64 bits.

    Example:
        >>> row_id(7), row_id("a-7"), row_id(True)
        ('7', 'a-7', None)
    """
    if isinstance(value, str) and value:
        return value
    if isinstance(value, (int, float)):
        exact(value, "$.id")
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def json_text(value: Any, where: str) -> str | None:
    """Return JSON text: a text byte for byte, lists and objects with their key order.

    Raises:
        RowError: ``field-not-json`` for what is no list or object, nor the text of one;
            ``number-not-exact`` for a number in it that no reader gives back.
    """
    if value is None:
        return None
    found = value
    if isinstance(value, str):
        try:
            found = orjson.loads(value)
        except ValueError as error:
            raise RowError(Reason.FIELD_NOT_JSON, where, quoted(value)) from error
    if not isinstance(found, (list, tuple, dict)):
        raise RowError(Reason.FIELD_NOT_JSON, where, quoted(value))
    exact(found, where)
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def exact(value: Any, where: str, depth: int = 0) -> Any:
    """Return a JSON value that can be written as it is, without a digit lost.

    Raises:
        RowError: ``number-not-exact`` for an integer beyond 64 bits, which the parser
            has turned into a float, and for NaN; ``field-not-json`` for a value nested
            too deeply to be written, and for what only Python has.
    """
    if depth > _MAX_DEPTH:
        raise RowError(Reason.FIELD_NOT_JSON, where, f"nested over {_MAX_DEPTH} levels deep")
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        for key, inner in value.items():
            exact(inner, f"{where}.{key[:SEEN_CHARS]}", depth + 1)
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            exact(inner, f"{where}[{index}]", depth + 1)
    elif isinstance(value, int) and not -(2**63) <= value < 2**64:
        seen = f"an integer of {value.bit_length()} bits"
        raise RowError(Reason.NUMBER_NOT_EXACT, where, seen)
    elif isinstance(value, float) and not abs(value) < _MAX_EXACT:  # NaN is not, either
        raise RowError(Reason.NUMBER_NOT_EXACT, where, quoted(value))
    elif not (value is None or isinstance(value, (str, int, float))):
        raise RowError(Reason.FIELD_NOT_JSON, where, quoted(value))
    return value


def only_texts(fields: Mapping[str, Any], names: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return the fields of these names if a row is nothing but these texts, and maybe an id.

    Example:
        >>> only_texts({"text": "a", "response": "b"}, ("text", "response"))
        ('a', 'b')
        >>> only_texts({"text": "a", "response": 7}, ("text", "response")) is None
        True
    """
    if not is_known(fields, len(names)):
        return None
    texts = []
    for name in names:
        value = fields.get(name)
        if type(value) is not str:
            return None
        texts.append(value)
    return tuple(texts)


def plain_id(fields: Mapping[str, Any]) -> str | None:
    """Return the id of a row that `is_known`."""
    return row_id(fields["id"]) if "id" in fields else None


def is_known(fields: Mapping[str, Any], names: int) -> bool:
    """Whether a row has that many fields, and beside them no more than an ordinary id.

    Example:
        >>> is_known({"text": "a"}, 1), is_known({"text": "a", "id": 7}, 1)
        (True, True)
        >>> is_known({"text": "a", "id": None}, 1), is_known({"text": "a", "b": 7}, 1)
        (False, False)
    """
    if len(fields) == names:
        return "id" not in fields
    value = fields.get("id")
    is_ordinary = (type(value) is str and value != "") or (
        type(value) is int and 0 <= value < 2**63
    )
    return is_ordinary and len(fields) == names + 1


def row_warnings(fields: Mapping[str, Any], known: frozenset[str]) -> tuple[Warned, ...]:
    """Warn of each field of a row that is not used, and of an ``id`` that is none.

    Example:
        >>> [w.where for w in row_warnings({"text": "a", "id": 0.5}, frozenset({"text", "id"}))]
        ['$.id']
    """
    if "id" in fields and row_id(fields["id"]) is None:
        known -= {"id"}
    return ignored(fields, known, "$")


def ignored(fields: Mapping[str, Any], known: frozenset[str], where: str) -> tuple[Warned, ...]:
    """Warn of each field that a format does not know and that says something.

    Example:
        >>> [w.where for w in ignored({"text": "a", "score": 1}, frozenset({"text"}), "$")]
        ['$.score']
    """
    if known.issuperset(fields):
        return ()
    return tuple(
        Warned(Reason.FIELD_IGNORED, f"{where}.{name}", quoted(value))
        for name, value in fields.items()
        if name not in known and value is not None
    )


def shared_prompt(chosen: Sequence[Message], rejected: Sequence[Message]) -> int:
    """Count the messages that two conversations begin with alike: the prompt of a pair.

    Raises:
        RowError: ``pair-equal``; ``prompt-differs`` unless an answer follows on both sides,
            so also if there is nothing alike; ``answer-missing`` if one is only the start
            of the other.

    Example:
        >>> asked, answers = Message("user", (Text("?"),)), [Message("assistant", (Text("!"),))]
        >>> shared_prompt([asked, *answers], [asked, Message("assistant", (Text("."),))])
        1
    """
    pairs = zip(chosen, rejected, strict=False)
    count = next((i for i, (one, other) in enumerate(pairs) if one != other), None)
    if count is None:
        count = min(len(chosen), len(rejected))
        if len(chosen) == len(rejected):
            raise RowError(Reason.PAIR_EQUAL, "$.rejected", f"{count} messages")
        column = "$.chosen" if count == len(chosen) else "$.rejected"
        raise RowError(Reason.ANSWER_MISSING, column, "all of it begins the other, too")
    if not count or not chosen[count].role == rejected[count].role == "assistant":
        seen = f"{count} messages alike, and then no answer on both sides"
        raise RowError(Reason.PROMPT_DIFFERS, "$.rejected", seen)
    return count


def spoken(message: Message) -> str:
    """Return a message's text parts, one after the other."""
    if (text := sole_text(message.content)) is not None:
        return text
    return "".join([part.text for part in message.content if isinstance(part, Text)])


def sole_text(content: Sequence[Part]) -> str | None:
    """Return the text of content that is nothing else, as most is; else None.

    Example:
        >>> sole_text((Text("a"),)), sole_text((ImageRef(), Text("a")))
        ('a', None)
    """
    return content[0].text if len(content) == 1 and isinstance(content[0], Text) else None


def count_images(messages: tuple[Message, ...]) -> int:
    """Count the places of pictures in messages."""
    return sum([isinstance(part, ImageRef) for message in messages for part in message.content])
