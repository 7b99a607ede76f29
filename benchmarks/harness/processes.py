"""Whole processes in interleaved rounds: what each took, and the medians."""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".nox" / "bench"
PEERS = ROOT / "benchmarks" / "peers"
LAUNCHER = Path(__file__).with_name("launcher.py")
# Peers that the project does not use live here, with the packages of .venv in sight.
PEER_PYTHON = ROOT / ".nox" / "bench-peers" / "bin" / "python"
OURS = Path(sys.executable).with_name("vlm-datakit")
PACKAGES = ("vlm-datakit", "datasets", "duckdb", "numpy", "orjson", "pillow", "polars", "pyarrow",
            "pybase64", "torch")  # fmt: skip
PEER_PACKAGES = ("daft", "litdata", "webdataset")

_UNUSUAL = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")

T = TypeVar("T")


class ProcessError(Exception):
    """A process came back with an error; holds the end of what it said."""


@dataclass(frozen=True, slots=True)
class Took:
    """What a process tree took; memory also without pages of files."""

    wall_s: float
    cpu_s: float
    peak_mib: float
    private_mib: float


def run_process(command: Sequence[str]) -> Took:
    """Run one command to its end.

    Raises:
        ProcessError: It did not exit with 0.
    """
    os.sync()  # so that nobody pays for pages which the one before left to write
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        launcher = [sys.executable, "-I", "-S", str(LAUNCHER), str(report), *command]
        # Nobody compiles modules anew at each start, whatever this shell says.
        env = {name: value for name, value in os.environ.items() if name not in _UNUSUAL}
        done = subprocess.run(launcher, capture_output=True, text=True, check=False, env=env)
        if done.returncode:
            raise ProcessError(f"exit {done.returncode}: {done.stderr.strip()[-300:]}")
        return Took(**json.loads(report.read_text()))


def fresh(folder: Path) -> Path:
    """Return the folder, empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def interleaved(
    ways: Mapping[str, Callable[[], T]], rounds: int, left_out: dict[str, str]
) -> dict[str, list[T]]:
    """Run each way once a round, A B C ... A B C ...; a way that fails is left out for good."""
    took: dict[str, list[T]] = {name: [] for name in ways}
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}, load {os.getloadavg()[0]:.1f}")
        for name, way in ways.items():
            if name in left_out:
                continue
            try:
                took[name].append(way())
            except ProcessError as error:
                left_out[name] = str(error)
    return {name: runs for name, runs in took.items() if name not in left_out}


def median(runs: Sequence[Took]) -> Took:
    """Return the median of each figure; memory is the largest of all runs."""
    return Took(
        statistics.median(run.wall_s for run in runs),
        statistics.median(run.cpu_s for run in runs),
        max(run.peak_mib for run in runs),
        max(run.private_mib for run in runs),
    )


def machine() -> str:
    """Name the machine as far as figures depend on it."""
    cores = len(os.sched_getaffinity(0))
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{platform.machine()}, {cores} cores, {memory_gib:.0f} GiB, {platform.system()}"


def versions() -> dict[str, str]:
    """Return the versions of everything that is measured."""
    found = {"Python": platform.python_version()}
    found |= {name: version(name) for name in PACKAGES}
    return found | _peer_versions()


def _peer_versions() -> dict[str, str]:
    from importlib.metadata import distributions

    places = [str(path) for path in PEER_PYTHON.parents[1].glob("lib/python3.*/site-packages")]
    found = {part.metadata["Name"]: part.version for part in distributions(path=places)}
    return {name: found[name] for name in PEER_PACKAGES if name in found}


def say(words: str) -> None:
    """Say on stderr what takes its time."""
    print(f"bench > {words}", file=sys.stderr, flush=True)


def print_about(argv: Sequence[str]) -> None:
    """Print machine, versions and command."""
    print(f"{machine()}; load {os.getloadavg()[0]:.1f}")
    print(", ".join(f"{name} {found}" for name, found in versions().items()))
    print(f"python benchmarks/{Path(argv[0]).name} {' '.join(argv[1:])}".strip())
