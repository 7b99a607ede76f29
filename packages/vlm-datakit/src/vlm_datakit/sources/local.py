"""Names given on a command line: which files they are, and which split each feeds."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from vlm_datakit.errors import SourceError, UsageError
from vlm_datakit.images.magic import HEAD_BYTES, media_type
from vlm_datakit.images.resolver import without_secrets
from vlm_datakit.plan import SourceFile
from vlm_datakit.sources.opening import open_source
from vlm_datakit.sources.remote import identity_at, is_address, names_in, relative_names, trimmed

PIPE = "-"
_HEAD_BYTES = 512
_SPLIT = re.compile(r"\w+(\.\w+)*")  # what datasets accepts as a split name
_SUFFIXES = (".jsonl", ".ndjson", ".json")
_OTHER_KINDS = {
    b"\x1f\x8b": "gzip; unpack it in a pipe: zcat FILE | vlm-datakit ... -",
    b"\x28\xb5\x2f\xfd": "zstd; unpack it in a pipe: zstdcat FILE | vlm-datakit ... -",
    b"PAR1": "Parquet, which this version does not read as a source",
    b"PK\x03\x04": "a zip archive",
    b"%PDF": "a PDF",
}


def source_files(names: Sequence[str], split: str | None) -> tuple[SourceFile, ...]:
    """Return the files that names stand for, in order, each with its split.

    Args:
        names: ``[SPLIT=]FILE``, a folder with ``SPLIT.jsonl`` or ``SPLIT-*.jsonl`` in it,
            the address of either on a file system that fsspec knows, such as
            ``s3://bucket/rows.jsonl``, or ``-``.
        split: For names without ``SPLIT=``; None means train.

    Raises:
        UsageError: for a split name that datasets would refuse, the same file twice, two
            files whose rows would be known alike, or an address that is not read.
        SourceError: for a missing, empty or binary file, or a folder without such a split.
    """
    pairs = [pair for name in names for pair in _expanded(name, split or "train")]
    places = {path if is_address(path) else os.path.realpath(path) for _, path in pairs}
    if len(places) < len(pairs):
        raise UsageError("the same file is named twice")
    known = _known_as([path for _, path in pairs])
    for name, count in Counter(known.values()).items():
        if count > 1:
            raise UsageError(f"the rows of {count} sources would be known as {name}: rename one")
    return tuple(_source_file(split, path, known[path]) for split, path in pairs)


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


def _expanded(name: str, split: str) -> list[tuple[str, str]]:
    given, separator, rest = name.partition("=")
    if separator and _SPLIT.fullmatch(given.replace("-", "_")) and not Path(name).exists():
        split, name = given, rest
    checked = checked_split(split)
    if is_address(name):
        name, there = trimmed(name), names_in(name)
        if there is None:
            return [(checked, name)]
        return [(checked, f"{name}/{file}") for file in _files_of_split(name, there, split)]
    name = _local_path(name)
    if name != PIPE and Path(name).is_dir():
        there = [path.name for path in Path(name).iterdir()]
        found = _files_of_split(str(Path(name)), there, split)
        return [(checked, str(Path(name, file))) for file in found]
    return [(checked, name)]


def _local_path(name: str) -> str:
    """Return the path that a ``file://`` address spells (RFC 8089), any other name as it is."""
    if name[:7].lower() != "file://":
        return name
    parts = urlsplit(name)
    if parts.netloc not in ("", "localhost"):
        raise UsageError("a file:// address of another machine is not read as a source")
    return unquote(parts.path)


def _files_of_split(folder: str, there: Sequence[str], split: str) -> list[str]:
    named = re.compile(rf"{re.escape(split)}([-_.].*)?\.(jsonl|ndjson)")
    found = sorted(name for name in there if named.fullmatch(name))
    if not found and "manifest.json" in there:
        where = " from a disk" if is_address(folder) else ""
        raise SourceError(
            f"{folder}: a finished import already; convert and validate read it{where}"
        )
    if not found:
        lines = ", ".join(sorted(name for name in there if name.endswith(".jsonl"))[:5])
        raise SourceError(
            f"{folder}: no {split}.jsonl or {split}-*.jsonl in this folder; "
            f"JSON lines in it: {lines or 'none'}"
        )
    return found


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


def _source_file(split: str, path: str, name: str) -> SourceFile:
    if path == PIPE:
        return SourceFile(split, name, PIPE, None, None)
    if is_address(path):
        size, etag = identity_at(path)
        file = SourceFile(split, name, path, size, None, etag)
        shown = without_secrets(path)
    else:
        shown = str(Path(path))
        size, mtime = _checked(Path(path))
        file = SourceFile(split, name, str(_real(path)), size, mtime)
    _check_head(file, shown)
    return file


def _checked(path: Path) -> tuple[int, int]:
    """Return size and modification time of a regular file."""
    if not path.exists():
        raise SourceError(f"{path}: no such file{_hub_hint(path)}")
    if not path.is_file():
        raise SourceError(f"{path}: not a regular file")
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _check_head(file: SourceFile, shown: str) -> None:
    """Hold the first bytes of a file to what JSON lines may begin with."""
    try:
        with open_source(file, end=_HEAD_BYTES, piece_bytes=_HEAD_BYTES) as stream:
            head = stream.read(_HEAD_BYTES)
    except OSError as error:
        raise SourceError(f"{shown}: {error.strerror}") from error
    if not head:
        raise SourceError(f"{shown}: the file is empty")
    if (kind := other_kind(head)) is not None:
        raise SourceError(f"{shown}: not JSON lines but {kind}")


def _hub_hint(path: Path) -> str:
    name = str(path)
    if re.fullmatch(r"[\w.-]+/[\w.-]+(@[\w.-]+)?", name) and path.suffix not in _SUFFIXES:
        return (
            "; if it is a data set on the Hub, this version imports it after "
            f"`hf download {name.partition('@')[0]} --repo-type dataset --local-dir FOLDER`"
        )
    return ""


def other_kind(head: bytes) -> str | None:
    """Say what a file is that cannot be JSON lines, by its first bytes; None if it may be.

    Example:
        >>> other_kind(b"PAR1....")
        'Parquet, which this version does not read as a source'
        >>> other_kind(b'{"a": 1}') is None
        True
    """
    for signature, kind in _OTHER_KINDS.items():
        if head.startswith(signature):
            return kind
    if (picture := media_type(head[:HEAD_BYTES])) is not None:
        return f"a picture ({picture})"
    return "a binary file" if b"\0" in head else None
