"""Checkpoints that are whole or do not count.

The stock trainer writes into `checkpoint-N`, removes old ones before the new one is
whole, and takes the highest N unchecked: killed while saving, its next start dies. Here
`complete.json` is written last, old ones go only after that, and the newest whole one is
taken.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vlm_trainer.chat import read_json
from vlm_trainer.errors import SourceError

MARKER = "complete.json"
NAME = re.compile(r"checkpoint-(\d+)")


def mark_whole(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write the marker of a checkpoint whose files are all there; call it on one process.

    Args:
        folder: ``checkpoint-N``.
        facts: What resuming should know: step, processes, threads, versions.
    """
    files = {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MARKER
    }
    for name in files:
        _sync(folder / name)
    write_atomically(folder / MARKER, {**facts, "files": files})


def newest_whole(output: Path) -> Path | None:
    """Return the newest checkpoint that is whole: marked, and every file of its size."""
    return next((path for path in reversed(_checkpoints(output)) if is_whole(path)), None)


def is_whole(folder: Path) -> bool:
    """Say whether a checkpoint has its marker and all files that the marker lists."""
    try:
        files: Mapping[str, int] = read_json(folder / MARKER).get("files") or {}
    except SourceError:  # cut by a kill on a disk that lost its order
        return False
    return bool(files) and all(
        (folder / name).is_file() and (folder / name).stat().st_size == size
        for name, size in files.items()
    )


def step_of(folder: Path) -> int:
    """Return the step a checkpoint was saved at.

    Example:
        >>> step_of(Path("out/checkpoint-20"))
        20
    """
    found = NAME.fullmatch(folder.name)
    return int(found.group(1)) if found else -1


def steps_ahead(checkpoint: Path, steps: int) -> int:
    """Return how many more steps a checkpoint has than its place among epochs of now tells.

    Args:
        checkpoint: A whole one; those without a word on their epoch are taken as they count.
        steps: Of an epoch now.
    """
    facts = read_json(checkpoint / MARKER)
    if "epoch" not in facts:
        return 0
    return int(facts["step"] - facts["epoch"] * steps - min(facts["step_of_epoch"], steps))


def rotate(output: Path, *, keep: int, best: Path | None = None) -> None:
    """Remove the oldest whole checkpoints, and every older one that is not whole.

    Args:
        output: Folder of the run.
        keep: Whole checkpoints that stay; the newest whole one always does.
        best: A further one that stays.
    """
    whole = [path for path in _checkpoints(output) if is_whole(path)]
    kept = set(whole[-keep:]) | ({best.resolve()} if best else set())
    newest = step_of(whole[-1]) if whole else -1
    for path in _checkpoints(output):
        if path not in kept and path.resolve() not in kept and step_of(path) < newest:
            (path / MARKER).unlink(missing_ok=True)  # no longer whole, whatever happens next
            shutil.rmtree(path)


def write_atomically(path: Path, value: Mapping[str, Any]) -> None:
    """Write JSON under a temporary name, flush it to the disk and rename it into place."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=2, sort_keys=True)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    _sync(path.parent)


def _checkpoints(output: Path) -> list[Path]:
    found = [path for path in output.glob("checkpoint-*") if path.is_dir() and step_of(path) >= 0]
    return sorted(found, key=step_of)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
