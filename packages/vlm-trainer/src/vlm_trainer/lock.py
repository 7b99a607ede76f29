"""One run at a time in an output folder, kept by the kernel: a dead run holds nothing.

Workers inherit the lock and notice only after some seconds that their run was killed; hence
a wait where the run itself is gone. Between machines it holds as far as their file system does.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vlm_trainer.errors import OutputError

LOCK = ".lock"
WAIT_S, EVERY_S = 20.0, 0.1


@contextmanager
def only_run(folder: Path) -> Iterator[None]:
    """Hold the lock of an output folder, which is made if need be.

    Raises:
        OutputError: Another run holds it, named by its process id; or nothing can be
            written or locked there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK).open("a+", encoding="ascii")
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror})") from error
    with file:
        end = time.monotonic() + WAIT_S
        while not _locked(file.fileno(), folder):
            holder = _holder(folder)
            if _lives(holder) or time.monotonic() > end:
                raise OutputError(
                    f"{folder}: another run (process {holder}) trains here; wait for it, stop it, "
                    "or choose another --output-dir"
                )
            time.sleep(EVERY_S)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _locked(descriptor: int, folder: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise OutputError(f"{folder}: no file can be locked here ({error.strerror})") from error
    return True


def _holder(folder: Path) -> int:
    try:
        return int((folder / LOCK).read_text(encoding="ascii"))
    except ValueError:  # just being written
        return 0


def _lives(process: int) -> bool:
    if not process:
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True
