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
from vlm_datakit.images.resolver import without_secrets
from vlm_datakit.plan import SourceFile
from vlm_datakit.sources.folders import Found, check_no_import, files_of_split, found_in, nothing_in
from vlm_datakit.sources.image_folder import listing
from vlm_datakit.sources.remote import identity_at, is_address, names_in, relative_names, trimmed
from vlm_datakit.sources.telling import suffix_of, told

PIPE = "-"
_SPLIT = re.compile(r"\w+(\.\w+)*")  # what datasets accepts as a split name
_SUFFIXES = frozenset(
    {"arrow", "csv", "json", "jsonl", "ndjson", "parquet", "tar", "tgz", "tsv", "zip"}
)
_DESCRIBED = {"jsonl": "metadata-jsonl", "csv": "metadata-csv", "parquet": "metadata-parquet"}


def source_files(names: Sequence[str], split: str | None) -> tuple[SourceFile, ...]:
    """Return the files that names stand for, in order, each with its split.

    Args:
        names: ``[SPLIT=]FILE``, a folder with ``SPLIT.jsonl``, ``SPLIT-*.parquet`` or the like
            in it, the address of either on a file system that fsspec knows, such as
            ``s3://bucket/rows.jsonl``, a folder of pictures, or ``-``, which whoever reads it
            looks at.
        split: For names without ``SPLIT=``; None means train.

    Raises:
        UsageError: for a split name that datasets would refuse, the same file twice, two
            files whose rows would be known alike, or an address that is not read.
        SourceError: for a missing or empty file, one that holds no rows, or a folder without
            such a split.
    """
    pairs = [pair for name in names for pair in _expanded(name, split or "train")]
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


def _expanded(name: str, split: str) -> list[tuple[str, Found]]:
    given, separator, rest = name.partition("=")
    if separator and _SPLIT.fullmatch(given.replace("-", "_")) and not Path(name).exists():
        split, name = given, rest
    checked = checked_split(split)
    if is_address(name):
        name, there = trimmed(name), names_in(name)
        paths = [name] if there is None else _elsewhere(name, there, split)
        return [(checked, Found(path)) for path in paths]
    name = _local_path(name)
    if name != PIPE and Path(name).is_dir():
        return [(checked, found) for found in found_in(Path(name), split)]
    return [(checked, Found(name))]


def _elsewhere(folder: str, there: Sequence[str], split: str) -> list[str]:
    found = files_of_split(there, split)
    if not found:
        check_no_import(folder, there, " from a disk")
        raise nothing_in(folder, there, split)
    return [f"{folder}/{name}" for name in found]


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
    name = str(path)
    if re.fullmatch(r"[\w.-]+/[\w.-]+(@[\w.-]+)?", name) and suffix_of(name) not in _SUFFIXES:
        return (
            "; if it is a data set on the Hub, this version imports it after "
            f"`hf download {name.partition('@')[0]} --repo-type dataset --local-dir FOLDER`"
        )
    return ""
