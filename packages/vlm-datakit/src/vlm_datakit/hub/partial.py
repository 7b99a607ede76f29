"""A file that is half here: its bytes at their places, and a note of the parts that are whole.

Both lie beside the place in the cache where the file will be. A part is noted when its bytes are
on the disk, so that neither a kill nor a power cut leaves a note of what is not there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

PART_BYTES = 1024 * 1024
_READ_BYTES = 1024 * 1024
_MISSING, _WHOLE = b".", b"x"


class Partial:
    """The parts of a file, of which some are here.

    Args:
        path: Where the file will be.
        size: In bytes.

    Raises:
        OSError: if the disk fails, here and below.
    """

    def __init__(self, path: Path, size: int) -> None:
        self.path, self._target, self.size = _beside(path, "incomplete"), path, size
        self._notes = _beside(path, "incomplete.parts")
        self._head = b"%d of %d\n" % (PART_BYTES, size)
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
        noted = self._noted()
        if noted is None:
            self.discard()
            with self.path.open("wb") as stream:
                stream.truncate(self.size)
            noted = _MISSING * self.count
            self._notes.write_bytes(self._head + noted)
        return [part for part in range(self.count) if noted[part : part + 1] != _WHOLE]

    def note(self, part: int, descriptor: int) -> None:
        """Note that a part is whole; its bytes were written through this descriptor."""
        os.fsync(descriptor)
        with self._notes.open("r+b") as notes:
            notes.seek(len(self._head) + part)
            notes.write(_WHOLE)

    def read(self, part: int) -> Iterator[bytes]:
        """Yield the bytes of a part."""
        at, end = self.span(part)
        with self.path.open("rb", buffering=0) as stream:
            stream.seek(at)
            while at < end and (data := stream.read(min(_READ_BYTES, end - at))):
                at += len(data)
                yield data

    def settle(self) -> None:
        """Put the file, which is whole, where it belongs."""
        self.path.replace(self._target)
        self._notes.unlink(missing_ok=True)

    def discard(self) -> None:
        """Delete what is here."""
        self._notes.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def _noted(self) -> bytes | None:
        """Return what is noted of each part; None if it is no note of this file."""
        try:
            head, notes = self._notes.read_bytes().split(b"\n", 1)
            is_ours = head + b"\n" == self._head and self.path.stat().st_size == self.size
        except (FileNotFoundError, ValueError):
            return None
        return notes if is_ours and len(notes) == self.count else None


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(f"{path.name}.vlm-datakit.{ending}")
