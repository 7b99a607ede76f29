"""A file of the Hub read while its parts come.

What is read is not yet held to the digest that the Hub states. So a stamp says which parts it was:
what they come to is known when the last one is here. Who fetches them may be any process; who
holds the lock of the file, does.
"""

from __future__ import annotations

import io
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

from vlm_datakit.errors import RemoteError
from vlm_datakit.hub.download import cached, downloaded, has_come, is_under_way, parts_of
from vlm_datakit.hub.names import Pinned
from vlm_datakit.hub.partial import Partial

_LOOKS_EVERY_S = 0.05
_PATIENCE_S = 0.5  # before it is asked whether anybody fetches it
_BUFFER_BYTES = 1024 * 1024


class ReplacedError(RemoteError):
    """What was read of a file is not what the Hub states; by now all of it came anew, and is."""


class Stated(NamedTuple):
    """A file, and what the Hub states of it."""

    file: Pinned
    size: int
    digest: str

    def mark_now(self) -> str | None:
        """Return the mark of the parts that are here; None if there are none."""
        place = parts_of(*self)
        noted = place[0].noted() if place else None
        return f"{self.digest} {noted.stamp}" if noted else None


def is_held(mark: str) -> bool:
    """Whether the parts of a mark, a digest and a stamp, are known to have come to that digest."""
    digest, _, stamp = mark.partition(" ")
    return has_come(digest, stamp)


class Arriving(io.RawIOBase):
    """A file whose parts come; each read waits for what it needs.

    If nobody fetches them, the reader does, and then all of them.

    Args:
        stated: What to read.
        parts: Where they are.
        lock: Is held by who fetches them.

    Raises:
        FileNotFoundError: if nothing is here.
        ReplacedError: from reading, if what came first was not what the Hub states.
        RemoteError, SourceError, OutputError: from reading, as
            `vlm_datakit.hub.download.downloaded`.
    """

    def __init__(self, stated: Stated, parts: Partial, lock: Path) -> None:
        self._stated, self._parts, self._lock = stated, parts, lock
        self._at = self._reach = 0
        self._stamp = self._stamp_now()
        self._stream = parts.path.open("rb", buffering=0)
        if self._stamp_now() != self._stamp:  # what was opened may be of another stamp
            self._stream.close()
            raise FileNotFoundError(parts.path)

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a byte; nothing is waited for."""
        size = self._stated.size
        self._at = offset + {os.SEEK_CUR: self._at, os.SEEK_END: size}.get(whence, 0)
        self._reach = 0
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer with what is here, once the first byte is."""
        if not len(buffer) or self._at >= self._stated.size:
            return 0
        if self._at >= self._reach:
            self._reach = self._awaited(self._at)
        end = min(self._at + len(buffer), self._reach, self._stated.size)
        view = memoryview(buffer)[: end - self._at]
        count = os.preadv(self._stream.fileno(), [view], self._at)
        self._at += count
        return count

    def close(self) -> None:
        """Let go of the parts; whoever fetches them goes on."""
        with suppress(AttributeError):  # nothing was there to open
            self._stream.close()
        super().close()

    @property
    def mark(self) -> str:
        """Return what names the parts that are read; see `is_held`."""
        return f"{self._stated.digest} {self._stamp}"

    def hold(self) -> None:
        """Wait until all is here, and hold what was read to what the Hub states.

        Raises:
            ReplacedError: if it is something else.
            RemoteError, SourceError, OutputError: if it does not come.
        """
        downloaded(*self._stated)
        if not is_held(self.mark):
            path = f"{self._stated.file.repo}::{self._stated.file.path}"
            words = f"{path}: what came first is not what the Hub states"
            raise ReplacedError(words, retryable=True)

    def _awaited(self, at: int) -> int:
        """Wait for a byte; return up to where all is here from there on."""
        patience = _Patience(self._lock)
        while True:
            noted = self._parts.noted()
            if noted is not None and noted.stamp == self._stamp:
                if (reach := noted.reach(at)) > at:
                    return reach
            elif is_held(self.mark):
                return self._stated.size
            else:
                self.hold()
            if patience.is_over():
                self.hold()

    def _stamp_now(self) -> str:
        noted = self._parts.noted()
        if noted is None:
            raise FileNotFoundError(self._parts.path)
        return noted.stamp


class _Patience:
    """Sleeps a little, and asks every now and then whether anybody fetches a file."""

    def __init__(self, lock: Path) -> None:
        self._lock, self._asks = lock, time.monotonic() + _PATIENCE_S

    def is_over(self) -> bool:
        """Sleep; return whether nobody fetches it."""
        time.sleep(_LOOKS_EVERY_S)
        if time.monotonic() < self._asks:
            return False
        self._asks = time.monotonic() + _PATIENCE_S
        return not is_under_way(self._lock)


def open_arriving(stated: Stated) -> IO[bytes]:
    """Open a file that comes, as soon as its first parts do, or the whole if it is here.

    Its ``raw`` is `Arriving` then. What does not come in parts is downloaded first.

    Raises:
        RemoteError, SourceError, OutputError: as `vlm_datakit.hub.download.downloaded`.
    """
    place = parts_of(*stated)
    if place is None:
        return downloaded(*stated).open("rb", buffering=_BUFFER_BYTES)
    patience = _Patience(place[1])
    while (path := cached(*stated)) is None:
        with suppress(FileNotFoundError):
            return io.BufferedReader(Arriving(stated, *place), _BUFFER_BYTES)
        if patience.is_over():
            downloaded(*stated)
    return path.open("rb", buffering=_BUFFER_BYTES)


def arriving_of(stream: object) -> Arriving | None:
    """Return what a stream reads, if that still comes or was coming when it was opened."""
    raw = getattr(stream, "raw", None)
    return raw if isinstance(raw, Arriving) else None
