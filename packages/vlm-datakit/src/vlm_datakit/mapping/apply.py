"""A mapping applied to rows: their columns become those that a format parses.

Without a format, the roles decide what is built: ``prompt`` and ``response`` or ``messages``
a conversation, ``prompt`` and ``completion`` an answer, ``prompt``, ``chosen`` and
``rejected`` a pair; beside them ``system``, ``images``, ``tools`` and ``id``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from typing import Any, NamedTuple

from vlm_datakit.errors import UsageError
from vlm_datakit.mapping.fieldmap import (
    COLUMN,
    CONSTANT,
    TEMPLATE,
    Column,
    Entry,
    FieldMap,
    check_template,
    paths_of,
    pieces_of,
)
from vlm_datakit.mapping.lookup import EACH, Found, look
from vlm_datakit.mapping.steps import STEPS, Step
from vlm_datakit.turns import text_field

Fields = Mapping[str, Any]
Take = Callable[[Fields], Found]
#: A prefix of the built row's JSON paths, the path in the row that it stands for, and whether
#: what follows the prefix follows that path too.
Place = tuple[str, str, bool]

#: Other names of roles, where no format is named.
ALIASES = {"text": "prompt", "question": "prompt", "image": "images"}
#: The sets of roles that make a row, and the format whose columns are built.
LAYOUTS = {
    ("prompt", "response"): "trl",
    ("prompt", "completion"): "trl",
    ("prompt", "chosen", "rejected"): "preference",
    ("messages",): "openai",
}
_BESIDE = ("system", "images", "tools", "id")


class Built(NamedTuple):
    """The columns that a format parses, and where in the row each has its value from."""

    fields: dict[str, Any]
    places: list[Place]

    def where(self, built: str) -> str:
        """Return the path in the row for a path in what was built.

        Example:
            >>> Built({}, [("$.prompt", "$.question", True)]).where("$.prompt[0].content")
            '$.question[0].content'
        """
        for prefix, source, is_same in self.places:
            rest = built.removeprefix(prefix)
            if built.startswith(prefix) and (not rest or rest[0] in ".["):
                return source + rest if is_same else source
        return built


class Taken(NamedTuple):
    """An entry ready for rows: its role, how its value is taken, whether it is one column's."""

    role: str
    take: Take
    is_column: bool


def format_of(mapping: FieldMap) -> str:
    """Return the name of the format that parses what a mapping builds.

    Raises:
        UsageError: for a role that is none, a set of roles that makes no row, or a step that
            is none or takes other columns.
    """
    for entry in mapping.entries:
        _check_entry(entry)
    if mapping.format is not None:
        return mapping.format
    _check_prefixes(mapping)
    roles = set(_roles(mapping))
    main = _layout(roles)
    return "trl" if main == ("messages",) and "images" in roles else LAYOUTS[main]


def makes_conversation(mapping: FieldMap) -> bool:
    """Whether a prompt and its response are one conversation, with no border between them."""
    return mapping.format is None and "response" in _roles(mapping)


def builder(mapping: FieldMap) -> Callable[[Fields], Built]:
    """Return the function that builds a row's columns; it is compiled once for all rows.

    Raises:
        UsageError: as `format_of`.

    Example:
        >>> from vlm_datakit.mapping.fieldmap import field_map, parse_entry
        >>> entries = map(parse_entry, ["prompt=question", "response=answers[0]"])
        >>> build = builder(field_map(entries))
        >>> build({"question": "2 + 2?", "answers": ["4"], "id": 7}).fields
        {'prompt': '2 + 2?', 'completion': '4', 'id': 7}
    """
    format_of(mapping)
    roles = _roles(mapping)
    taken = [
        Taken(role, _take(entry, places="images" in roles), entry.how == COLUMN)
        for role, entry in roles.items()
    ]
    return partial(_renamed if mapping.format else _built, taken)


def _roles(mapping: FieldMap) -> dict[str, Entry]:
    """Return the entries by role; twice the same under two names is refused."""
    if mapping.format is not None:
        return {entry.role: entry for entry in mapping.entries}
    roles = dict[str, Entry]()
    for entry in mapping.entries:
        role = ALIASES.get(entry.role, entry.role)
        if role in roles:
            raise UsageError(f"--map {entry}: {roles[role].role} is the same role, given already")
        roles[role] = entry
    return roles


def _layout(roles: set[str]) -> tuple[str, ...]:
    """Return the set of roles that makes the row."""
    known = {role for layout in LAYOUTS for role in layout} | {*_BESIDE, *ALIASES}
    for role in sorted(roles - known):
        near = get_close_matches(role, sorted(known), n=1)
        hint = f"; did you mean {near[0]}?" if near else "."
        raise UsageError(f"--map {role}=...: no such role{hint} Roles: {', '.join(sorted(known))}")
    main = roles - {*_BESIDE}
    found = next((layout for layout in LAYOUTS if main == set(layout)), None)
    if found is not None:
        return found
    choices = "; ".join(" + ".join(layout) for layout in LAYOUTS)
    for layout in LAYOUTS:
        if main and main < set(layout):
            missing = " and ".join(role for role in layout if role not in main)
            given = " and ".join(sorted(main))
            raise UsageError(f"--map: {given} without {missing}; a row is made of {choices}")
    given = " and ".join(sorted(main)) or "nothing that is said"
    raise UsageError(f"--map: {given} makes no row; it is made of {choices}")


def _check_prefixes(mapping: FieldMap) -> None:
    """Refuse a common beginning beside a last answer: what stands between would be lost."""
    hows = {entry.how for entry in mapping.entries}
    if "common-prefix" in hows and "last-assistant" in hows:
        raise UsageError(
            "--map: last-assistant beside common-prefix would lose the messages between them; "
            "after-common-prefix gives all that follow"
        )


def _check_entry(entry: Entry) -> None:
    """Hold an entry to the steps there are and what they take."""
    if not entry.role or any(c == "=" or c.isspace() for c in entry.role):
        raise UsageError(f"--map {entry}: a role has no white space and no =")
    if entry.how in (CONSTANT, TEMPLATE) and entry.text is None:
        raise UsageError(f"{entry.role}: a {entry.how} without its text")
    if (entry.how == COLUMN and len(entry.columns) != 1) or () in entry.columns:
        raise UsageError(f"{entry.role}: one column, or one list of columns, is needed")
    if entry.how == TEMPLATE:
        check_template(entry)
    if entry.how in (CONSTANT, TEMPLATE, COLUMN):
        is_list = entry.how == COLUMN and isinstance(entry.columns[0], tuple)
        if is_list and ALIASES.get(entry.role, entry.role) != "images":
            raise UsageError(
                f"--map {entry}: only images takes several columns; join-nonempty joins texts"
            )
        return
    if entry.how not in STEPS:
        near = get_close_matches(entry.how, STEPS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"steps: {', '.join(STEPS)}"
        raise UsageError(f"--map {entry}: no step is called {entry.how}; {hint}")
    step, count, texts = STEPS[entry.how], len(entry.columns), int(entry.text is not None)
    if not step.least <= count <= step.most:
        most = "" if step.most == step.least else f" to {step.most}"
        columns = "column" if step.most == 1 else "columns"
        raise UsageError(f"--map {entry}: {entry.how} takes {step.least}{most} {columns}")
    if not step.text[0] <= texts <= step.text[1]:
        rule = "takes no quoted text" if texts else "takes a quoted text behind its column"
        raise UsageError(f"--map {entry}: {entry.how} {rule}")


def _take(entry: Entry, *, places: bool) -> Take:
    """Return how the value of an entry is taken from a row."""
    if entry.how == CONSTANT:
        return lambda _: Found(entry.text, "")
    if entry.how == TEMPLATE:
        return _filled(entry)
    if entry.how == COLUMN:
        return _column(entry.columns[0], is_argument=False)
    return _stepped(entry, STEPS[entry.how], places=places)


def _column(column: Column, *, is_argument: bool) -> Take:
    if isinstance(column, tuple):
        wheres = tuple(f"$.{path}" for path in column)

        def take_list(fields: Fields) -> Found:
            pairs = [(look(fields, p), w) for p, w in zip(column, wheres, strict=True)]
            if not is_argument:  # a list of pictures; a step counts its values
                pairs = [(value, where) for value, where in pairs if value is not None]
            values, places = [value for value, _ in pairs], tuple(where for _, where in pairs)
            return Found(values, wheres[0], places)

        return take_list
    where = f"$.{column}"
    return lambda fields: Found(look(fields, column), where)


def _filled(entry: Entry) -> Take:
    pieces = list(pieces_of(entry.text or ""))
    where = f"$.{paths_of(entry)[0]}" if paths_of(entry) else ""

    def take(fields: Fields) -> Found:
        text = ""
        for piece, path in pieces:
            text += piece
            if path is not None:
                text += text_field(look(fields, path), f"$.{path}")
        return Found(text, where)

    return take


def _stepped(entry: Entry, step: Step, *, places: bool) -> Take:
    takes = [_column(column, is_argument=True) for column in entry.columns]
    more: dict[str, Any] = {"places": places} if step.places else {}
    if entry.text is not None:
        more["text"] = entry.text

    def take(fields: Fields) -> Found:
        arguments = [take(fields) for take in takes]
        return Found(step.apply(*arguments, **more), arguments[0].where)

    return take


def _renamed(taken: Sequence[Taken], fields: Fields) -> Built:
    """Build the columns of a format of their own names."""
    built, places = dict[str, Any](), list[Place]()
    for role, take, is_column in taken:
        found = take(fields)
        built[role] = found.value
        places += _places(f"$.{role}", found, is_column=is_column)
    return _with_id(Built(built, places), fields)


def _built(taken: Sequence[Taken], fields: Fields) -> Built:
    """Build the columns of TRL's rows, whatever the roles are."""
    built, places = dict[str, Any](), list[Place]()
    system: Found | None = None
    for role, take, is_column in taken:
        found = take(fields)
        if role == "system":
            system = found
        elif role == "images":
            _add_images(built, places, found, is_column=is_column)
        else:
            name = "completion" if role == "response" else role
            built[name] = found.value
            places += _places(f"$.{name}", found, is_column=is_column)
    if system is not None and system.value is not None and system.value != "":
        _put_first(built, places, system)
    return _with_id(Built(built, places), fields)


def _places(prefix: str, found: Found, *, is_column: bool) -> list[Place]:
    """Return where a role's value stands; what a step made stands where its first column does."""
    if not found.where:
        return []
    is_split = is_column and (found.places or EACH in found.where)
    count = len(found.value) if is_split and isinstance(found.value, list) else 0
    each: list[Place] = [(f"{prefix}[{i}]", found.at(i), True) for i in range(count)]
    return [*each, (prefix, found.where, is_column and not is_split)]


def _add_images(
    built: dict[str, Any], places: list[Place], found: Found, *, is_column: bool
) -> None:
    """Add the pictures of a row: a list of them, or one; null is none."""
    if found.value is None:
        return
    if isinstance(found.value, (list, tuple)):
        built["images"] = found.value
        places += _places("$.images", found, is_column=is_column)
    else:
        built["images"] = [found.value]
        places += [("$.images[0]", found.where, is_column), ("$.images", found.where, False)]


def _put_first(built: dict[str, Any], places: list[Place], system: Found) -> None:
    """Put the system's message before the prompt or the messages, if those are any."""
    name = "messages" if "messages" in built else "prompt"
    first = {"role": "system", "content": text_field(system.value, system.where)}
    value, prefix = built.get(name), f"$.{name}"
    source = next((place for place in places if place[0] == prefix), (prefix, prefix, False))
    moved = list[Place]()
    if isinstance(value, (list, tuple)):
        built[name] = [first, *value]
        if source[2]:
            moved = [(f"{prefix}[{i + 1}]", f"{source[1]}[{i}]", True) for i in range(len(value))]
    elif isinstance(value, str) and name == "prompt":
        built[name] = [first, {"role": "user", "content": value}]
        moved = [(f"{prefix}[1].content", source[1], True)]
    else:
        return  # the format says what is wrong with it
    places[:0] = [*moved, (f"{prefix}[0]", system.where, False)]


def _with_id(built: Built, fields: Fields) -> Built:
    """Add the row's own id, if it is one and no role is called so."""
    value = fields.get("id")
    is_usable = (isinstance(value, str) and value) or (type(value) is int)
    if is_usable and "id" not in built.fields:
        built.fields["id"] = value
    return built
