"""Start one command, wait for it, and write down what its process tree took.

    python -I -S launcher.py REPORT COMMAND...

On Linux ru_maxrss of a forked child begins at what its parent held: this process is small
(about 9 MiB), so that the figure is the command's own. Memory of a tree is the largest sum that
a look every 10 ms has seen; a page that two of its processes share counts twice.
"""

# Without pathlib, which would be a third of its memory.
# ruff: noqa: PTH123, PTH208
from __future__ import annotations

import json
import os
import resource
import sys
import threading
import time

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
LOOK_EVERY_S = 0.01


def tree(pid: int) -> list[int]:
    """Return a process and its descendants."""
    found = [pid]
    for parent in found:
        try:
            for task in os.listdir(f"/proc/{parent}/task"):
                with open(f"/proc/{parent}/task/{task}/children") as children:
                    found += map(int, children.read().split())
        except OSError:  # ended meanwhile
            continue
    return found


def held(pids: list[int]) -> tuple[int, int]:
    """Return resident bytes, and how many of them belong to no file."""
    resident = private = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/statm") as statm:
                _, pages, of_files, *_ = map(int, statm.read().split())
        except (OSError, ValueError):
            continue
        resident += pages * PAGE_BYTES
        private += (pages - of_files) * PAGE_BYTES
    return resident, private


def watch(pid: int, peak: list[int], done: threading.Event) -> None:
    """Keep the largest sums until the command ends."""
    while not done.wait(LOOK_EVERY_S):
        peak[:] = map(max, peak, held(tree(pid)))


def main() -> None:
    report, *command = sys.argv[1:]
    peak, done = [0, 0], threading.Event()
    start = time.perf_counter()
    pid = os.posix_spawnp(command[0], command, os.environ)
    watcher = threading.Thread(target=watch, args=(pid, peak, done))
    watcher.start()
    _, status, _ = os.wait4(pid, 0)
    wall_s = time.perf_counter() - start
    done.set()
    watcher.join()
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    took = {
        "wall_s": wall_s,
        "cpu_s": spent.ru_utime + spent.ru_stime,
        "peak_mib": max(peak[0], spent.ru_maxrss * 1024) / 2**20,
        "private_mib": peak[1] / 2**20,
    }
    with open(report, "w") as file:
        json.dump(took, file)
    sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
