"""A folder as a source: which files in it hold the rows of a split, or that it holds pictures.

Where two readings are possible none is chosen: a person names the file.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vlm_datakit.errors import SourceError
from vlm_datakit.hub.card import FILE_NAME, card_of
from vlm_datakit.hub.layout import FALL_BACK, ROW_SUFFIX, check_one_kind, chosen, layout_of, meant
from vlm_datakit.sources.image_folder import PICTURE_SUFFIXES

_LINES = r"(jsonl|ndjson)"
#: Files that say which pictures a folder has, and what they show.
DESCRIPTIONS = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
_DESCRIPTIONS = (*DESCRIPTIONS, "labels.json")
_SPLITS = frozenset({"dev", "test", "train", "val", "valid", "validation"})
_OF_A_COPY = ".gitattributes"  # each repository on the Hub has one
_SHOWN = 5


class Found(NamedTuple):
    """A file of rows, or a folder of pictures; ``role`` says what it is known to be.

    Of a file on the Hub, what the Hub states of it.
    """

    path: str
    role: str | None = None
    size: int | None = None
    digest: str | None = None


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
    named = re.compile(rf"{re.escape(split)}([-_.].*?)?\.{ROW_SUFFIX}")
    found = [name for name in sorted(names) if named.fullmatch(name)]
    check_one_kind(found, split)
    return found


def splits_in(
    folder: Path, split: str, config: str | None, *, is_named: bool = False
) -> dict[str, list[Found]]:
    """Return what holds the rows of a split, or of ``all``, by split.

    The card of a folder that is laid out as a repository on the Hub says it, if it does. With
    ``is_named`` the split was named for this folder alone, as in ``val=photos/val``: its pictures
    are that split without a folder of that name.

    Raises:
        SourceError: as `found_in`, and for a config that is not there.
    """
    names = [path.name for path in folder.iterdir()]
    card = _card(folder) if FILE_NAME in names and "manifest.json" not in names else {}
    if config is None and split != "all" and not card.get("configs"):
        return {split: found_in(folder, split, is_named=is_named)}
    check_no_import(str(folder), names)
    found = chosen(layout_of(_paths(folder), card), config, split, str(folder))
    return {name: [Found(str(folder / path)) for path in paths] for name, paths in found.items()}


def found_in(folder: Path, split: str, *, is_named: bool = False) -> list[Found]:
    """Return what holds the rows of a split in a folder of this machine; see `splits_in`.

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
        is_all = is_named and not _row_files(names)
        found = _saved(folder, split) or _pictures(folder, split, is_all=is_all)
        found = found or _by_names(folder, split)
    if not found:
        raise _nothing_in(str(folder), names, split)
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


def _nothing_in(folder: str, names: Sequence[str], split: str) -> SourceError:
    """Return the error for a folder without a split."""
    cure = FALL_BACK if names and not _row_files(names) else ""
    what = f"{nothing_of(split)}, no pictures, and not a finished import"
    return SourceError(f"{folder}: {what}; {listed(names)}{cure}")


def nothing_of(split: str) -> str:
    """Say that a folder has no file of a split."""
    return f"no {split}.jsonl, {split}-*.parquet or the like in this folder"


def listed(names: Sequence[str]) -> str:
    """Say which files of rows are among the names of a folder."""
    return f"files of rows in it: {', '.join(_row_files(names)[:_SHOWN]) or 'none'}"


def _row_files(names: Sequence[str]) -> list[str]:
    """Return the files of rows by their names; those that describe pictures are none."""
    found = [name for name in names if re.fullmatch(rf"[^.].*\.{ROW_SUFFIX}", name)]
    return sorted({*found}.difference(_DESCRIPTIONS))


def _card(folder: Path) -> Mapping[str, Any]:
    path = folder / FILE_NAME
    return card_of(path.read_text(encoding="utf-8", errors="replace"), str(path))


def _paths(folder: Path) -> list[str]:
    """Return the paths of all files in a folder; hidden folders are left out."""
    paths = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths += [Path(place, name).relative_to(folder).as_posix() for name in names]
    return paths


def _by_names(folder: Path, split: str) -> list[Found]:
    """Return the files that their names, or those of their folders, put into a split.

    Names that say nothing are taken for train only in a copy of a repository.
    """
    layout = layout_of(_paths(folder), {}, unnamed=(folder / _OF_A_COPY).exists())
    if not meant(layout, split):
        return []
    (paths,) = chosen(layout, None, split, str(folder)).values()
    return [Found(str(folder / path)) for path in paths]


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


def _pictures(folder: Path, split: str, *, is_all: bool) -> list[Found]:
    base = folder / split
    if not base.is_dir():
        has_splits = any((folder / name).is_dir() for name in _SPLITS)
        if has_splits or not (is_all or split == "train"):
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
