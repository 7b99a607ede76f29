"""A folder as a source: which files in it hold the rows of a split, or that it holds pictures.

Where two readings are possible none is chosen: a person names the file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from vlm_datakit.errors import SourceError
from vlm_datakit.sources.image_folder import PICTURE_SUFFIXES

_LINES = r"(jsonl|ndjson)"
_FILES = r"(?P<suffix>(jsonl|ndjson|json|csv|tsv|tar)(\.gz|\.zst|\.zstd)?|tgz|parquet|arrow|zip)"
_DESCRIPTIONS = ("metadata.jsonl", "metadata.csv", "metadata.parquet", "labels.json")
_SPLITS = frozenset({"dev", "test", "train", "val", "valid", "validation"})
_SHOWN = 5


class Found(NamedTuple):
    """A file of rows, or a folder of pictures; ``role`` says what it is known to be."""

    path: str
    role: str | None = None


def files_of_split(names: Sequence[str], split: str) -> list[str]:
    """Return the files of a split among the names of a folder, sorted.

    ``SPLIT.jsonl``, ``SPLIT-*.parquet`` and the like; those of JSON lines may be told apart by
    their suffix, all others must have one.

    Raises:
        SourceError: if files of several kinds could be meant.

    Example:
        >>> files_of_split(["train-00001-of-00002.parquet", "training.parquet"], "train")
        ['train-00001-of-00002.parquet']
    """
    named = re.compile(rf"{re.escape(split)}([-_.].*?)?\.{_FILES}")
    found = {name: match["suffix"] for name in sorted(names) if (match := named.fullmatch(name))}
    kinds = {re.sub("ndjson", "jsonl", suffix) for suffix in found.values()}
    if len(kinds) > 1:
        one, other = [next(n for n in found if n.endswith(kind)) for kind in sorted(kinds)[:2]]
        raise SourceError(f"{one} or {other}: both could be the split {split}; name one of them")
    return [*found]


def found_in(folder: Path, split: str) -> list[Found]:
    """Return what holds the rows of a split in a folder of this machine.

    Raises:
        SourceError: if nothing does, several things might, or it is a finished import.
    """
    names = [path.name for path in folder.iterdir()]
    lines = re.compile(rf"{re.escape(split)}([-_.].*)?\.{_LINES}")
    if not any(map(lines.fullmatch, names)):
        check_no_import(str(folder), names)
    found = [Found(str(folder / name)) for name in files_of_split(names, split)]
    below = folder / "data"
    inner = files_of_split([path.name for path in below.iterdir()], split) if below.is_dir() else []
    if found and inner:
        raise SourceError(
            f"{folder}: {Path(found[0].path).name} or data/{inner[0]}: both could be the split "
            f"{split}; name one of them"
        )
    found = found or [Found(str(below / name)) for name in inner]
    if not found:
        found = _saved(folder, split) or _pictures(folder, split)
    if not found:
        raise nothing_in(str(folder), names, split)
    return found


def check_no_import(folder: str, names: Sequence[str], where: str = "") -> None:
    """Hold a folder to be no finished import.

    Raises:
        SourceError: if it is one.
    """
    if "manifest.json" in names:
        raise SourceError(
            f"{folder}: a finished import already; convert and validate read it{where}"
        )


def nothing_in(folder: str, names: Sequence[str], split: str) -> SourceError:
    """Return the error for a folder without a split."""
    files = sorted(name for name in names if re.fullmatch(rf"[^.].*\.{_FILES}", name))
    return SourceError(
        f"{folder}: no {split}.jsonl, {split}-*.parquet or the like in this folder, no pictures, "
        f"and not a finished import; files of rows in it: {', '.join(files[:_SHOWN]) or 'none'}"
    )


def _saved(folder: Path, split: str) -> list[Found]:
    """Return the files of a data set that ``datasets`` saved, which its state lists in order."""
    for place in (folder / split, folder):
        try:
            state = json.loads((place / "state.json").read_bytes())
            names = [file["filename"] for file in state["_data_files"]]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if state.get("_split", split) in (split, None) or place != folder:
            return [Found(str(place / Path(name).name)) for name in names]
    return []


def _pictures(folder: Path, split: str) -> list[Found]:
    base = folder / split
    if not base.is_dir():
        has_splits = any((folder / name).is_dir() for name in _SPLITS)
        if split != "train" or has_splits:
            return []
        base = folder
    described = [name for name in _DESCRIPTIONS if (base / name).is_file()]
    if len(described) > 1:
        raise SourceError(f"{base}: {described[0]} or {described[1]}: name one of them")
    if described:
        role = "labels" if described[0] == "labels.json" else "metadata"
        return [Found(str(base / described[0]), role)]
    has_picture = any(
        path.name.lower().endswith(PICTURE_SUFFIXES) and not path.name.startswith(".")
        for pattern in ("*", "*/*", "*/*/*")
        for path in base.glob(pattern)
    )
    return [Found(str(base), "image-folder")] if has_picture else []
