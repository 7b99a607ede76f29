"""The output folder: whose it is, who writes to it, and what state it is in."""

from __future__ import annotations

import fcntl
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any

from vlm_datakit.errors import OutputError
from vlm_datakit.shards.manifest import FILE_NAME, read_manifest, size_of

CARD = "README.md"
PRIVATE = ".vlm"
_OURS = frozenset({CARD, FILE_NAME, "data", "rejects", PRIVATE})
_NOT_OURS_SHOWN = 3
_LOCK_WAIT_S, _LOCK_EVERY_S = 1.0, 0.02


class State(Enum):
    """What an output folder is before a run."""

    NEW = "new"
    UNFINISHED = "unfinished"
    FINISHED = "finished"


def state_of(out: Path) -> State:
    """Tell what a folder is; nothing is touched.

    Raises:
        OutputError: if it is a file, or holds something that is not ours.
    """
    try:
        if out.is_symlink() and not out.exists():
            raise OutputError(f"{out}: a link to nothing")
        if not out.exists():
            return State.NEW
    except OSError as error:  # a name too long, a folder that may not be searched
        raise OutputError(f"{out}: {error.strerror}") from error
    if not out.is_dir():
        raise OutputError(f"{out}: a file stands where the output folder should be")
    names = {path.name for path in out.iterdir()}
    if not names:
        return State.NEW
    if FILE_NAME in names and PRIVATE in names:
        read_manifest(out)
        return State.FINISHED
    if PRIVATE in names:  # whatever stands beside it is not touched
        return State.UNFINISHED
    strange = ", ".join(sorted(names - _OURS or names)[:_NOT_OURS_SHOWN])
    raise OutputError(
        f"{out}: the folder holds something else ({strange}); nothing was touched, "
        "name another with -o"
    )


@contextmanager
def locked(out: Path, *, shared: bool = False) -> Iterator[int]:
    """Hold the folder's lock; the kernel releases it if the process dies.

    Args:
        out: The output folder; made if need be.
        shared: Let others hold the lock as well who say so too.

    Yields:
        The lock's descriptor. Whoever inherits it holds the lock too, as workers do until
        they notice that their parent was killed; hence the short wait before a refusal.

    Raises:
        OutputError: if another run holds it, or the folder cannot be made.
    """
    private = out / PRIVATE
    try:
        private.mkdir(parents=True, exist_ok=True)
        stream = (private / "lock").open("a+b")  # NFS: a shared lock needs a reader
    except OSError as error:
        raise OutputError(f"{out}: {error.strerror}") from error
    with stream:
        end = time.monotonic() + _LOCK_WAIT_S
        while not _got_lock(out, stream.fileno(), shared=shared):
            if time.monotonic() >= end:
                raise OutputError(f"{out}: another import is writing to this folder")
            time.sleep(_LOCK_EVERY_S)
        yield stream.fileno()


def _got_lock(out: Path, descriptor: int, *, shared: bool) -> bool:
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise OutputError(f"{out}: no file can be locked here: {error.strerror}") from error
    return True


def leave_no_trace(out: Path, *, was_there: bool) -> None:
    """Take back what `locked` made in a folder where nothing else has happened."""
    shutil.rmtree(out / PRIVATE)
    if not was_there:
        out.rmdir()


def changed_files(out: Path, manifest: Mapping[str, Any]) -> list[str]:
    """Name the files of a finished set that are gone or have another size."""
    return [
        file["file"]
        for file in listed_files(manifest)
        if size_of(out / file["file"]) != file["bytes"]
    ]


def listed_files(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return what a manifest says of each file of its set, shards first."""
    shards = [shard for split in manifest["splits"].values() for shard in split["shards"]]
    return [*shards, *manifest["rejects"]["files"]]


def foreign_files(out: Path, manifest: Mapping[str, Any]) -> list[str]:
    """Name what stands in ``data/`` and ``rejects/`` and is not in the manifest.

    A link counts as foreign whatever it is called: only regular files are ours.
    """
    listed = {file["file"] for file in listed_files(manifest)}
    standing = [path for name in ("data", "rejects") for path in sorted((out / name).glob("*"))]
    return [
        path.relative_to(out).as_posix()
        for path in standing
        if path.is_symlink() or not path.is_file() or path.relative_to(out).as_posix() not in listed
    ]
