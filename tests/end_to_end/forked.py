"""Runs ``vlm-datakit`` in forked children of one warm process: real processes, 20 ms each.

Reads a JSON request a line (args, cwd, env, paths of stdin/stdout/stderr, kill_at) and
answers the exit status. With ``kill_at`` the child dies as by ``kill -9``, no buffer
flushed, just before its n-th call that changes a name or settles a file.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from vlm_datakit import conversion, importing, sampling, validation  # noqa: F401 - warm
from vlm_datakit.cli import COMMANDS, main, vlm_datakit
from vlm_datakit.fetching import prefetch  # noqa: F401 - warm

STEPS = ("fsync", "mkdir", "rename", "replace", "rmdir", "unlink")


def deadly(function: Callable[..., Any], numbers: Any, kill_at: int) -> Callable[..., Any]:
    """Wrap one system call of the os module so that the n-th of all is never made."""

    def call(*args: Any, **given: Any) -> Any:
        if next(numbers) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **given)

    return call


def become(request: dict[str, Any]) -> None:
    """Turn the forked child into a process as a shell would have started it."""
    os.chdir(request["cwd"])
    os.environ.update(request["env"])
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC if number else os.O_RDONLY
        os.dup2(os.open(request[name], flags, 0o600), number)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", buffering=1)  # noqa: SIM115
    sys.argv = ["vlm-datakit", *request["args"]]
    numbers = itertools.count(1)
    for step in STEPS if request["kill_at"] else ():
        setattr(os, step, deadly(getattr(os, step), numbers, request["kill_at"]))


def serve() -> None:
    """Answer requests until standard input ends."""
    for name in COMMANDS:
        vlm_datakit.get_command(None, name)  # type: ignore[arg-type]
    requests, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w", buffering=1)
    for line in requests:
        child = os.fork()
        if child == 0:
            become(json.loads(line))
            main()
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), file=answers)


if __name__ == "__main__":
    serve()
