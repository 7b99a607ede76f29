"""Names given on a command line: which files they are, and which split each feeds."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from vlm_datakit.errors import SourceError, UsageError
from vlm_datakit.images.magic import HEAD_BYTES, media_type
from vlm_datakit.plan import SourceFile

PIPE = "-"
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
            or ``-``.
        split: For names without ``SPLIT=``; None means train.

    Raises:
        UsageError: for a split name that datasets would refuse, or the same file twice.
        SourceError: for a missing, empty or binary file, or a folder without such a split.
    """
    pairs = [pair for name in names for pair in _expanded(name, split or "train")]
    if len({os.path.realpath(path) for _, path in pairs}) < len(pairs):
        raise UsageError("the same file is named twice")
    parent = _common_parent([path for _, path in pairs if path != PIPE])
    return tuple(_source_file(name, path, parent) for name, path in pairs)


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
    if name != PIPE and Path(name).is_dir():
        return [(checked, str(path)) for path in _files_of_split(Path(name), split)]
    return [(checked, name)]


def _files_of_split(folder: Path, split: str) -> list[Path]:
    named = re.compile(rf"{re.escape(split)}([-_.].*)?\.(jsonl|ndjson)")
    found = sorted(path for path in folder.iterdir() if named.fullmatch(path.name))
    if not found and (folder / "manifest.json").exists():
        raise SourceError(f"{folder}: a finished import already; convert and validate read it")
    if not found:
        there = ", ".join(sorted(path.name for path in folder.glob("*.jsonl"))[:5]) or "none"
        raise SourceError(
            f"{folder}: no {split}.jsonl or {split}-*.jsonl in this folder; "
            f"JSON lines in it: {there}"
        )
    return found


def _common_parent(paths: Sequence[str]) -> Path:
    parents = [os.path.realpath(Path(path).parent) for path in paths]
    return Path(os.path.commonpath(parents)) if parents else Path()


def _source_file(split: str, path: str, parent: Path) -> SourceFile:
    if path == PIPE:
        return SourceFile(split, "stdin", PIPE, None, None)
    size, mtime = _checked(Path(path))
    real = Path(os.path.realpath(Path(path).parent)) / Path(path).name
    return SourceFile(split, real.relative_to(parent).as_posix(), str(real), size, mtime)


def _checked(path: Path) -> tuple[int, int]:
    if not path.exists():
        raise SourceError(f"{path}: no such file{_hub_hint(path)}")
    if not path.is_file():
        raise SourceError(f"{path}: not a regular file")
    try:
        with path.open("rb") as stream:
            head, status = stream.read(512), os.fstat(stream.fileno())
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error
    if not head:
        raise SourceError(f"{path}: the file is empty")
    if (kind := other_kind(head)) is not None:
        raise SourceError(f"{path}: not JSON lines but {kind}")
    return status.st_size, status.st_mtime_ns


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
