"""A row format for tests: simple rows, some of which hurt the worker process that reads them.

``{"trap": "die"}`` kills it; ``"die-once"`` only if nobody died of it before; ``"hold"``
keeps it until a file named ``go`` stands in the current folder; ``"bug"`` is one, as soon as
another worker is held. A process that is no worker takes no harm.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from vlm_datakit.conversation import Draft
from vlm_datakit.formats import simple

IS_WORKER = sys.argv[0] == "-c" or sys.argv[0].endswith("default_worker.py")  # Ray's
HELD = "held"  # a file "held-PID" for each worker that waits


def hold() -> None:
    Path(f"{HELD}-{os.getpid()}").touch()
    while not Path("go").exists():
        time.sleep(0.01)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_once() -> None:
    if not Path("died").exists():
        Path("died").touch()
        die()


def bug() -> None:
    while not any(Path().glob(f"{HELD}-*")):
        time.sleep(0.01)
    raise ZeroDivisionError("a bug of the format")


TRAPS = {"hold": hold, "die": die, "die-once": die_once, "bug": bug}


def parse(fields: dict[str, Any]) -> Draft:
    trap = fields.pop("trap", None)
    if trap and IS_WORKER:
        TRAPS[trap]()
    return simple.parse(fields)


FORMAT = replace(simple.FORMAT, name="traps:FORMAT", parse=parse)
