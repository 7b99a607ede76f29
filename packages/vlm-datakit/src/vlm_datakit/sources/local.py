"""Names given on a command line: which files they are, and which split each feeds."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from vlm_datakit.errors import SourceError, UsageError
from vlm_datakit.globs import is_pattern, like
from vlm_datakit.hub.layout import chosen, is_rows
from vlm_datakit.hub.names import PREFIX, HubName, hub_name, pinned
from vlm_datakit.hub.pictures import note_tree
from vlm_datakit.hub.repository import HubFile, Repository, look_up
from vlm_datakit.images.resolver import without_secrets
from vlm_datakit.plan import SourceFile
from vlm_datakit.sources.folders import (
    DESCRIPTIONS,
    Found,
    check_no_import,
    files_of_split,
    listed,
    nothing_of,
    splits_in,
)
from vlm_datakit.sources.image_folder import PICTURE_SUFFIXES, listing
from vlm_datakit.sources.remote import (
    check_address,
    identity_at,
    is_address,
    names_in,
    relative_names,
    trimmed,
)
from vlm_datakit.sources.telling import told

PIPE = "-"
_SPLIT = re.compile(r"\w+(\.\w+)*")  # what datasets accepts as a split name
_SHOWN = 8
_DESCRIBED = {"jsonl": "metadata-jsonl", "csv": "metadata-csv", "parquet": "metadata-parquet"}


def source_files(
    names: Sequence[str], split: str | Sequence[str] | None, config: str | None = None
) -> tuple[SourceFile, ...]:
    """Return the files that names stand for, in order, each with its split.

    Args:
        names: ``[SPLIT=]FILE``, a folder with ``SPLIT.jsonl``, ``SPLIT-*.parquet`` or the like
            in it, the address of either on a file system that fsspec knows, such as
            ``s3://bucket/rows.jsonl``, a data set on the Hub (`vlm_datakit.hub.names`), a
            folder of pictures, or ``-``, which whoever reads it looks at. In the last name of an
            address, and in that of a file on the Hub, ``*`` is a wildcard: a shell knows neither.
        split: Or several, for names without ``SPLIT=``; none means train, ``all`` those
            that there are.
        config: Of a data set on the Hub, or of a folder laid out like one.

    Raises:
        UsageError: for a split name that datasets would refuse, the same file twice, two
            files whose rows would be known alike, or an address that is not read.
        SourceError: for a missing or empty file, one that holds no rows, or a folder without
            such a split or config.
        RemoteError: if the Hub does not answer.
    """
    splits = [split] if isinstance(split, str) else [*dict.fromkeys(split or ["train"])]
    pairs = [pair for name in names for pair in _expanded(name, splits, config)]
    paths = [found.path for _, found in pairs]
    places = {path if is_address(path) else os.path.realpath(path) for path in paths}
    if len(places) < len(pairs):
        raise UsageError("the same file is named twice")
    known = _known_as(paths)
    for name, count in Counter(known.values()).items():
        if count > 1:
            raise UsageError(f"the rows of {count} sources would be known as {name}: rename one")
    return tuple(_source_file(split, found, known[found.path]) for split, found in pairs)


def checked_split(name: str) -> str:
    """Return a split name that is safe as part of a file name; ``-`` becomes ``_``.

    Raises:
        UsageError: for any other character that datasets refuses.

    Example:
        >>> checked_split("train-2024")
        'train_2024'
    """
    mapped = name.replace("-", "_")
    if not _SPLIT.fullmatch(mapped):
        raise UsageError(f"{name!r} is no split name: use letters, digits, _ and single dots")
    return mapped


def _expanded(name: str, splits: Sequence[str], config: str | None) -> list[tuple[str, Found]]:
    given, separator, rest = name.partition("=")
    is_split = bool(separator and _SPLIT.fullmatch(given.replace("-", "_")))
    if is_named := is_split and not Path(name).exists():
        splits, name = [given], rest
    for split in splits:
        checked_split(split)
    if (in_hub := hub_name(name)) is not None:
        repository = look_up(in_hub)
        note_tree(repository)
        found = _in_hub(in_hub, repository, splits, config)
    elif is_address(name):
        found = _at_address(trimmed(name), splits)
    else:
        found = _here(_local_path(name), splits, config, is_named=is_named)
    return [(checked_split(split), file) for split, file in found]


def _in_hub(
    name: HubName, repository: Repository, splits: Sequence[str], config: str | None
) -> list[tuple[str, Found]]:
    if name.path is not None:
        rows = [path for path in repository.files if is_rows(path)]
        paths = [name.path] if name.path in repository.files else like(name.path, rows)
        if not paths:
            raise SourceError(
                f"{name}: no such file; files of rows: {', '.join(rows[:_SHOWN]) or 'none'}"
            )
        split = _one(splits, str(name))
        return [(split, _on_hub(repository, repository.files[path])) for path in paths]
    shown = str(name)
    by_split = [chosen(repository.layout, config, split, shown) for split in splits]
    merged = {split: paths for found in by_split for split, paths in found.items()}
    return [
        (split, _on_hub(repository, repository.files[path]))
        for split, paths in merged.items()
        for path in paths
    ]


def _on_hub(repository: Repository, file: HubFile) -> Found:
    role = "metadata" if _describes_pictures(repository, file.path) else None
    return Found(repository.pinned(file.path).address, role, file.size, file.digest)


def _describes_pictures(repository: Repository, path: str) -> bool:
    """Whether a file is named as those that describe the pictures of their folder, and some are."""
    folder, _, name = path.rpartition("/")
    below = f"{folder}/" if folder else ""
    return name in DESCRIPTIONS and any(
        other.startswith(below) and other.lower().endswith(PICTURE_SUFFIXES)
        for other in repository.files
    )


def _at_address(address: str, splits: Sequence[str]) -> list[tuple[str, Found]]:
    check_address(address)
    folder, _, name = address.rpartition("/")
    if is_pattern(name):
        split = _one(splits, without_secrets(address))
        return [(split, Found(f"{folder}/{path}")) for path in _alike(folder, name)]
    there = names_in(address)
    if there is None:
        return [(_one(splits, without_secrets(address)), Found(address))]
    return [(split, Found(path)) for split in splits for path in _elsewhere(address, there, split)]


def _alike(folder: str, pattern: str) -> list[str]:
    """Return the file of this name, or the files of rows whose names are like it."""
    there = names_in(folder) or []
    if pattern in there:
        return [pattern]
    if found := [path for path in like(pattern, there) if is_rows(path)]:
        return found
    raise SourceError(f"{folder}/{pattern}: no such file; {listed(there)}")


def _here(
    name: str, splits: Sequence[str], config: str | None, *, is_named: bool
) -> list[tuple[str, Found]]:
    if name == PIPE or not Path(name).is_dir():
        return [(_one(splits, name), Found(name))]
    by_split = [splits_in(Path(name), split, config, is_named=is_named) for split in splits]
    merged = {split: found for each in by_split for split, found in each.items()}
    return [(split, file) for split, files in merged.items() for file in files]


def _one(splits: Sequence[str], shown: str) -> str:
    """Return the one split that a file feeds.

    Raises:
        UsageError: if several are named.
    """
    if len(splits) > 1 or splits[0] == "all":
        raise UsageError(f"{shown}: a file feeds one split; name that, as in train={shown}")
    return splits[0]


def _elsewhere(folder: str, there: Sequence[str], split: str) -> list[str]:
    found = files_of_split(there, split)
    if not found:
        check_no_import(folder, there, " from a disk")
        raise _nothing_there(folder, there, split)
    return [f"{folder}/{name}" for name in found]


def _nothing_there(folder: str, there: Sequence[str], split: str) -> SourceError:
    has_pictures = any(name.lower().endswith(PICTURE_SUFFIXES) for name in there)
    cure = "; a folder of pictures is read from a disk alone" if has_pictures else ""
    return SourceError(f"{folder}: {nothing_of(split)}; {listed(there)}{cure}")


def _local_path(name: str) -> str:
    """Return the path that a ``file://`` address spells (RFC 8089), any other name as it is."""
    if name[:7].lower() != "file://":
        return name
    parts = urlsplit(name)
    if parts.netloc not in ("", "localhost"):
        raise UsageError("a file:// address of another machine is not read as a source")
    return unquote(parts.path)


def _known_as(paths: Sequence[str]) -> dict[str, str]:
    """Return what the rows of each file are known by: where it lies below the common parent.

    This machine has one, and so has each scheme of addresses.
    """
    addresses = [path for path in paths if is_address(path)]
    local = {path: _real(path) for path in paths if path != PIPE and not is_address(path)}
    parent = os.path.commonpath([path.parent for path in local.values()]) if local else ""
    names = {path: real.relative_to(parent).as_posix() for path, real in local.items()}
    return names | relative_names(addresses) | ({PIPE: "stdin"} if PIPE in paths else {})


def _real(path: str) -> Path:
    """Return a path whose folder is resolved; the file may be a link and keeps its name."""
    return Path(os.path.realpath(Path(path).parent)) / Path(path).name


def _source_file(split: str, found: Found, name: str) -> SourceFile:
    path = found.path
    if path == PIPE:
        return SourceFile(split, name, PIPE, None, None)
    if found.digest is not None:
        file = _told_on_hub(SourceFile(split, name, path, found.size, None, found.digest))
        return _described(file) if found.role == "metadata" else file
    if is_address(path):
        size, etag = identity_at(path)
        return told(SourceFile(split, name, path, size, None, etag), without_secrets(path))
    if found.role == "image-folder":
        pictures = listing(Path(path))
        size, mtime = len(pictures.lines), pictures.mtime_ns
        return SourceFile(split, name, str(_real(path)), size, mtime, kind=found.role)
    size, mtime = _checked(Path(path))
    file = SourceFile(split, name, str(_real(path)), size, mtime)
    if found.role == "labels":
        return replace(file, kind=found.role)
    file = told(file, str(Path(path)))
    return _described(file) if found.role == "metadata" else file


def _told_on_hub(file: SourceFile) -> SourceFile:
    """Return a file of the Hub with its kind; Parquet shows it when it is cut, by its end."""
    if file.name.endswith(".parquet"):
        return replace(file, kind="parquet")
    hub_file = pinned(file.path)
    return told(file, f"{hub_file.repo}::{hub_file.path}" if hub_file else file.name)


def _described(file: SourceFile) -> SourceFile:
    """Return a file of a folder of pictures as what describes them."""
    if file.kind not in _DESCRIBED:
        raise SourceError(f"{file.name}: not the JSON lines, CSV or Parquet that its name says")
    return replace(file, kind=_DESCRIBED[file.kind])


def _checked(path: Path) -> tuple[int, int]:
    """Return size and modification time of a regular file."""
    if not path.exists():
        raise SourceError(f"{path}: no such file{_hub_hint(path)}")
    if not path.is_file():
        raise SourceError(f"{path}: not a regular file")
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _hub_hint(path: Path) -> str:
    """Return how the Hub's data set of that name is named, if it could be one."""
    name = str(path)
    if re.fullmatch(r"[\w.-]+/[\w-]+(@[\w.-]+)?", name):
        return f"; a data set on the Hub is named {PREFIX}{name} where that is a folder here"
    if re.fullmatch(r"[\w-]+", name):
        return "; a data set on the Hub is named OWNER/NAME"
    return ""
