"""Paths into a row: ``answers[0]``, ``info.title``, ``texts[*].user``.

A key that is spelled as the path wins over the path, at every level: data sets have columns
called ``meta.url``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from vlm_datakit.errors import Reason, RowError, quoted

EACH = "[*]"


class Found(NamedTuple):
    """A value and its place in the row; several columns that make a list have one each."""

    value: Any
    where: str
    places: tuple[str, ...] = ()

    def at(self, index: int) -> str:
        """Return the place of one of the values of a list.

        Example:
            >>> Found([], "$.texts[*].user").at(2), Found([], "$.texts").at(2)
            ('$.texts[2].user', '$.texts[2]')
        """
        if self.places:
            return self.places[index]
        if EACH in self.where:
            return self.where.replace(EACH, f"[{index}]", 1)
        return f"{self.where}[{index}]"


def look(fields: Mapping[str, Any], path: str) -> Any:
    """Return the value that a path leads to; None where there is nothing.

    Negative indexes count from the end; ``[*]`` gives a list of what stands behind it.

    Raises:
        RowError: ``field-wrong-type`` where a path leads into a text, a number, a list
            without an index, or an object with one.

    Example:
        >>> row = {"answers": ["3 May", "May 3"], "a.b": 1, "a": {"b": 2}}
        >>> look(row, "answers[-1]"), look(row, "a.b"), look(row, "answers[2]")
        ('May 3', 1, None)
        >>> look({"qa": [{"q": "1?"}, {"q": "2?"}]}, "qa[*].q")
        ['1?', '2?']
    """
    if path in fields:
        return fields[path]
    return inside(fields, path)


def inside(value: Any, path: str) -> Any:
    """Return what a path leads to from any value, as `look`.

    Example:
        >>> inside([{"a": 1}], "[0].a")
        1
    """
    return _value(value, path, path)


def _value(value: Any, rest: str, path: str) -> Any:
    """Return what the rest of a path leads to from a value on the way."""
    if value is None or not rest:
        return value
    if isinstance(value, Mapping):
        head = _head(value, _behind_dot(rest, path))
        if head is not None:
            return _value(value[head.key], head.rest, path)
        if rest[0] != "[":
            return None
    if isinstance(value, (list, tuple)) and (index := _index(rest)) is not None:
        if index.number is None:
            return [_value(inner, index.rest, path) for inner in value]
        if not -len(value) <= index.number < len(value):
            return None
        return _value(value[index.number], index.rest, path)
    place = f"$.{path[: len(path) - len(rest)]}".rstrip(".")
    raise RowError(Reason.FIELD_WRONG_TYPE, place, quoted(value))


def _behind_dot(rest: str, path: str) -> str:
    """Return the rest of a path without the dot before it; the first dot of all is a key's."""
    return rest[1:] if rest[0] == "." and len(rest) < len(path) else rest


class _Head(NamedTuple):
    key: str
    rest: str


class _Index(NamedTuple):
    number: int | None  # None: each
    rest: str


def _head(value: Mapping[str, Any], path: str) -> _Head | None:
    """Return the longest key of an object that a path begins with."""
    for end in _ends(path):
        if path[:end] in value:
            return _Head(path[:end], path[end:])
    return None


def _ends(path: str) -> Iterator[int]:
    yield len(path)
    for end in range(len(path) - 1, -1, -1):
        if path[end] in ".[":
            yield end


def _index(rest: str) -> _Index | None:
    inner, bracket, behind = rest[1:].partition("]")
    if rest[0] != "[" or not bracket or (behind and behind[0] not in ".["):
        return None
    if inner == "*":
        return _Index(None, behind)
    digits = inner.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
        return None
    return _Index(int(inner), behind)


def column_of(fields: Mapping[str, Any], path: str) -> str | None:
    """Return the column of a row that a path begins with, None if there is none.

    Example:
        >>> column_of({"info": {}}, "info.title"), column_of({"info": {}}, "question")
        ('info', None)
    """
    head = _head(fields, path)
    return None if head is None else head.key


def leads_nowhere(fields: Mapping[str, Any], path: str) -> bool:
    """Whether a row shows that a path is wrong: a key of it is not there, or no list is.

    A null on the way, or a list that is too short, shows nothing.

    Example:
        >>> leads_nowhere({"info": {"title": "-"}}, "info.name")
        True
        >>> leads_nowhere({"info": None, "answers": []}, "answers[0]")
        False
    """
    try:
        return _is_wrong(fields, path, path)
    except RowError:
        return True


def _is_wrong(value: Any, rest: str, path: str) -> bool:
    if value is None or not rest:
        return False
    if isinstance(value, Mapping):
        head = _head(value, _behind_dot(rest, path))
        return head is None or _is_wrong(value[head.key], head.rest, path)
    index = _index(rest) if isinstance(value, (list, tuple)) else None
    if index is None:
        return True
    chosen = value if index.number is None else value[index.number :][:1]
    shown = [inner for inner in chosen if inner is not None]
    return bool(shown) and all(_is_wrong(inner, index.rest, path) for inner in shown)
