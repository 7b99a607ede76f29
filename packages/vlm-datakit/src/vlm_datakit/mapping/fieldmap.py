"""What a mapping says, as frozen values, and how a person spells it: ``prompt=question``.

Only the spelling is judged here. Whether a step exists and the roles make a row is said by
`vlm_datakit.mapping.apply`, whether a column exists by the first rows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from vlm_datakit.errors import UsageError

#: How an entry may take its value, beside the named steps.
COLUMN, CONSTANT, TEMPLATE = "column", "constant", "template"
#: A path to a value, or several of them, which make a list.
Column = str | tuple[str, ...]

_STEP = re.compile(r"([a-z][a-z0-9-]*)\((.*)\)", re.DOTALL)
_BARE = re.compile(r'(?:[^,()\[\]{}"`]|\[[^,()\[\]{}"`]*\])+')
_ARGUMENT = re.compile(r'\s*(?:`((?:[^`]|``)*)`|((?:[^,()\[\]{}"`]|\[[^,()\[\]{}"`]*\])+))\s*')
_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


@dataclass(frozen=True, slots=True)
class Entry:
    """Where one role has its value from.

    ``how`` is column, constant, template, or the name of a step. ``columns`` are paths such
    as ``answers[0]`` or ``info.title``; ``text`` is the constant, the template, or the text
    that a step takes beside columns. As text an entry is what ``--map`` takes.

    Example:
        >>> print(Entry("completion", ("answers",), "first-of-list"))
        completion=first-of-list(answers)
    """

    role: str
    columns: tuple[Column, ...] = ()
    how: str = COLUMN
    text: str | None = None

    def __str__(self) -> str:
        return f"{self.role}={_spelled(self)}"


@dataclass(frozen=True, slots=True)
class FieldMap:
    """A mapping: its entries by role, and the format whose columns the roles are.

    Without a ``format`` the roles are those of `vlm_datakit.mapping.apply`. Made by
    `field_map`, equal mappings are equal values.
    """

    entries: tuple[Entry, ...]
    format: str | None = None


def field_map(entries: Iterable[Entry], format_: str | None = None) -> FieldMap:
    """Return entries as a mapping, in the order of their roles.

    Raises:
        UsageError: for a role that stands twice, or text that is not Unicode.

    Example:
        >>> mapping = field_map([parse_entry("prompt=q"), parse_entry("id=n")])
        >>> [str(entry) for entry in mapping.entries]
        ['id=n', 'prompt=q']
    """
    ordered = sorted(entries, key=lambda entry: entry.role)
    for one, other in pairwise(ordered):
        if one.role == other.role:
            raise UsageError(f"--map {other}: {one.role} is mapped already, as {one}")
    for entry in ordered:
        if (text := str(entry)) != text.encode(errors="ignore").decode():
            raise UsageError(f"--map {text!a}: half a character, which no row can hold")
    return FieldMap(tuple(ordered), format_)


def with_entries(mapping: FieldMap, entries: Iterable[Entry]) -> FieldMap:
    """Return a mapping with some of its roles mapped otherwise.

    Raises:
        UsageError: if one of the entries' roles stands twice.
    """
    own = field_map(entries).entries
    kept = [entry for entry in mapping.entries if entry.role not in {e.role for e in own}]
    return field_map([*kept, *own], mapping.format)


def paths_of(entry: Entry) -> tuple[str, ...]:
    """Return all paths that an entry reads, those in its template too.

    Example:
        >>> paths_of(parse_entry("prompt=Read the {field} of {page}."))
        ('field', 'page')
    """
    if entry.how == TEMPLATE:
        return tuple(path for _, path in pieces_of(entry.text or "") if path is not None)
    return tuple(p for c in entry.columns for p in (c if isinstance(c, tuple) else (c,)))


def parse_entry(text: str) -> Entry:
    r"""Read ``ROLE=VALUE`` as ``--map`` takes it.

    VALUE is a path, ``"a constant"`` as JSON spells it, a template with ``{path}`` in it,
    ``[path, path]``, or ``step(path, [path, path], "text")``. A path that looks like one of
    the others stands in backticks.

    Raises:
        UsageError: if it is none of these.

    Example:
        >>> parse_entry('prompt="Describe the picture."').text
        'Describe the picture.'
        >>> parse_entry("prompt=common-prefix(chosen, rejected)").columns
        ('chosen', 'rejected')
    """
    role, equals, value = (part.strip() for part in text.partition("="))
    if not (equals and role and value):
        raise UsageError(f"--map {text}: expected ROLE=VALUE, such as prompt=question")
    return value_entry(role, value)


def value_entry(role: str, value: str) -> Entry:
    """Read what stands behind the ``=`` of ``ROLE=VALUE``.

    Raises:
        UsageError: as `parse_entry`.
    """
    if not isinstance(value, str):  # of a dict in Python
        raise UsageError(f"{role}: a value is spelled as text, as behind --map {role}=")
    try:
        return _entry(role, value.strip())
    except ValueError as error:
        raise UsageError(f"--map {role}={value}: {error}") from error


def pieces_of(template: str) -> Iterator[tuple[str, str | None]]:
    """Yield the pieces of a template: a text, and the path behind it, None after the last.

    Raises:
        ValueError: for a brace without its other half, or nothing between two.

    Example:
        >>> list(pieces_of("{{a}} {b}."))
        [('{a} ', 'b'), ('.', None)]
    """
    text, end = "", 0
    for found in _PIECE.finditer(template):
        text += template[end : found.start()]
        end = found.end()
        if found[0] in ("{{", "}}"):
            text += found[0][0]
        elif not (found[1] or "").strip():
            raise ValueError("a template holds {path}; a brace of the text is {{ or }}")
        else:
            yield text, found[1]
            text = ""
    yield text + template[end:], None


def check_template(entry: Entry) -> None:
    """Hold the template of an entry to what one is.

    Raises:
        UsageError: for a brace without its other half, or nothing between two.
    """
    try:
        list(pieces_of(entry.text or ""))
    except ValueError as error:
        raise UsageError(f"{entry.role}: {error}") from error


def _entry(role: str, value: str) -> Entry:
    if value.startswith('"'):
        return Entry(role, (), CONSTANT, _constant(value))
    if (step := _STEP.fullmatch(value)) is not None:
        columns, text = _arguments(step[2])
        if step[1] in (CONSTANT, TEMPLATE):
            if columns or text is None:
                raise ValueError(f'{step[1]}("...") takes one quoted text')
            return _written(role, step[1], text)
        return Entry(role, columns, step[1], text)
    if value.startswith(("[", "`")):
        columns, text = _arguments(value)
        if len(columns) != 1 or text is not None:
            raise ValueError("expected one [list] of paths, or one path in backticks")
        return Entry(role, columns)
    if "{" in value or "}" in value:
        return _written(role, TEMPLATE, value)
    return Entry(role, (value,))


def _written(role: str, how: str, text: str) -> Entry:
    if how == TEMPLATE:
        list(pieces_of(text))  # raises for what is none
    return Entry(role, (), how, text)


def _constant(value: str) -> str:
    try:
        return str(json.loads(value, strict=False))
    except ValueError as error:
        raise ValueError('a constant ends with its quote, and \\" stands for one in it') from error


def _arguments(text: str) -> tuple[tuple[Column, ...], str | None]:
    """Read ``path, [path, path], "text"``; only the last may be a text."""
    columns, at = list[Column](), 0
    while True:
        start = len(text) - len(text[at:].lstrip())
        if text[start : start + 1] == '"':
            return tuple(columns), _constant(text[start:].rstrip())
        if text[start : start + 1] == "[":
            found, at = _paths(text, start)
            columns.append(found)
        else:
            path, at = _path(text, at)
            columns.append(path)
        if at == len(text):
            return tuple(columns), None
        at = _behind_comma(text, at)


def _paths(text: str, start: int) -> tuple[tuple[str, ...], int]:
    """Read ``[path, path]`` at a place; return it, and where it ends."""
    paths, at = list[str](), start + 1
    while True:
        path, at = _path(text, at)
        paths.append(path)
        if text[at : at + 1] == "]":
            end = at + 1
            return tuple(paths), end + len(text[end:]) - len(text[end:].lstrip())
        at = _behind_comma(text, at)


def _path(text: str, at: int) -> tuple[str, int]:
    found = _ARGUMENT.match(text, at)
    if found is None:
        rest = text[at:].strip()
        raise ValueError(f"a path is missing before {rest!r}" if rest else "a path is missing")
    quoted, bare = found[1], found[2]
    return (bare.strip() if quoted is None else quoted.replace("``", "`")), found.end()


def _behind_comma(text: str, at: int) -> int:
    if text[at : at + 1] != ",":
        raise ValueError(f"expected a comma before {text[at:]!r}")
    return at + 1


def _spelled(entry: Entry) -> str:
    if entry.how == CONSTANT:
        return json.dumps(entry.text, ensure_ascii=False)
    if entry.how == TEMPLATE:
        return _spelled_template(entry)
    if entry.how == COLUMN:
        return _spelled_column(entry.columns[0])
    texts = [] if entry.text is None else [json.dumps(entry.text, ensure_ascii=False)]
    return f"{entry.how}({', '.join([*map(_spelled_column, entry.columns), *texts])})"


def _spelled_template(entry: Entry) -> str:
    text = entry.text or ""
    try:
        if text == text.strip() and text and _entry(entry.role, text) == entry:
            return text
    except ValueError:
        pass
    return f"{TEMPLATE}({json.dumps(text, ensure_ascii=False)})"


def _spelled_column(column: Column) -> str:
    if isinstance(column, tuple):
        return f"[{', '.join(map(_spelled_column, column))}]"
    is_bare = column and _BARE.fullmatch(column) and column == column.strip() and column[0] != "["
    return column if is_bare else "`" + column.replace("`", "``") + "`"
