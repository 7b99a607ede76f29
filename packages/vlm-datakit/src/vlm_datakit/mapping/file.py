"""A mapping as a YAML file that a person can read and write, and as plain values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from vlm_datakit.errors import OutputError, UsageError
from vlm_datakit.mapping.fieldmap import (
    COLUMN,
    CONSTANT,
    TEMPLATE,
    Column,
    Entry,
    FieldMap,
    check_template,
    field_map,
    value_entry,
)

VERSION = 1
_MOST_BYTES = 1024 * 1024
_HEAD = "# Which columns of a row become what; see docs/mapping.md of vlm-datakit.\n"
_EXPECTED = (
    "expected a path, [path, path], {constant: TEXT}, {template: TEXT}, or "
    "{step: NAME, columns: [path, ...]}"
)


def mapping_of(given: FieldMap | Mapping[str, str] | str | Path) -> FieldMap:
    """Return a mapping given as one, as ``{"prompt": "question"}``, or as a file.

    The values of a dict are spelled as behind the ``=`` of ``--map``.

    Raises:
        UsageError: if it is none.

    Example:
        >>> print(mapping_of({"completion": "first-of-list(answers)"}).entries[0])
        completion=first-of-list(answers)
    """
    if isinstance(given, FieldMap):
        return given
    if isinstance(given, Mapping):
        return field_map(value_entry(role, value) for role, value in given.items())
    return read_mapping(Path(given))


def to_plain(mapping: FieldMap) -> dict[str, Any]:
    """Return a mapping as plain values, as the file holds them.

    Example:
        >>> to_plain(mapping_of({"prompt": '"Describe it."', "images": "[a, b]"}))["fields"]
        {'images': ['a', 'b'], 'prompt': {'constant': 'Describe it.'}}
    """
    plain: dict[str, Any] = {"mapping": VERSION}
    if mapping.format is not None:
        plain["from"] = mapping.format
    return {**plain, "fields": {entry.role: _entry_plain(entry) for entry in mapping.entries}}


def from_plain(plain: Mapping[str, Any]) -> FieldMap:
    """Return the mapping of plain values that fit the schema.

    Raises:
        UsageError: for a template with a brace too many.
    """
    entries = [_entry(role, value) for role, value in plain["fields"].items()]
    return field_map(entries, plain.get("from"))


def yaml_text(mapping: FieldMap) -> str:
    """Return a mapping as the text of a file.

    Example:
        >>> print(yaml_text(mapping_of({"prompt": "question"})))
        # Which columns of a row become what; see docs/mapping.md of vlm-datakit.
        mapping: 1
        fields:
          prompt: question
        <BLANKLINE>
    """
    import yaml

    class Dumper(yaml.SafeDumper):
        """Escapes what is not printable: unescaped, U+0085 comes back as a space."""

    def represent(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
        style = None if text.isprintable() else '"'
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    Dumper.add_representer(str, represent)
    return _HEAD + yaml.dump(to_plain(mapping), Dumper=Dumper, sort_keys=False, allow_unicode=True)


def save_mapping(mapping: FieldMap, path: Path) -> None:
    """Write a mapping to a file; one that says something else is left alone.

    Raises:
        OutputError: if it exists and is another, or cannot be written.
    """
    text = yaml_text(mapping).encode()
    try:
        if path.exists() and path.read_bytes() != text:
            raise OutputError(f"{path}: exists and says something else; name another file")
        path.write_bytes(text)
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}") from error


def read_mapping(path: Path) -> FieldMap:
    """Read a mapping from a YAML file.

    Raises:
        UsageError: if there is none, or it does not fit the schema; names the line.
    """
    try:
        data = path.read_bytes()[: _MOST_BYTES + 1]
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    if len(data) > _MOST_BYTES:
        raise UsageError(f"{path}: over {_MOST_BYTES:,} bytes, which is no mapping")
    return parse_mapping(data, str(path))


def parse_mapping(data: bytes, name: str) -> FieldMap:
    """Read a mapping from the bytes of a YAML file.

    Args:
        data: The bytes.
        name: Of the file, for errors.

    Raises:
        UsageError: if it does not fit the schema; names the line.
    """
    import yaml

    try:
        root = yaml.compose(data, Loader=yaml.SafeLoader)
        _check_nodes(root, name)
        plain = yaml.safe_load(data)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise UsageError(f"{name}{_line_of(error)}: not YAML: {_problem(error)}") from error
    _validate(plain, root, name)
    try:
        return from_plain(plain)
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from error


def _entry_plain(entry: Entry) -> Any:
    if entry.how in (CONSTANT, TEMPLATE):
        return {entry.how: entry.text}
    columns = [list(c) if isinstance(c, tuple) else c for c in entry.columns]
    if entry.how == COLUMN:
        return columns[0]
    text = {} if entry.text is None else {"text": entry.text}
    return {"step": entry.how, "columns": columns, **text}


def _entry(role: str, value: Any) -> Entry:
    if not isinstance(value, Mapping):
        return Entry(role, (_column(value),))
    if "step" in value:
        columns = tuple(map(_column, value["columns"]))
        return Entry(role, columns, value["step"], value.get("text"))
    ((how, text),) = value.items()
    entry = Entry(role, (), how, text)
    if how == TEMPLATE:
        check_template(entry)
    return entry


def _column(value: Any) -> Column:
    return value if isinstance(value, str) else tuple(value)


@cache
def _schema() -> Any:
    text = files("vlm_datakit.mapping").joinpath("mapping.schema.json").read_text("utf-8")
    return json.loads(text)


def _validate(plain: Any, root: Any, name: str) -> None:
    """Hold plain values to the schema; name the line and the entry."""
    from jsonschema import Draft202012Validator

    error = next(iter(Draft202012Validator(_schema()).iter_errors(plain)), None)
    if error is None:
        return
    at = [*error.absolute_path]
    is_entry = len(at) > 1 and at[0] == "fields"
    place = ".".join(map(str, at)) or "the file"
    message = _EXPECTED if is_entry else error.message[:200]
    raise UsageError(f"{name}:{_line(root, at)}: {place}: {message}")


def _line(node: Any, path: Sequence[Any]) -> int:
    """Return the line on which the value at a path stands, as far as the path leads."""
    for key in path:
        if isinstance(node.value, list) and isinstance(key, int) and key < len(node.value):
            node = node.value[key]
        elif isinstance(node.value, list):
            node = next((v for k, v in node.value if getattr(k, "value", None) == key), node)
    return 1 if node is None else node.start_mark.line + 1


def _check_nodes(root: Any, name: str) -> None:
    """Refuse a key that stands twice, of which YAML would keep the last, and aliases."""
    nodes, seen = [root], set[int]()
    while nodes:
        node = nodes.pop()
        if id(node) in seen:
            line = node.start_mark.line + 1
            raise UsageError(f"{name}:{line}: a mapping has no anchors and aliases")
        seen.add(id(node))
        pairs = node.value if node is not None and isinstance(node.value, list) else []
        keys = set[str]()
        for inner in pairs:
            if not isinstance(inner, tuple):
                nodes.append(inner)
                continue
            key, value = inner
            if str(key.value) in keys:
                raise UsageError(f"{name}:{key.start_mark.line + 1}: {key.value} stands twice")
            keys.add(str(key.value))
            nodes.append(value)


def _line_of(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return "" if mark is None else f":{mark.line + 1}"


def _problem(error: Exception) -> str:
    return str(getattr(error, "problem", None) or error).splitlines()[0][:200]
