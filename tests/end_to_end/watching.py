"""Processes seen from outside: who is whose child, who lives, who waits in a trap."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path

PATIENCE_S = 30.0


def children(parent: int) -> list[int]:
    """Return the processes that a process has started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, ppid = path.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue  # ended meanwhile
        if int(ppid) == parent and state != "Z":
            found.append(int(path.parent.name))
    return found


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def eventually(holds: Callable[[], object], within_s: float = PATIENCE_S) -> bool:
    end = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def put_down(started: Iterable[subprocess.Popen[bytes]]) -> None:
    """Kill processes and see their workers end."""
    for process in started:
        workers = children(process.pid) if process.poll() is None else []
        process.kill()
        process.wait() if process.stderr is None else process.communicate()
        assert eventually(lambda: not any(map(is_alive, workers)))  # noqa: B023 - called at once


def held(folder: Path) -> list[int]:
    """Return the workers that wait in a trap."""
    return [int(path.name.partition("-")[2]) for path in folder.glob("held-*")]
