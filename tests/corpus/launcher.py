"""Runs one command and says what it took: its exit code, seconds, and most memory.

A child begins with the peak of the process it was started from, so that one started by a
test has the test's. This process is small. It is run as a file, by the bare interpreter.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time

ADDRESS_BYTES = 8 << 30  # so that a bomb ends its process and not the machine


def run(limit_s: float, out: str, err: str, command: list[str]) -> dict[str, float]:
    """Run a command to its end, or kill it when its time is over."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_BYTES, ADDRESS_BYTES))
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    streams = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, out, flags, 0o600),
        (os.POSIX_SPAWN_OPEN, 2, err, flags, 0o600),
    ]
    began = time.monotonic()
    child = os.posix_spawn(command[0], command, os.environ, file_actions=streams)
    signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    _, status, usage = os.wait4(child, 0)
    return {
        "code": os.waitstatus_to_exitcode(status),
        "took_s": time.monotonic() - began,
        "peak_mib": usage.ru_maxrss / 1024,
    }


if __name__ == "__main__":
    print(json.dumps(run(float(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:])))  # noqa: T201
