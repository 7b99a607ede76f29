"""How long does a file of rows take to become shards, and what do others take for as much?

    python benchmarks/convert.py [--workload photos small pairs] [--rounds 5] [--only PART ...]
    python benchmarks/convert.py --workload stream --gib 0.25 2 5

Every figure is of whole processes, one a run, in interleaved rounds: the median wall and CPU
seconds (user and system, all processes of the tree), the largest memory of the tree. Before
any time is taken each way runs once, and what it wrote is compared: the bytes of the pictures
in order, and the texts. A way that differs or fails is left out with a line that says so.

The floor reads the file, finds the payload, decodes it strictly and writes it, nothing else.
The peers write Parquet with the picture's bytes and the texts; they do not look at the
pictures, count nothing, refuse nothing, and do not sync. `stream` is standard input that a
writer makes as fast as it is read; it is for memory, so every size runs once.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from harness.contents import Contents, contents_in_any_order, contents_of, read_rows
from harness.processes import (
    CACHE,
    OURS,
    PEER_PYTHON,
    PEERS,
    ProcessError,
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
from harness.workloads import MAKERS, Workload, prepare

FROM = {"pictures": "openai", "pairs": "preference"}
IMPORT = "exec {ours} import {file} -q -o {out}/set"
PICTURES = ("pictures",)
FLOOR = "floor: bare script"
FLOOR_INSIDE = "floor: without the interpreter's start"


@dataclass(frozen=True, slots=True)
class Way:
    """A way from rows to shards.

    ``equal`` says what of it must equal the rows: all; ``texts`` where it compresses
    pictures anew; ``pictures`` where nothing else is kept; ``any order`` where order is lost.
    """

    name: str
    shell: str
    kinds: tuple[str, ...] = ("pictures", "pairs")
    equal: str = "all"


def peer(script: str, how: str = "", python: str = "{python}") -> str:
    return f"exec {python} {{peers}}/{script}.py {{kind}} {{file}} {{out}} {how}"


WAYS = (
    Way(FLOOR, peer("floor"), equal="pictures"),
    Way("ours: import", IMPORT),
    Way("ours: import --workers 1", f"{IMPORT} --workers 1"),
    Way("ours: import --workers 2", f"{IMPORT} --workers 2"),
    Way("ours: import --check-images decode", f"{IMPORT} --check-images decode", PICTURES),
    Way(
        "ours: import - (cat FILE in a pipe)",
        "cat {file} | {ours} import - --from {format} -q -o {out}/set",
    ),
    Way(
        "ours: convert to JSONL in a pipe",
        "cat {file} | {ours} convert --from {format} --to {format} -q > {out}/rows.jsonl",
    ),
    Way("script: json, base64, Pillow", peer("script", "plain"), equal="texts"),
    Way("script, tuned", peer("script", "tuned")),
    Way("datasets", peer("with_datasets", "plain")),
    Way("datasets, typed, batched", peer("with_datasets", "typed")),
    Way("datasets, texts as they are", peer("with_datasets", "unmapped"), ("pairs",)),
    Way("datasets, typed, batched, 2 processes", peer("with_datasets", "typed 2"), PICTURES),
    Way("datasets, typed, batched, streamed", peer("with_datasets", "streamed"), PICTURES),
    Way("polars", peer("with_polars", "plain")),
    Way("polars, tuned", peer("with_polars", "tuned")),
    Way("duckdb", peer("with_duckdb", "plain")),
    Way("duckdb, tuned", peer("with_duckdb", "tuned")),
    Way("daft (rows out of order)", peer("with_daft", python="{peer_python}"), equal="any order"),
)
STREAMED = (
    Way("ours: import -", "{writer} | {ours} import - --from openai -q -o {out}/set"),
    Way("script, tuned", "{writer} | {python} {peers}/script.py pictures /dev/stdin {out} tuned"),
    Way(FLOOR, "{writer} | {python} {peers}/floor.py pictures /dev/stdin {out}"),
)


def command(way: Way, workload: Workload, out: Path, **more: str) -> list[str]:
    """Fill in a way's command line."""
    words = {
        "ours": OURS, "python": sys.executable, "peer_python": PEER_PYTHON, "peers": PEERS,
        "file": workload.path, "out": out, "kind": workload.kind,
    }  # fmt: skip
    quoted = {name: shlex.quote(str(word)) for name, word in words.items()}
    shell = way.shell.format(**quoted, format=FROM[workload.kind], **more)
    return ["sh", "-c", shell]


def run_way(way: Way, workload: Workload, inside: list[Took]) -> Took:
    """Run a way once into an empty folder; note what the floor says of itself."""
    out = fresh(CACHE / "out")
    took = run_process(command(way, workload, out))
    if way.name == FLOOR:
        inside.append(replace(took, **json.loads((out / "inside.json").read_text())))
    return took


def difference(way: Way, workload: Workload) -> str | None:
    """Run a way once and say how what it wrote differs from the rows."""
    try:
        run_way(way, workload, [])
    except ProcessError as error:
        return str(error)
    wanted, out = workload.contents, CACHE / "out"
    if way.equal == "pictures":
        return _floor_difference(out, wanted)
    if way.equal == "any order":
        both = {contents_in_any_order(read_rows(place)) for place in (out, workload.path)}
        return "other rows" if len(both) > 1 else None
    found = contents_of(read_rows(out))
    if way.equal == "texts":
        found = replace(found, pictures_sha256=wanted.pictures_sha256)
    return None if found == wanted else f"it wrote {found}, not {wanted}"


def _floor_difference(out: Path, wanted: Contents) -> str | None:
    import hashlib

    name = "pictures" if wanted.pictures else "texts"
    digest = hashlib.sha256((out / f"{name}.bin").read_bytes()).hexdigest()
    return None if digest == getattr(wanted, f"{name}_sha256") else f"other {name}"


def measured(workload: Workload, ways: list[Way], rounds: int) -> dict[str, Took]:
    """Compare what the ways write, then time those that write the same."""
    left_out: dict[str, str] = {}
    for way in ways:
        fault = difference(way, workload)
        if fault is not None:
            left_out[way.name] = fault
    inside: list[Took] = []
    timed: dict[str, Callable[[], Took]] = {
        way.name: lambda way=way: run_way(way, workload, inside) for way in ways
    }
    runs = interleaved(timed, rounds, left_out)
    fresh(CACHE / "out")
    for name, why in left_out.items():
        say(f"{name} is left out: {why}")
    found = {name: median(took) for name, took in runs.items() if took}
    return ({FLOOR_INSIDE: median(inside)} if inside else {}) | found


def print_table(workload: Workload, found: dict[str, Took]) -> None:
    """Print a Markdown table; the last column is how often ours fits in, by wall and CPU."""
    rows = workload.contents.rows
    print(f"\n{workload.name}: {rows:,} rows, {workload.mb:.0f} MB\n")
    print("| way | wall s | CPU s | peak RSS MiB | rows/s | wall, CPU : ours |")
    print("|---|---:|---:|---:|---:|---:|")
    ours = found.get("ours: import")
    for name, took in found.items():
        ratio = f"{took.wall_s / ours.wall_s:.2f}, {took.cpu_s / ours.cpu_s:.2f}" if ours else ""
        print(
            f"| {name} | {took.wall_s:.2f} | {took.cpu_s:.2f} | {took.peak_mib:.0f} "
            f"| {rows / took.wall_s:,.0f} | {ratio} |"
        )


def stream(sizes_gib: list[float], only: list[str]) -> dict[str, Took]:
    """Run each way once on standard input of each size."""
    workload, found = prepare("photos"), {}
    for gib in sizes_gib:
        writer = f"{shlex.quote(sys.executable)} {PEERS / 'writer.py'} {workload.path} {gib}"
        for way in filter(lambda way: wanted(way, only), STREAMED):
            say(f"{way.name}, {gib} GiB")
            out = fresh(CACHE / "out")
            shell = command(way, workload, out, writer=writer)
            found[f"{way.name}, {gib:g} GiB"] = run_process(shell)
    fresh(CACHE / "out")
    return found


def print_stream(found: dict[str, Took]) -> None:
    """Print the memory curve; the writer (about 15 MiB, and its CPU) is part of each figure."""
    print("\n| standard input | wall s | CPU s | peak RSS MiB | without pages of files |")
    print("|---|---:|---:|---:|---:|")
    for name, took in found.items():
        print(
            f"| {name} | {took.wall_s:.1f} | {took.cpu_s:.1f} | {took.peak_mib:.0f} "
            f"| {took.private_mib:.0f} |"
        )


def wanted(way: Way, only: list[str]) -> bool:
    """Whether a way's name contains one of the parts, or there are none."""
    return not only or any(part in way.name for part in only)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workload", nargs="+", default=[*MAKERS], choices=[*MAKERS, "stream"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", default=[], metavar="PART", help="parts of names")
    parser.add_argument("--gib", nargs="+", type=float, default=[0.25, 2, 5])
    parser.add_argument("--json", action="store_true", help="all figures as JSON")
    arguments = parser.parse_args()
    results: dict[str, dict[str, Took]] = {}
    if not arguments.json:
        print_about(sys.argv)
    for name in arguments.workload:
        if name == "stream":
            results[name] = stream(arguments.gib, arguments.only)
        else:
            workload = prepare(name)
            ways = [way for way in WAYS if workload.kind in way.kinds]
            ways = [way for way in ways if wanted(way, arguments.only)]
            results[name] = measured(workload, ways, arguments.rounds)
        if not arguments.json:
            found = results[name]
            print_stream(found) if name == "stream" else print_table(workload, found)
    if arguments.json:
        figures = {
            name: {way: asdict(took) for way, took in found.items()}
            for name, found in results.items()
        }
        print(json.dumps({"machine": machine(), "versions": versions(), "runs": figures}))


if __name__ == "__main__":
    main()
