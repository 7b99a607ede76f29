"""One run at a time in an output folder, kept by the kernel: a dead run holds nothing.

Workers inherit the lock and notice only after some seconds that their run was killed; hence
a wait where the run itself is gone. Between machines it holds as far as their file system does.
A run that ends well takes its lock file away; who has locked a file that is gone tries again.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from vlm_trainer.errors import OutputError

LOCK = ".lock"
WAIT_S, EVERY_S = 20.0, 0.1


@contextmanager
def only_run(folder: Path) -> Iterator[None]:
    """Hold the lock of an output folder, which is made if need be; a clean end leaves none.

    Raises:
        OutputError: Another run holds it, named by its process id; or nothing can be
            written or locked there.
    """
    end = time.monotonic() + WAIT_S
    while (file := _locked_file(folder)) is None:
        holder = _holder(folder)
        if _lives(holder) or time.monotonic() > end:
            raise OutputError(
                f"{folder}: another run (process {holder}) trains here; wait for it, stop it, "
                "or choose another --output-dir"
            )
        time.sleep(EVERY_S)
    with file:
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
        (folder / LOCK).unlink(missing_ok=True)  # still locked


def _locked_file(folder: Path) -> TextIO | None:
    """Open the lock file and lock it; None if another has it locked, or took it away meanwhile."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK).open("a+", encoding="ascii")
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror})") from error
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(file.fileno()), (folder / LOCK).stat()):
            return file
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError as error:
        file.close()
        raise OutputError(f"{folder}: no file can be locked here ({error.strerror})") from error
    file.close()
    return None


def _holder(folder: Path) -> int:
    try:
        return int((folder / LOCK).read_text(encoding="ascii"))
    except (ValueError, FileNotFoundError):  # just being written, or just taken away
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
