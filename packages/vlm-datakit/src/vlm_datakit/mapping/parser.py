"""What parses rows under a plan or a request: a format, behind a mapping if there is one."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

from vlm_datakit import formats
from vlm_datakit.conversation import Draft, Row
from vlm_datakit.errors import RowError, UsageError
from vlm_datakit.mapping.apply import ALIASES, Built, builder, format_of, makes_conversation
from vlm_datakit.mapping.fieldmap import COLUMN, Entry, FieldMap, paths_of
from vlm_datakit.mapping.lookup import column_of, leads_nowhere, look
from vlm_datakit.mapping.steps import STEPS
from vlm_datakit.plain import Plain, PlainDraft, Shape

Parse = Callable[[Mapping[str, Any]], Draft]
_SHOWN = 12  # columns in an error


def parser_of(format_: str, mapping: FieldMap | None) -> Parse:
    """Return what parses rows: the format's `parse`, after the mapping if there is one.

    What is said of a row names the place in the row, not the column that was built.

    Raises:
        UsageError: for a format or a mapping that is none.

    Example:
        >>> from vlm_datakit.mapping.fieldmap import field_map, parse_entry
        >>> mapping = field_map(map(parse_entry, ["prompt=question", "response=answers[0]"]))
        >>> parse = parser_of(format_of(mapping), mapping)
        >>> [m.role for m in parse({"question": "2 + 2?", "answers": ["4"]}).messages]
        ['user', 'assistant']
    """
    parse = formats.get(format_).parse
    return parse if mapping is None else mapped(parse, mapping)


def mapped(parse: Parse, mapping: FieldMap) -> Parse:
    """Return what maps rows and then parses them.

    Raises:
        UsageError: for a mapping that makes no row.
    """
    build, is_conversation = builder(mapping), makes_conversation(mapping)

    def parse_mapped(fields: Mapping[str, Any]) -> Draft:
        built = build(fields)
        try:
            draft = parse(built.fields)
        except RowError as error:
            raise RowError(error.reason, built.where(error.where), error.seen) from error
        draft = _with_own_places(draft, built)
        return replace(draft, prompt_messages=None) if is_conversation else draft

    return parse_mapped


def mapped_plain(plain: Plain, mapping: FieldMap) -> Plain:
    """Return what knows the plain rows of a format, of rows that are mapped onto it.

    Example:
        >>> from vlm_datakit.mapping.fieldmap import field_map, parse_entry
        >>> mapping = field_map(map(parse_entry, ["prompt=q", "response=a"]))
        >>> plain = mapped_plain(formats.plain_of(formats.FORMATS["trl"]), mapping)
        >>> plain({"q": "2 + 2?", "a": "4"}).texts, plain({"q": "2 + 2?", "a": 4}) is None
        (('2 + 2?', '4'), True)
    """
    build, is_conversation = builder(mapping), makes_conversation(mapping)
    of_two: Shape = ()
    of_one: Shape = ()

    def plain_mapped(fields: Mapping[str, Any]) -> PlainDraft | None:
        nonlocal of_two, of_one
        try:
            row = plain(build(fields).fields)
        except RowError:
            return None  # whoever parses the row says what is wrong
        if row is None or not is_conversation:
            return row
        if row.shape is not of_two:  # shapes are told apart by identity, which is fast
            of_two, of_one = row.shape, (tuple(turn for turns in row.shape for turn in turns),)
        return row._replace(shape=of_one)

    return plain_mapped


def _with_own_places(draft: Draft, built: Built) -> Draft:
    """Return a draft whose pictures and warnings say where they stand in the row."""
    if not draft.images and not draft.warnings:
        return draft
    images = (image._replace(where=built.where(image.where)) for image in draft.images)
    warnings = (replace(warned, where=built.where(warned.where)) for warned in draft.warnings)
    return replace(draft, images=tuple(images), warnings=tuple(warnings))


def settled(mapping: FieldMap | None, format_: str) -> tuple[str, FieldMap | None]:
    """Return the format that parses, and the mapping before it.

    Args:
        mapping: As given; its own format counts where none was asked for.
        format_: As asked for, or auto.

    Raises:
        UsageError: for a mapping that makes no row.

    Example:
        >>> from vlm_datakit.mapping.fieldmap import field_map, parse_entry
        >>> settled(field_map([parse_entry("messages=chat")]), "auto")[0]
        'openai'
    """
    if mapping is None:
        return format_, None
    if format_ != "auto":
        mapping = replace(mapping, format=format_)
    return format_of(mapping), mapping


def check_columns(mapping: FieldMap, rows: Sequence[Row]) -> None:
    """Hold the paths of a mapping to the first rows of a source.

    Raises:
        UsageError: for a path that every row shows to be wrong; near names are suggested.
    """
    for entry in mapping.entries:
        for path in paths_of(entry):
            if rows and all(leads_nowhere(row.fields, path) for row in rows):
                raise UsageError(_no_such_column(entry, path, rows))


def unused_columns(mapping: FieldMap, rows: Sequence[Row]) -> tuple[str, ...]:
    """Return the columns of rows that no entry reads; ``id`` is read by itself."""
    paths = [path for entry in mapping.entries for path in paths_of(entry)]
    used = {column_of(row.fields, path) for row in rows for path in paths}
    return tuple(name for name in _columns(rows) if name not in used and name != "id")


def literal_places(mapping: FieldMap, rows: Sequence[Row]) -> tuple[str, ...]:
    """Return the columns whose ``<image>`` would stay a text beside the pictures of a row."""
    roles = {ALIASES.get(entry.role, entry.role): entry for entry in mapping.entries}
    prompt = roles.get("prompt")
    if mapping.format is not None or "images" not in roles or prompt is None:
        return ()
    paths = paths_of(prompt) if prompt.how == COLUMN else ()
    return tuple(path for path in paths if any(_holds_place(row, path) for row in rows))


def _holds_place(row: Row, path: str) -> bool:
    try:
        value = look(row.fields, path)
    except RowError:
        return False
    return isinstance(value, str) and "<image" in value


def _columns(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row.fields))


def _no_such_column(entry: Entry, path: str, rows: Sequence[Row]) -> str:
    columns = _columns(rows)
    shown = ", ".join(columns[:_SHOWN]) + (", ..." * (len(columns) > _SHOWN))
    if any(column_of(row.fields, path) is not None for row in rows):
        return f"--map {entry}: {path} leads nowhere in the first rows; columns: {shown}"
    near = get_close_matches(path, columns, n=3)
    hint = f"; did you mean {' or '.join(near)}?" if near else "."
    text = f"--map {entry}: {path} is no column of the first rows{hint} Columns: {shown}."
    if path in STEPS:
        return f"{text} A step is spelled {path}(COLUMN)"
    if entry.how == COLUMN and isinstance(entry.columns[0], str):
        constant = json.dumps(path.strip("'"), ensure_ascii=False)
        return f"{text} A constant is quoted: --map {shlex.quote(f'{entry.role}={constant}')}"
    return text
