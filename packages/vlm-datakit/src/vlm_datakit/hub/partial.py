"""A file that is half here: its bytes at their places, and a note of the parts that are whole.

Both lie beside the place in the cache where the file will be. A part is noted when its bytes are
on the disk, so that neither a kill nor a power cut leaves a note of what is not there. The notes
begin with a stamp: what is discarded and begun anew gets another one.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

PART_BYTES = 1024 * 1024
_READ_BYTES = 1024 * 1024
_MISSING, _WHOLE = b".", b"x"


class Noted(NamedTuple):
    """What is noted of a file that is half here: its stamp, and which parts are whole."""

    stamp: str
    parts: bytes

    def reach(self, at: int) -> int:
        """Return up to which byte all is here from a byte on, which may not be there itself."""
        first = at // PART_BYTES
        missing = self.parts.find(_MISSING, first)
        return max(at, (len(self.parts) if missing < 0 else missing) * PART_BYTES)


class Partial:
    """The parts of a file, of which some are here.

    Args:
        path: Where the file will be.
        size: In bytes.

    Raises:
        OSError: if the disk fails, here and below.
    """

    def __init__(self, path: Path, size: int) -> None:
        self.path, self.target, self.size = _beside(path, "incomplete"), path, size
        self._notes = _beside(path, "incomplete.parts")
        self._kind, self._head_bytes = b"%d of %d " % (PART_BYTES, size), 0
        self.count = -(-size // PART_BYTES)

    def whole(self, start: int, end: int) -> Iterator[int]:
        """Yield the parts that end between two places: what was written up to the second."""
        for part in range(start // PART_BYTES, self.count):
            if self.span(part)[1] > end:
                return
            yield part

    def span(self, part: int) -> tuple[int, int]:
        """Return where a part begins, and where it ends."""
        return part * PART_BYTES, min((part + 1) * PART_BYTES, self.size)

    def begin(self) -> list[int]:
        """Return the parts that are missing; what cannot be gone on with is made anew."""
        noted = self.noted()
        if noted is None:
            self.discard()
            with self.path.open("wb") as stream:
                stream.truncate(self.size)
            noted = Noted(secrets.token_hex(8), _MISSING * self.count)
            self._notes.write_bytes(self._kind + noted.stamp.encode() + b"\n" + noted.parts)
        self._head_bytes = len(self._kind) + len(noted.stamp) + 1
        return [part for part, mark in enumerate(noted.parts) if mark != _WHOLE[0]]

    def noted(self) -> Noted | None:
        """Return what is noted, by whatever process; None if it is no note of this file."""
        try:
            head, parts = self._notes.read_bytes().split(b"\n", 1)
            is_ours = head.startswith(self._kind) and self.path.stat().st_size == self.size
        except (FileNotFoundError, ValueError):
            return None
        stamp = head[len(self._kind) :].decode("ascii", "replace")
        return Noted(stamp, parts) if is_ours and len(parts) == self.count else None

    def note(self, part: int, descriptor: int) -> None:
        """Note that a part is whole; its bytes were written through this descriptor."""
        os.fsync(descriptor)
        with self._notes.open("r+b") as notes:
            notes.seek(self._head_bytes + part)
            notes.write(_WHOLE)

    def read(self, part: int) -> Iterator[bytes]:
        """Yield the bytes of a part."""
        at, end = self.span(part)
        with self.path.open("rb", buffering=0) as stream:
            stream.seek(at)
            while at < end and (data := stream.read(min(_READ_BYTES, end - at))):
                at += len(data)
                yield data

    def look(self, at: int, count: int) -> bytes:
        """Return so many bytes from a place on if all are here, in parts or not; else none."""
        noted = self.noted()
        if noted is None:
            return _read(self.target, at, count)
        if noted.reach(at) < min(at + count, self.size):
            return b""
        data, still = _read(self.path, at, count), self.noted()
        if still is not None and still.stamp == noted.stamp:
            return data
        return _read(self.target, at, count)  # settled meanwhile, or begun anew

    def settle(self) -> None:
        """Put the file, which is whole, where it belongs."""
        self.path.replace(self.target)
        self._notes.unlink(missing_ok=True)

    def discard(self) -> None:
        """Delete what is here."""
        self._notes.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(f"{path.name}.vlm-datakit.{ending}")


def _read(path: Path, at: int, count: int) -> bytes:
    """Return bytes of a file; none if it is not there."""
    with suppress(FileNotFoundError), path.open("rb", buffering=0) as stream:
        return os.pread(stream.fileno(), count, at)
    return b""
