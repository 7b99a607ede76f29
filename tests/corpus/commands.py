"""The real command line, run from outside, with the memory and the time it takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
LAUNCHER = Path(__file__).with_name("launcher.py")


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has ended: exit code (minus the signal), what it said, what it took."""

    code: int
    out: str
    err: str
    took_s: float
    peak_mib: float


def run(folder: Path, args: Sequence[str], *, limit_s: float, module: str = "vlm_datakit") -> Ended:
    """Run ``python -m vlm_datakit`` (or another module) in a folder; killed beyond its time.

    Modules of the tests are found as well.
    """
    out, err = folder.with_suffix(".out"), folder.with_suffix(".err")
    places = filter(None, [os.environ.get("PYTHONPATH")])
    command = [sys.executable, "-m", module, *args]
    launched = subprocess.run(
        [sys.executable, "-I", "-S", str(LAUNCHER), str(limit_s), str(out), str(err), *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([*places, str(ROOT)])},
        capture_output=True,
        check=True,
    )
    said = [path.read_text(errors="replace") for path in (out, err)]
    took = json.loads(launched.stdout)
    return Ended(took["code"], *said, took["took_s"], took["peak_mib"])
