"""A folder that holds the row groups in use: bounded, and shared by all processes of a machine.

A group is fetched into a ``.part`` whose lock says that somebody is at it; others wait for it and
find it there. The kernel releases the lock of a process that was killed, and what it left goes.
Nothing depends on what is here: a group that is gone is fetched again.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from vlm_trainer.blocks import Block
from vlm_trainer.errors import SourceError

EVERY_S = 0.02


@dataclass(frozen=True, slots=True)
class BlockCache:
    """Where row groups are kept, and how many bytes of them at most.

    Args:
        folder: Made when it is needed.
        capacity: In bytes; a group that is larger is kept alone.
    """

    folder: Path
    capacity: int

    def content(self, block: Block) -> mmap.mmap:
        """Return a row group as it was fetched, now or before.

        Raises:
            SourceError: It cannot be fetched.
            OSError: The folder cannot be written.
        """
        path = self._path(block)
        while True:
            with suppress(FileNotFoundError), path.open("rb") as file:
                os.utime(file.fileno())
                return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self._fetch(block, path)

    def hold(self, block: Block) -> None:
        """Fetch a row group unless it is there.

        Raises:
            SourceError: It cannot be fetched.
            OSError: The folder cannot be written.
        """
        path = self._path(block)
        if not path.exists():
            self._fetch(block, path)

    def drop(self, block: Block) -> None:
        """Forget a row group; whoever reads it goes on to do so."""
        self._path(block).unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, block: Block) -> Path:
        return self.folder / f"{block.key}.block"

    def _fetch(self, block: Block, path: Path) -> None:
        """Fetch a row group, or wait while another does; it may be gone again after."""
        self.folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        with _locked(part) as file:
            if not _is_at(file, part):
                return  # it was fetched while this one waited, or given up
            if path.exists():
                part.unlink()
                return
            try:
                self._reserve(file, block.size)
                _write(file, block)
                with _locked(self.folder / "lock"):  # who counts sees one name of it
                    part.rename(path)
            except BaseException:
                part.unlink(missing_ok=True)
                raise

    def _reserve(self, file: IO[bytes], size: int) -> None:
        """Make a part as large as it will be, once there is room for it."""
        while True:
            with _locked(self.folder / "lock"):
                if self._make_room(size):
                    file.truncate(size)
                    return
            time.sleep(EVERY_S)  # others are fetching; each of them ends

    def _make_room(self, size: int) -> bool:
        found = sorted(_sizes(self.folder))
        held = sum(size for _, size, _ in found)
        for _, bytes_held, path in found:
            if held + size <= self.capacity:
                return True
            if path.suffix == ".block":
                path.unlink(missing_ok=True)
            held -= 0 if path.suffix == ".part" and not _is_cleared(path) else bytes_held
        return held + size <= self.capacity or held == 0


def _sizes(folder: Path) -> Iterator[tuple[int, int, Path]]:
    """Yield time of last use, bytes and path of all that is kept."""
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            found = path.stat()
            if found.st_size:
                yield found.st_mtime_ns, found.st_size, path


def _write(file: IO[bytes], block: Block) -> None:
    content = block.fetch()
    if len(content) != block.size:
        raise SourceError(f"{block.blocks.address}: {len(content):,} bytes of {block.size:,} came")
    file.seek(0)
    file.write(content)
    file.flush()


@contextmanager
def _locked(path: Path) -> Iterator[IO[bytes]]:
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield file
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)  # a fork may hold it open too


def _is_at(file: IO[bytes], path: Path) -> bool:
    try:
        return os.fstat(file.fileno()).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False


def _is_cleared(part: Path) -> bool:
    """Remove a part that nobody is at."""
    try:
        with part.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(file, part):
                part.unlink()
            return True
    except FileNotFoundError:
        return True
    except BlockingIOError:
        return False
