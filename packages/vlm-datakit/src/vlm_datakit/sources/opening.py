"""Source files opened and identified, wherever they lie: all that reads one goes through here.

What is opened is what the rows stand in: the unpacked bytes of a packed file, and of a folder of
pictures its listing.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO

from vlm_datakit.errors import RemoteError, SourceError, UsageError
from vlm_datakit.hub.arriving import Stated, open_arriving
from vlm_datakit.hub.download import cached, downloaded, parts_of
from vlm_datakit.hub.looks import Looks
from vlm_datakit.hub.names import pinned
from vlm_datakit.plan import MIB, SourceFile
from vlm_datakit.sources.image_folder import listing
from vlm_datakit.sources.jsonl import BUFFER_BYTES
from vlm_datakit.sources.loaded import KIND, Loading
from vlm_datakit.sources.loaded import has_changed as is_another
from vlm_datakit.sources.packed import unpacked
from vlm_datakit.sources.remote import identity_at, open_remote

#: How much is asked for at once: with 20 ms to the first byte and 100 MB/s from there on, a
#: stream gets 80 of them.
PIECE_BYTES = 8 * MIB


def open_source(
    file: SourceFile,
    start: int = 0,
    end: int | None = None,
    *,
    piece_bytes: int = PIECE_BYTES,
    arrives: bool = False,
) -> IO[bytes]:
    """Open a source file at a byte; whoever calls closes it.

    Args:
        file: No pipe.
        start: Where to read from; of a packed file, always its head.
        end: Up to where the caller will read, None: the whole; a remote file gives no more.
        piece_bytes: How much is asked for at once, where that matters: less for a look here
            and there. A local file is read a MiB at a time at most.
        arrives: Whether a file of the Hub may be read while it comes, not yet held to its digest
            (`vlm_datakit.hub.arriving`).

    Raises:
        OSError: if a local file cannot be opened.
        UsageError, SourceError: if a remote file cannot; `SourceError` from reading as well.
        RemoteError: if the Hub fails; its files are downloaded, unless they are only looked at.
    """
    if file.kind == KIND:
        return Loading(file)
    if file.kind == "image-folder":
        stream: IO[bytes] = io.BytesIO(listing(Path(file.path)).lines)
    elif (hub_file := pinned(file.path)) is not None:
        stated = Stated(hub_file, file.size_bytes or 0, file.etag or "")
        stream = open_arriving(stated) if arrives else _open_hub(stated, piece_bytes)
    elif file.is_remote:
        stream = open_remote(file, None if file.packing else end, piece_bytes)
    else:
        stream = _open_local(file.path, piece_bytes)
    if file.packing is not None:
        return unpacked(stream, file.packing, file.name)  # type: ignore[arg-type]  # has read1
    stream.seek(start)
    return stream


def _open_local(path: str | Path, piece_bytes: int) -> IO[bytes]:
    return Path(path).open("rb", buffering=min(piece_bytes, BUFFER_BYTES))


def _open_hub(stated: Stated, piece_bytes: int) -> IO[bytes]:
    path = cached(*stated)
    if path is None and piece_bytes < PIECE_BYTES:
        place = parts_of(*stated)
        return io.BufferedReader(Looks(*stated[:2], place[0] if place else None), piece_bytes)
    return _open_local(path or downloaded(*stated), piece_bytes)


def has_changed(file: SourceFile) -> bool:
    """Whether a file, no pipe, is another than the plan says, by size and time or etag.

    Raises:
        SourceError: if it is gone or out of reach.
    """
    if file.kind == KIND:
        return is_another(file)
    if pinned(file.path) is not None:
        return False  # named by its commit, and held to its digest when it came
    if file.is_remote:
        return identity_at(file.path) != (file.size_bytes, file.etag)
    if file.kind == "image-folder":
        found = listing(Path(file.path))
        return (len(found.lines), found.mtime_ns) != (file.size_bytes, file.mtime_ns)
    try:
        status = Path(file.path).stat()
    except OSError as error:
        raise SourceError(f"{file.name}: {error.strerror}") from error
    return (status.st_size, status.st_mtime_ns) != (file.size_bytes, file.mtime_ns)


def is_in_sight(file: SourceFile) -> bool:
    """Whether a file, no pipe, can be looked at from here."""
    try:
        has_changed(file)
    except (RemoteError, SourceError, UsageError):
        return False
    return True
