"""Files of the Hub on this disk: downloaded by huggingface_hub, and held to what the Hub stated.

They lie in its cache, which other tools share; whole files are never fetched again. What was
held to its digest is noted beside the cache, so that it is not read once more for each slice.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from vlm_datakit.errors import RemoteError, SourceError
from vlm_datakit.hub.names import Pinned
from vlm_datakit.hub.trouble import speaking_of, token, tried

#: Hears of a file how many bytes of how many have come.
Told = Callable[[str, int, int], object]
_PIECE_BYTES = 1024 * 1024
_TRIES = 2


def cached(file: Pinned, size: int, digest: str) -> Path | None:
    """Return where a file lies in the cache, whole and as the Hub stated it; None if it does not.

    Raises:
        OSError: if the disk fails.
    """
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(file.repo, file.path, revision=file.commit, repo_type="dataset")
    if not isinstance(found, str):
        return None
    path = Path(found)
    if _is_noted(path, digest):
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
        told: Hears how far it is, from one thread.

    Raises:
        RemoteError: if the Hub does not answer, or what comes is not what it stated, twice.
        SourceError: if the file cannot be had.
        OutputError: if the disk of the cache is full.
    """
    from huggingface_hub import hf_hub_download

    for _ in range(_TRIES):
        if (path := cached(file, size, digest)) is not None:
            return path
        if told is not None:
            told(file.path, 0, size)
        with speaking_of(file.repo, f"::{file.path}"):
            ask = partial(hf_hub_download, file.repo, file.path, repo_type="dataset")
            teller = _teller(file.path, size, told)
            tried(partial(ask, revision=file.commit, token=token(), tqdm_class=teller))
    if (path := cached(file, size, digest)) is not None:
        return path
    raise RemoteError(
        f"{file.repo}::{file.path}: what came is not what the Hub states by its {digest[:6]} sum, "
        "twice; run again",
        retryable=True,
    )


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


def _is_noted(path: Path, digest: str) -> bool:
    try:
        return _notes(digest).read_text() == _identity(path)
    except OSError:
        return False


def _note(path: Path, digest: str) -> None:
    note = _notes(digest)
    temporary = note.with_name(f"{note.name}.{os.getpid()}")
    with suppress(OSError):  # a cache that may not be written to: it is held to its digest again
        note.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(_identity(path))
        temporary.replace(note)


def _forget(path: Path) -> None:
    """Delete a file of the cache, and what its name there points to."""
    for place in (path.resolve(), path):
        place.unlink(missing_ok=True)
