"""How long does a data set on the Hub take, over a link of 20 ms and 25 MB/s an answer?

    python benchmarks/hub.py [--workload parquet jsonl] [--rounds 3] [--json]

A Hub on loopback, in a process of its own, begins each answer after 20 ms and gives it 25 MB/s.
parquet is 150 MB in 3 files, jsonl 105 MB in one: chat rows, each with a photo. Ways:
`vlm-datakit import` to the commit; `load_dataset` into its Arrow cache; `load_dataset` streaming to
the last row; and `snapshot_download`, which reads no row. Each begins with empty caches; rounds
are interleaved, figures are medians, memory is the largest. The first row of an import is shown
by `vlm-datakit preview`, with caches and a process of its own: its requests are in brackets.
"""

from __future__ import annotations

import argparse
import base64
import json
import shutil
import statistics
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from harness.processes import (
    CACHE,
    OURS,
    PEERS,
    Took,
    fresh,
    interleaved,
    machine,
    median,
    print_about,
    run_process,
    say,
    versions,
)
from harness.workloads import photo_rows

FOLDER, OUT = CACHE / "hub", CACHE / "out" / "hub"
SERVER = Path(__file__).parent / "harness" / "hub_at_rate.py"
JSONL_BYTES, FILES, FILE_ROWS = 105_000_000, 3, 222
WORKLOADS = {"parquet": "bench/parquet", "jsonl": "bench/jsonl"}


@dataclass(frozen=True, slots=True)
class Run:
    """What one way took: the process, its first row, and what was asked of the Hub."""

    took: Took
    first_row_s: float | None
    requests: int
    megabytes: float
    first_requests: int | None = None


def prepare() -> None:
    """Make the files, once."""
    if (FOLDER / "bench").exists():
        return
    say("making photos: a minute, once")
    part = fresh(FOLDER / "part")
    rows = photo_rows(FILES * FILE_ROWS)
    (part / "jsonl").mkdir()
    (part / "parquet" / "data").mkdir(parents=True)
    with (part / "jsonl" / "train.jsonl").open("wb") as lines:
        for number in range(FILES):
            mine = list(islice(rows, FILE_ROWS))
            for row in mine:
                line = json.dumps(row).encode() + b"\n"
                if lines.tell() + len(line) <= JSONL_BYTES:
                    lines.write(line)
            name = f"train-{number:05}-of-{FILES:05}.parquet"
            pq.write_table(_table(mine), part / "parquet" / "data" / name, row_group_size=64)
    part.rename(FOLDER / "bench")


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    """Return rows as Parquet has them: a column of messages, and one of pictures."""
    columns: dict[str, list[Any]] = {"messages": [], "images": []}
    for row in rows:
        (picture, question), (answer,) = (message["content"] for message in row["messages"])
        data = base64.b64decode(picture["image_url"]["url"].partition(",")[2])
        columns["images"].append([{"bytes": data, "path": None}])
        columns["messages"].append(
            [
                {"role": "user", "content": "<image>" + question["text"]},
                {"role": "assistant", "content": answer["text"]},
            ]
        )
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    message = pa.struct({"role": pa.string(), "content": pa.string()})
    fields = {"messages": pa.list_(message), "images": pa.list_(image)}
    return pa.table(columns, schema=pa.schema(fields))


@contextmanager
def serving() -> Iterator[str]:
    """Yield the address of the Hub while it runs."""
    command = [sys.executable, str(SERVER), str(FOLDER)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as server:
        assert server.stdout is not None
        try:
            yield json.loads(server.stdout.readline())["address"]
        finally:
            server.terminate()


def measured(hub: str, command: list[str], first: list[str] | None = None) -> Run:
    """Run a way with empty caches; `first` is what shows the first row, if that is another."""
    took, told = _run(hub, command)
    row_at = OUT / "first"
    if first is None:
        first_s = float(row_at.read_text()) if row_at.exists() else None
        return Run(took, first_s, told["requests"], told["bytes"] / 1e6)
    shown, asked = _run(hub, first)
    return Run(took, shown.wall_s, told["requests"], told["bytes"] / 1e6, asked["requests"])


def _run(hub: str, command: list[str]) -> tuple[Took, dict[str, int]]:
    fresh(OUT)
    _asked(hub)
    env = {"HF_ENDPOINT": hub, "HF_HOME": OUT / "home", "HF_HUB_DISABLE_TELEMETRY": "1"}
    words = [f"{name}={value}" for name, value in env.items()]
    took = run_process(["env", "-u", "HF_HUB_OFFLINE", *words, *command])
    return took, _asked(hub)


def _asked(hub: str) -> dict[str, int]:
    with urllib.request.urlopen(f"{hub}/asked") as answer:
        return dict(json.load(answer))


def ways(hub: str, name: str) -> dict[str, Callable[[], Run]]:
    """Return what is measured, by name."""
    ours, python = str(OURS), [sys.executable, str(PEERS / "from_hub.py"), name, str(OUT / "first")]
    imported = [ours, "import", name, "--split", "train", "-o", str(OUT / "set"), "-q"]
    preview = [ours, "preview", name, "-n", "1", "--json"]
    return {
        "vlm-datakit import": lambda: measured(hub, imported, preview),
        "load_dataset": lambda: measured(hub, [*python, "full"]),
        "load_dataset, streaming": lambda: measured(hub, [*python, "streamed"]),
        "snapshot_download (no rows)": lambda: measured(hub, [*python, "snapshot"]),
    }


def print_table(name: str, found: dict[str, list[Run]]) -> None:
    """Print a Markdown table."""
    size = sum(path.stat().st_size for path in (FOLDER / name).rglob("*") if path.is_file())
    print(f"\n{name}: {size / 1e6:.0f} MB\n")
    print("| way | wall s | CPU s | peak MiB | first row s | requests | MB |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for way, runs in found.items():
        took, one = median([run.took for run in runs]), runs[0]
        firsts = [run.first_row_s for run in runs if run.first_row_s is not None]
        first = f"{statistics.median(firsts):.2f}" if firsts else ""
        asked = f"{one.requests}" + (f" ({one.first_requests})" if one.first_requests else "")
        print(
            f"| {way} | {took.wall_s:.2f} | {took.cpu_s:.2f} | {took.peak_mib:.0f} "
            f"| {first} | {asked} | {one.megabytes:.1f} |"
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
    prepare()
    figures: dict[str, Any] = {}
    with serving() as hub:
        for name in (WORKLOADS[each] for each in arguments.workload):
            left_out: dict[str, str] = {}
            only = arguments.only
            mine = {
                way: run
                for way, run in ways(hub, name).items()
                if not only or any(part in way for part in only)
            }
            found = interleaved(mine, arguments.rounds, left_out)
            for way, why in left_out.items():
                say(f"{way} is left out: {why}")
            figures[name] = {way: [asdict(run) for run in runs] for way, runs in found.items()}
            if not arguments.json:
                print_table(name, found)
    shutil.rmtree(OUT, ignore_errors=True)
    if arguments.json:
        print(json.dumps({"machine": machine(), "versions": versions(), "runs": figures}))


if __name__ == "__main__":
    main()
