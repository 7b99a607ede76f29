"""What does it cost to read the pictures back, in a shuffled order, as training does?

    python benchmarks/loader.py [--workload photos small] [--rounds 3] [--only PART ...]

Each way reads the set that it would read in earnest: ours and `datasets` the shards of
`vlm-datakit import`, webdataset its tar files, litdata its chunks. One process a run, in
interleaved rounds, medians; files are in the page cache. Before any time is taken, the sums of
the pictures' checksums are compared. The shuffles differ: a permutation of all rows where a
set has places, else the shards and a buffer of 1,000 rows. A run ends after 20 s.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.processes import (
    CACHE,
    OURS,
    PEER_PYTHON,
    PEERS,
    ProcessError,
    fresh,
    interleaved,
    machine,
    print_about,
    say,
    versions,
)
from harness.workloads import Workload, prepare

WORKLOADS = ("photos", "small")
PIXEL_ROWS = 200  # decoding is the same for all; the bytes are read of all rows


@dataclass(frozen=True, slots=True)
class Reader:
    """A way to read, and which set of files it reads."""

    name: str
    way: str
    files: str = "shards"
    is_peer_python: bool = False


READERS = (
    Reader("ours: open_shards, in order", "ours_in_order"),
    Reader("ours: open_shards, permuted", "ours"),
    Reader("ours: the trainer's ShardSet, permuted", "trainer"),
    Reader("datasets on our shards, permuted", "datasets"),
    Reader("datasets on our shards, streamed, buffer", "datasets_streamed"),
    Reader("webdataset, buffer", "webdataset", "webdataset", is_peer_python=True),
    Reader("litdata, shuffle=True", "litdata", "litdata", is_peer_python=True),
)


def call(command: list[str | Path]) -> str:
    """Return the output of a process.

    Raises:
        ProcessError: It did not exit with 0.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ProcessError(f"exit {done.returncode}: {done.stderr.strip()[-300:]}")
    return done.stdout


def set_folder(workload: Workload, files: str) -> Path:
    """Return the folder of a set, written on the first call."""
    folder = CACHE / "sets" / f"{workload.name}-{files}"
    done = folder / "done"
    if done.exists():
        return folder / "set"
    say(f"writing {files} of {workload.name}, once")
    if files == "shards":
        call([OURS, "import", workload.path, "-q", "-o", fresh(folder) / "set"])
    else:
        out = fresh(folder / "set")
        call([PEER_PYTHON, PEERS / "packing.py", files, workload.path, out])
    done.touch()
    return folder / "set"


def read(reader: Reader, workload: Workload, form: str) -> dict[str, Any]:
    """Read a set once in a process of its own."""
    folder = set_folder(workload, reader.files)
    python = PEER_PYTHON if reader.is_peer_python else sys.executable
    rows = min(PIXEL_ROWS, workload.contents.rows) if form == "pixels" else workload.contents.rows
    printed = call([python, PEERS / "reading.py", reader.way, folder, str(rows), form])
    return dict(json.loads(printed.splitlines()[-1]))


def compare(readers: list[Reader], workload: Workload) -> dict[str, str]:
    """Read each set once; return who fails or does not hold the same pictures."""
    left_out: dict[str, str] = {}
    wanted = None
    for reader in readers:
        try:
            found = read(reader, workload, "check")["crc32"]
        except (ProcessError, OSError) as error:
            left_out[reader.name] = str(error)
            continue
        wanted = found if wanted is None else wanted
        if found != wanted:
            left_out[reader.name] = "it reads other pictures"
    return left_out


def measured(workload: Workload, readers: list[Reader], rounds: int) -> dict[str, dict[str, Any]]:
    """Return the medians of each reader, both forms in one entry."""
    left_out = compare(readers, workload)
    ways = {
        reader.name: lambda reader=reader: {
            **read(reader, workload, "bytes"),
            "pixels_ms": read(reader, workload, "pixels")["shuffled_ms"],
        }
        for reader in readers
    }
    runs = interleaved(ways, rounds, left_out)
    for name, why in left_out.items():
        say(f"{name} is left out: {why}")
    return {name: _medians(took) for name, took in runs.items()}


def _medians(runs: list[dict[str, Any]]) -> dict[str, Any]:
    names = ("first_row_s", "shuffled_ms", "pixels_ms", "random_ms")
    return {
        name: None if runs[0][name] is None else statistics.median(run[name] for run in runs)
        for name in names
    }


def print_table(workload: Workload, found: dict[str, dict[str, Any]]) -> None:
    """Print a Markdown table."""
    print(f"\n{workload.name}: {workload.contents.rows:,} rows, {workload.mb:.0f} MB\n")
    print("| reader | first row s | bytes, ms a row | pixels, ms a row | one at random, ms |")
    print("|---|---:|---:|---:|---:|")
    for name, took in found.items():
        at_random = "" if took["random_ms"] is None else f"{took['random_ms']:.2f}"
        print(
            f"| {name} | {took['first_row_s']:.2f} | {took['shuffled_ms']:.3f} "
            f"| {took['pixels_ms']:.2f} | {at_random} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workload", nargs="+", default=[*WORKLOADS], choices=WORKLOADS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=[], metavar="PART", help="parts of names")
    parser.add_argument("--json", action="store_true", help="all figures as JSON")
    arguments = parser.parse_args()
    if not arguments.json:
        print_about(sys.argv)
    figures = {}
    for name in arguments.workload:
        workload, only = prepare(name), arguments.only
        readers = [r for r in READERS if not only or any(part in r.name for part in only)]
        figures[name] = measured(workload, readers, arguments.rounds)
        if not arguments.json:
            print_table(workload, figures[name])
    if arguments.json:
        print(json.dumps({"machine": machine(), "versions": versions(), "runs": figures}))


if __name__ == "__main__":
    main()
