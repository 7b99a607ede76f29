"""Steps that make one text of several values."""

from __future__ import annotations

import ast
import warnings
from typing import Any

import orjson

from vlm_datakit.errors import Reason, RowError, quoted
from vlm_datakit.mapping.lookup import Found, inside
from vlm_datakit.mapping.pictures import placed
from vlm_datakit.turns import json_text, list_field, text_field

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_MOST_CHARS = 100_000  # of a list spelled as text


def join_nonempty(*texts: Found, text: str | None = None) -> str:
    r"""Return those texts that are neither null nor empty, with an empty line between them.

    Args:
        texts: At least one must say something.
        text: What stands between them instead.

    Example:
        >>> join_nonempty(Found("Translate.", "$.instruction"), Found("", "$.input"))
        'Translate.'
        >>> join_nonempty(Found("a", "$.a"), Found("b", "$.b"), text="\n")
        'a\nb'
    """
    given = [text_field(found.value, found.where) for found in texts if found.value is not None]
    said = [one for one in given if one]
    if not said:
        raise RowError(Reason.FIELD_MISSING, texts[0].where, "no text that is not empty")
    return ("\n\n" if text is None else text).join(said)


def question_with_choices(
    question: Found, choices: Found, *hint: Found, places: bool = False
) -> Any:
    r"""Return a question with its choices below, a letter before each; a hint stands above.

    Choices may also be a text that spells a list, as JSON or Python does. With ``places``,
    ``<image>`` and ``<image 1>`` are the places of pictures.

    Example:
        >>> question_with_choices(Found("Solid?", "$.q"), Found(["steam", "ice"], "$.c"))
        'Solid?\nA. steam\nB. ice'
    """
    lines = [text_field(question.value, question.where)]
    given = _choices(choices)
    if len(given) > len(_LETTERS):
        raise RowError(Reason.FIELD_WRONG_TYPE, choices.where, quoted(given))
    for index, choice in enumerate(given):
        lines.append(f"{_LETTERS[index]}. {text_field(choice, choices.at(index))}")
    said = [text_field(h.value, h.where) for h in hint if h.value is not None and h.value != ""]
    text = "\n\n".join([*said, "\n".join(lines)])
    content = placed(text, question.where) if places else text
    return text if content == text else [{"role": "user", "content": content}]


def json_sub_field(column: Found, *, text: str) -> str:
    """Return what a path leads to in a text that is JSON: a text, or JSON text of an object.

    Args:
        column: The JSON text.
        text: The path in it.

    Example:
        >>> json_sub_field(Found('{"gt_parse": {"total": "42"}}', "$.truth"), text="gt_parse")
        '{"total":"42"}'
    """
    whole = text_field(column.value, column.where)
    try:
        parsed = orjson.loads(whole)
    except ValueError as error:
        raise RowError(Reason.FIELD_NOT_JSON, column.where, quoted(whole)) from error
    try:
        found = inside(parsed, text)
    except RowError as error:
        where = f"{column.where}{error.where.removeprefix('$')}"
        raise RowError(error.reason, where, error.seen) from error
    where = f"{column.where}.{text}"
    if isinstance(found, (list, dict)):
        return _object_text(found, where)
    return text_field(found, where)


def json_of(value: Found) -> str:
    """Return a list or an object as JSON text.

    Example:
        >>> json_of(Found({"total": "42"}, "$.fields"))
        '{"total":"42"}'
    """
    if not isinstance(value.value, (list, tuple, dict)):
        reason = Reason.FIELD_MISSING if value.value is None else Reason.FIELD_WRONG_TYPE
        raise RowError(reason, value.where, quoted(value.value))
    return _object_text(value.value, value.where)


def _object_text(value: Any, where: str) -> str:
    text = json_text(value, where)
    assert text is not None  # noqa: S101 - null was refused before
    return text


def _choices(choices: Found) -> list[Any]:
    if not isinstance(choices.value, str):
        return list_field(choices.value, choices.where)
    try:
        return list_field(_spelled_list(choices.value), choices.where)
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        seen = f"{quoted(choices.value)}, no list"
        raise RowError(Reason.FIELD_WRONG_TYPE, choices.where, seen) from error


def _spelled_list(text: str) -> Any:
    try:
        return orjson.loads(text)
    except ValueError:
        if len(text) > _MOST_CHARS:
            raise
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # an escape that Python has not is no spelling
        return ast.literal_eval(text.strip())
