"""Files of the Hub on this disk, held to what the Hub stated.

They lie in the cache of huggingface_hub, which other tools share; what is there is never fetched
again. Files of the large storage come in parts, others by huggingface_hub. What was held to its
digest is noted beside the cache, so that it is not read once more for each slice.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from vlm_datakit.errors import RemoteError, SourceError
from vlm_datakit.hub.lanes import lanes, turns
from vlm_datakit.hub.names import Pinned
from vlm_datakit.hub.partial import Partial
from vlm_datakit.hub.ranges import NoRangesError, fetch
from vlm_datakit.hub.trouble import speaking_of, token, tried

#: Hears of a file how many bytes of how many have come.
Told = Callable[[str, int, int], object]
_PIECE_BYTES = 1024 * 1024
_TRIES = 2
_INSTANT_S = 0.01
_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")


def cached(file: Pinned, size: int, digest: str) -> Path | None:
    """Return where a file lies in the cache, whole and as the Hub stated it; None if it does not.

    Raises:
        OSError: if the disk fails.
    """
    path = _named(file)
    if path is None or _is_noted(path, digest):
        return path
    if path.stat().st_size == size and digest_of(path, digest) == digest:
        _note(path, digest)
        return path
    _forget(path)
    return None


def downloaded(file: Pinned, size: int, digest: str, told: Told | None = None) -> Path:
    """Return where a file lies in the cache; downloaded if need be.

    Args:
        file: What to download.
        size: In bytes, as the Hub stated it.
        digest: As the Hub stated it, see `vlm_datakit.hub.repository.HubFile`.
        told: Hears how far it is, from one thread; what it raises ends the download.

    Raises:
        RemoteError: if the Hub does not answer, or what comes is not what it stated, twice.
        SourceError: if the file cannot be had.
        OutputError: if the disk of the cache is full.
    """
    for _ in range(_TRIES):
        if (path := cached(file, size, digest)) is not None:
            return path
        with speaking_of(file.repo, f"::{file.path}"):
            place = parts_of(file, size, digest)
            if place is None:
                _by_library(file, size, told)
            else:
                _in_parts(file, *place, digest, told)
    if (path := cached(file, size, digest)) is not None:
        return path
    raise RemoteError(
        f"{file.repo}::{file.path}: what came is not what the Hub states by its {digest[:6]} sum, "
        "twice; run again",
        retryable=True,
    )


def parts_of(file: Pinned, size: int, digest: str) -> tuple[Partial, Path] | None:
    """Return where the parts of a file stand, and the lock that who fetches them holds.

    None: it does not come in parts.
    """
    from huggingface_hub import constants

    if not _SHA256.fullmatch(digest) or ".." in file.path.split("/"):
        return None
    # Source: the layout of its cache, https://huggingface.co/docs/huggingface_hub/guides/manage-cache
    cache, folder = Path(constants.HF_HUB_CACHE), _folder(file)
    etag = digest.partition(":")[2]
    blob = cache / folder / "blobs" / etag
    return Partial(blob, size), cache / ".locks" / folder / f"{etag}.lock"


def is_under_way(lock: Path) -> bool:
    """Whether somebody holds the lock of a file, and so fetches its parts."""
    import huggingface_hub.utils

    utils: Any = huggingface_hub.utils  # its stubs name no function as public
    try:
        with utils.WeakFileLock(lock, timeout=_INSTANT_S):
            return False
    except TimeoutError:
        return True
    except OSError:  # no folder for it yet
        return False


def has_come(digest: str, stamp: str) -> bool:
    """Whether the parts that had this stamp came to the file that the Hub stated."""
    return stamp in _noted(digest)[1:]


def _by_library(file: Pinned, size: int, told: Told | None = None) -> None:
    from huggingface_hub import hf_hub_download

    if told is not None:
        told(file.path, 0, size)
    ask = partial(hf_hub_download, file.repo, file.path, repo_type="dataset")
    teller = _teller(file.path, size, told)
    with lanes.taken(next(turns)):
        tried(partial(ask, revision=file.commit, token=token(), tqdm_class=teller))


def _in_parts(file: Pinned, parts: Partial, lock: Path, digest: str, told: Told | None) -> None:
    """Download a file of the large storage to its place in the cache, unless it is there.

    What comes otherwise than the Hub stated is deleted.
    """
    import huggingface_hub.utils

    utils: Any = huggingface_hub.utils  # its stubs name no function as public
    blob = parts.target
    for parent in (blob.parent, lock.parent):
        parent.mkdir(parents=True, exist_ok=True)
    with utils.WeakFileLock(lock):
        try:
            if not blob.exists() and not _come(file, parts, digest, told):
                parts.discard()
                return
        except NoRangesError:
            parts.discard()
    if blob.exists():
        _name(blob, blob.parents[1] / "snapshots" / file.commit / file.path)
    if _named(file) is None:  # no ranges, or no links on this disk
        _by_library(file, parts.size, told)


def _come(file: Pinned, parts: Partial, digest: str, told: Told | None) -> bool:
    """Fetch what is missing of a file; return whether it is what the Hub stated, and in place."""

    def hear(done: int) -> None:
        if told is not None:
            told(file.path, done, parts.size)

    if f"sha256:{fetch(file, parts, hear)}" != digest:
        return False
    noted = parts.noted()
    _note(parts.path, digest, noted.stamp if noted else "")
    parts.settle()
    return True


def _folder(file: Pinned) -> str:
    return f"datasets--{file.repo.replace('/', '--')}"


def _named(file: Pinned) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(file.repo, file.path, revision=file.commit, repo_type="dataset")
    return Path(found) if isinstance(found, str) else None


def _name(blob: Path, name: Path) -> None:
    """Give a file of the cache its name at a commit, as huggingface_hub does."""
    with suppress(OSError):
        name.parent.mkdir(parents=True, exist_ok=True)
        name.symlink_to(os.path.relpath(blob, name.parent))


def digest_of(path: Path, like: str) -> str:
    """Return the digest of a file, of the kind that another one is.

    Raises:
        SourceError: if that is of no known kind.
        OSError: if it cannot be read.
    """
    kind = like.partition(":")[0]
    if kind not in ("git", "sha256"):
        raise SourceError(f"{path.name}: a digest of no known kind")
    sums = hashlib.sha256() if kind == "sha256" else hashlib.sha1(usedforsecurity=False)
    with path.open("rb") as stream:
        if kind == "git":
            sums.update(f"blob {path.stat().st_size}\0".encode())
        while piece := stream.read(_PIECE_BYTES):
            sums.update(piece)
    return f"{kind}:{sums.hexdigest()}"


def _teller(path: str, size: int, told: Told | None) -> Any:
    """Return a class that takes the place of huggingface_hub's bars, and draws nothing."""

    class Teller:
        """Counts what comes."""

        def __init__(self, *_: Any, **given: Any) -> None:
            self.come = int(given.get("initial") or 0)

        def __enter__(self) -> Teller:
            return self

        def __exit__(self, *_: object) -> None:
            return None

        def close(self) -> None:
            """Do nothing."""

        def update(self, n: float | None = 1) -> None:
            """Count so many bytes more."""
            self.come += int(n or 0)
            if told is not None:
                told(path, min(self.come, size), size)

    return Teller


def _notes(digest: str) -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HOME, "vlm-datakit", "verified", digest.replace(":", "-"))


def _identity(path: Path) -> str:
    status = path.stat()
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ino}"


def _noted(digest: str) -> list[str]:
    """Return which file had a digest, and the stamp of the parts that it came of, if it did."""
    try:
        return _notes(digest).read_text().split("\n")
    except OSError:
        return []


def _is_noted(path: Path, digest: str) -> bool:
    try:
        return _noted(digest)[:1] == [_identity(path)]
    except OSError:
        return False


def _note(path: Path, digest: str, stamp: str = "") -> None:
    note = _notes(digest)
    temporary = note.with_name(f"{note.name}.{os.getpid()}")
    with suppress(OSError):  # a cache that may not be written to: it is held to its digest again
        note.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(f"{_identity(path)}\n{stamp}" if stamp else _identity(path))
        temporary.replace(note)


def _forget(path: Path) -> None:
    """Delete a file of the cache, and what its name there points to."""
    for place in (path.resolve(), path):
        place.unlink(missing_ok=True)
