"""A config from a YAML file and flags: types checked, unknown keys named."""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from vlm_trainer.config import TrainConfig, from_flat, options, to_flat
from vlm_trainer.errors import UsageError


def read_config(path: Path | None, flags: Mapping[str, Any]) -> TrainConfig:
    """Read a YAML file, lay the flags over it and check the result.

    Args:
        path: The YAML file, or None for flags alone.
        flags: Flat keys given on the command line; they win over the file.

    Raises:
        UsageError: The file is missing or no mapping; an unknown key, with the nearest
            known one; a value of another type, with file and key.
    """
    values = _read_yaml(path) if path else {}
    where = str(path) if path else "flags"
    typed = {key: typed_value(key, value, where) for key, value in values.items()}
    typed |= {key: typed_value(key, value, "flags") for key, value in flags.items()}
    if "trainer" in typed:
        check_trainer_keys(typed["trainer"], where)
    return from_flat(typed)


def dump_config(config: TrainConfig) -> str:
    """Return the config as YAML that `read_config` reads back to an equal config."""
    import yaml

    text: str = yaml.safe_dump(to_flat(config), sort_keys=False, allow_unicode=True)
    return text


def typed_value(key: str, value: Any, where: str) -> Any:
    """Return a value in the type its option has.

    Args:
        key: Flat key.
        value: As YAML or the command line gave it; YAML 1.1 reads ``2e-5`` as text.
        where: File or ``flags``, for the error.

    Raises:
        UsageError: Unknown key, wrong type, or not one of the choices.

    Example:
        >>> typed_value("learning_rate", "2e-5", "x.yaml")
        2e-05
    """
    if key == "trainer":
        return {} if value is None else value
    known = options()
    if key not in known:
        raise UsageError(f"{where}: unknown key {key!r}{_suggestion(key, known)}")
    field = known[key]
    if value is None and field.default is None:
        return None
    try:
        typed = _typed(value, field.metadata["kind"])
    except (TypeError, ValueError):
        kind = field.metadata["kind"].__name__.replace("tuple", "list")
        raise UsageError(f"{where}: {key} wants {kind}, found {value!r}") from None
    _check_choices(key, typed, field, where)
    return typed


def check_trainer_keys(values: Any, where: str) -> None:
    """Refuse what stands under ``trainer:`` when it cannot be a field of TRL's config.

    Raises:
        UsageError: No mapping, or a key that belongs to the top level.
    """
    if not isinstance(values, Mapping):
        raise UsageError(f"{where}: trainer wants a mapping of fields of TRL's config")
    for key in values:
        if key in options():
            raise UsageError(f"{where}: {key!r} belongs at the top level, not under trainer")


def check_trainer_fields(
    values: Mapping[str, Any], known: Mapping[str, Any], owner: str = "SFTConfig"
) -> None:
    """Refuse keys under ``trainer:`` that TRL's config does not have (known once TRL is).

    Raises:
        UsageError: Names the key and the nearest field.
    """
    for key in values:
        if key not in known:
            raise UsageError(f"trainer: {owner} has no field {key!r}{_suggestion(key, known)}")


def typed_trainer_fields(
    values: Mapping[str, Any],
    known: Mapping[str, dataclasses.Field[Any]],
    owner: str = "SFTConfig",
) -> dict[str, Any]:
    """Return the values under ``trainer:``, numbers in the type their field has.

    YAML 1.1 reads ``1e-8`` as text, and TRL's config would take it as it is.

    Args:
        values: As the file gave them.
        known: Fields of the config that are the user's.
        owner: Its name, for the errors.

    Raises:
        UsageError: A key the config does not have; a text for a number.
    """
    check_trainer_fields(values, known, owner)
    typed = dict(values)
    for key, value in values.items():
        kind = type(known[key].default)
        if kind not in (int, float) or not isinstance(value, str):
            continue
        try:
            typed[key] = _typed(value, kind)
        except ValueError:
            raise UsageError(f"trainer: {key} wants {kind.__name__}, found {value!r}") from None
    return typed


def split_list(text: str) -> list[str]:
    r"""Split a list given as text at its commas; one that belongs to a value is written ``\,``.

    Example:
        >>> split_list(r"scans\, 2024=2, forms")
        ['scans, 2024=2', 'forms']
    """
    parts = re.split(r"(?<!\\),", text)
    return [part.replace("\\,", ",").strip() for part in parts if part.strip()]


def join_list(values: Iterable[str]) -> str:
    """Return the text that `split_list` reads as these values."""
    return ",".join(value.replace(",", "\\,") for value in values)


def _read_yaml(path: Path) -> dict[str, Any]:
    import yaml

    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), yaml.SafeLoader)
        if isinstance(node, yaml.MappingNode):
            _check_keys(node, path)
        values = yaml.SafeLoader("").construct_document(node) if node else None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        first_line = " ".join(str(error).split())
        raise UsageError(f"{path}: not YAML ({first_line})") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise UsageError(f"{path}: expected keys and values, found {type(values).__name__}")
    return {str(key).replace("-", "_"): value for key, value in values.items()}


def _check_keys(mapping: Any, path: Path) -> None:
    """Refuse a key that stands twice, of which YAML takes the last; keep texts as written."""
    seen = set[str]()
    for key, value in mapping.value:
        name = str(key.value).replace("-", "_")
        if name in seen:
            raise UsageError(f"{path}: {name!r} stands twice")
        seen.add(name)
        if name == "trainer" and value.id == "mapping":
            _check_keys(value, path)
        field = options().get(name)
        if field and field.metadata["kind"] in (str, tuple):
            _keep_written(value)


def _keep_written(node: Any) -> None:
    """Read as text what YAML would read as a number or a date: the id 00042, the branch 1.10."""
    for part in node.value if node.id == "sequence" else [node]:
        if part.tag.rpartition(":")[2] in ("int", "float", "timestamp"):
            part.tag = "tag:yaml.org,2002:str"


def _typed(value: Any, kind: type) -> Any:
    if kind is tuple:
        parts = split_list(value) if isinstance(value, str) else value
        if isinstance(parts, Mapping) or not all(isinstance(part, str) for part in parts):
            raise TypeError
        return tuple(part.strip() for part in parts if part.strip())
    if kind is bool or isinstance(value, bool):
        if kind is not bool or not isinstance(value, bool):
            raise TypeError
        return value
    if kind is str:
        if isinstance(value, (dict, list)) or value is None:
            raise TypeError
        return str(value)
    number = kind(value)
    if not math.isfinite(number) or (kind is int and number != float(value)):
        raise ValueError
    return number


def _check_choices(key: str, value: Any, field: dataclasses.Field[Any], where: str) -> None:
    choices = field.metadata["choices"]
    given = value if isinstance(value, tuple) else (value,)
    wrong = [item for item in given if choices and item not in choices]
    if wrong:
        raise UsageError(f"{where}: {key} is {wrong[0]!r}; choose from {', '.join(choices)}")


def _suggestion(key: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
