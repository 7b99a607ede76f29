"""What a data set on the Hub is, told without its data: from its card and the ends of Parquet."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from vlm_datakit.errors import VlmDataKitError
from vlm_datakit.hub.layout import DEFAULT
from vlm_datakit.hub.looks import Looks
from vlm_datakit.hub.names import hub_name
from vlm_datakit.hub.repository import Repository, look_up

_ENDS_LOOKED_AT = 16  # files of Parquet, an answer or two each
_LOOK_BYTES = 64 * 1024
_NESTING = frozenset({"dtype", "list", "sequence", "struct"})


@dataclass(frozen=True, slots=True)
class HubSplit:
    """A split: its files and their bytes; ``rows`` is None where nothing tells them."""

    name: str
    files: tuple[str, ...]
    bytes: int
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class HubConfig:
    """A config: its splits, and its columns by name, with types, where something tells them."""

    name: str
    is_default: bool
    splits: tuple[HubSplit, ...]
    features: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class HubInfo:
    """What the Hub tells of a data set at a commit.

    ``gated`` is false, ``auto`` or ``manual``; ``converted`` says that the files are those that
    the Hub made of a data set that is a script.
    """

    repo: str
    commit: str
    license: str | None
    gated: str | bool
    private: bool
    last_modified: str | None
    downloads: int | None
    likes: int | None
    files: int
    bytes: int
    configs: tuple[HubConfig, ...]
    converted: bool = False


def info(name: str) -> HubInfo:
    """Return what a data set on the Hub is; its data is not downloaded.

    Args:
        name: ``OWNER/NAME[@REVISION]``.

    Raises:
        SourceError: if there is none, or it is private.
        RemoteError: if the Hub does not answer.
    """
    found = hub_name(name)
    if found is None:
        from vlm_datakit.errors import UsageError

        raise UsageError(f"{name}: a data set on the Hub is named OWNER/NAME[@REVISION]")
    repository = look_up(found._replace(path=None))
    facts, budget = repository.facts, [_ENDS_LOOKED_AT]
    told = {str(each.get("config_name", DEFAULT)): each for each in _told(repository.card)}
    configs = tuple(_config(repository, each, told, budget) for each in repository.layout.configs)
    licence, modified = repository.card.get("license"), facts.get("last_modified")
    return HubInfo(
        repository.repo,
        repository.commit,
        ", ".join(licence) if isinstance(licence, list) else licence,
        facts.get("gated") or False,
        bool(facts.get("private")),
        modified.isoformat() if modified else None,
        facts.get("downloads"),
        facts.get("likes"),
        len(repository.files),
        sum(file.size for file in repository.files.values()),
        configs,
        repository.converted,
    )


def _told(card: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return what a card says under ``dataset_info`` of each config."""
    told = card.get("dataset_info") or []
    return [each for each in (told if isinstance(told, list) else [told]) if isinstance(each, dict)]


def _config(
    repository: Repository, name: str, told: Mapping[str, Mapping[str, Any]], budget: list[int]
) -> HubConfig:
    facts = told.get(name, {})
    counts = {
        split.get("name"): split.get("num_examples")
        for split in facts.get("splits") or []
        if isinstance(split, dict)
    }
    features = _features(facts.get("features"))
    splits = []
    for split, paths in repository.layout.configs[name].items():
        rows = counts.get(split)
        if rows is None or features is None:
            ends = _ends(repository, paths, budget)
            rows = ends[0] if rows is None else rows
            features = ends[1] if features is None else features
        size = sum(repository.files[path].size for path in paths)
        splits.append(HubSplit(split, paths, size, rows))
    return HubConfig(name, name == repository.layout.default, tuple(splits), features)


def _features(value: Any) -> dict[str, str] | None:
    """Return columns with their types, of the list that a card holds."""
    if not isinstance(value, list):
        return None
    return {str(each.get("name")): _type(each) for each in value if isinstance(each, dict)}


def _type(feature: Mapping[str, Any]) -> str:
    """Spell the type of a feature: ``string``, ``image``, ``list of string``, ``{a, b}``.

    Example:
        >>> _type({"name": "messages", "list": [{"name": "role", "dtype": "string"}]})
        'list of {role}'
    """
    for key in ("list", "sequence"):
        if key in feature:
            inner = feature[key]
            return f"list of {inner if isinstance(inner, str) else _type({'dtype': inner})}"
    dtype = feature.get("dtype", feature.get("struct"))
    if isinstance(dtype, str):
        return dtype
    if isinstance(dtype, list):
        return f"{{{', '.join(str(each.get('name')) for each in dtype)}}}"
    if isinstance(dtype, dict):
        return _type(dtype) if _NESTING & dtype.keys() else next(iter(dtype), "")
    return "unknown"


def _ends(
    repository: Repository, paths: tuple[str, ...], budget: list[int]
) -> tuple[int | None, dict[str, str] | None]:
    """Return rows and columns as the ends of Parquet files tell them, as long as few are asked."""
    is_parquet = paths and all(path.endswith(".parquet") for path in paths)
    if not is_parquet or len(paths) > budget[0]:
        return None, None
    budget[0] -= len(paths)
    from pyarrow.parquet import ParquetFile

    rows, features = 0, None
    with suppress(VlmDataKitError, OSError, ValueError):  # gated: the Hub tells the rest
        for path in paths:
            file = Looks(repository.pinned(path), repository.files[path].size)
            parquet = ParquetFile(io.BufferedReader(file, _LOOK_BYTES))
            rows += parquet.metadata.num_rows
            features = features or {each.name: str(each.type) for each in parquet.schema_arrow}
        return rows, features
    return None, None
