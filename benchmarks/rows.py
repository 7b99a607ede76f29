"""How many rows of text a second go from one format to another, in one core's memory?

    python benchmarks/rows.py [--rows 20000] [--rounds 5] [--json]

Preference rows of 1 kB become pairs as LLaMA-Factory reads them (sharegpt). Ours parses, checks,
names losses and renders each row; `datasets` maps a function over rows in memory, one by one and
batched; polars builds the columns. The rows that come out are compared before any time is taken.
CPU seconds of the process, rounds interleaved, medians; reading and writing files is not in it.
The second table has ours from and to every format that holds such a row.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

os.environ["POLARS_MAX_THREADS"] = "1"

import datasets
import polars
from harness.processes import print_about

from vlm_datakit import convert
from vlm_datakit.formats import FORMATS

Rows = list[dict[str, Any]]


def pairs(count: int) -> Rows:
    """Return preference rows of about 1 kB."""
    return [
        {
            "prompt": f"{number} " + "What would you say? " * 16,
            "chosen": f"{number} " + "I would say so. " * 20,
            "rejected": f"{number} " + "I would not say so. " * 16,
        }
        for number in range(count)
    ]


def ours(rows: Rows) -> Iterable[dict[str, Any]]:
    return list(convert(rows, source="preference", target="sharegpt"))


def as_sharegpt(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "conversations": [{"from": "human", "value": row["prompt"]}],
        "chosen": {"from": "gpt", "value": row["chosen"]},
        "rejected": {"from": "gpt", "value": row["rejected"]},
    }


def as_sharegpt_batch(rows: dict[str, list[str]]) -> dict[str, list[Any]]:
    return {
        "conversations": [[{"from": "human", "value": text}] for text in rows["prompt"]],
        "chosen": [{"from": "gpt", "value": text} for text in rows["chosen"]],
        "rejected": [{"from": "gpt", "value": text} for text in rows["rejected"]],
    }


def mapped(table: datasets.Dataset, *, batched: bool) -> Iterable[dict[str, Any]]:
    return table.map(
        as_sharegpt_batch if batched else as_sharegpt,
        batched=batched,
        remove_columns=["prompt"],
        load_from_cache_file=False,
        keep_in_memory=True,
        features=datasets.Features(
            {
                "conversations": [
                    {"from": datasets.Value("string"), "value": datasets.Value("string")}
                ],
                "chosen": {"from": datasets.Value("string"), "value": datasets.Value("string")},
                "rejected": {"from": datasets.Value("string"), "value": datasets.Value("string")},
            }
        ),
    )


def built(frame: polars.DataFrame) -> polars.DataFrame:
    def turn(who: str, column: str) -> polars.Expr:
        return polars.struct(polars.lit(who).alias("from"), polars.col(column).alias("value"))

    return frame.select(
        polars.concat_list(turn("human", "prompt")).alias("conversations"),
        turn("gpt", "chosen").alias("chosen"),
        turn("gpt", "rejected").alias("rejected"),
    )


def ways(rows: Rows) -> dict[str, Callable[[], Any]]:
    """Return what is timed, by name; each gives back an iterable of rows."""
    datasets.disable_progress_bars()
    table, frame = datasets.Dataset.from_list(rows), polars.DataFrame(rows)
    return {
        "ours: parse, check, render": lambda: ours(rows),
        "datasets: map": lambda: mapped(table, batched=False),
        "datasets: map, batched": lambda: mapped(table, batched=True),
        "polars: select": lambda: built(frame),
    }


def rows_of(result: Any) -> Rows:
    return result.to_dicts() if isinstance(result, polars.DataFrame) else [dict(r) for r in result]


def seconds(way: Callable[[], Any]) -> float:
    begun = time.process_time()
    way()
    return time.process_time() - begun


def medians(timed: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    found: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(rounds):
        for name, way in timed.items():
            found[name].append(seconds(way))
    return {name: statistics.median(values) for name, values in found.items()}


def matrix(rows: Rows) -> dict[str, Callable[[], Any]]:
    """Return ours from and to every format that holds the rows."""
    found: dict[str, Callable[[], Any]] = {}
    texts = [{"text": row["prompt"], "response": row["chosen"]} for row in rows]
    for source, given in (("preference", rows), ("simple", texts)):
        for name in FORMATS:
            rejects: list[Any] = []
            written = list(convert(given[:9], source=source, target=name, rejects=rejects))
            if rejects or not written:
                continue
            into = list(convert(given, source=source, target=name))
            found[f"{source} to {name}"] = lambda s=source, g=given, n=name: list(
                convert(g, source=s, target=n)
            )
            found[f"{name} to {source}"] = lambda s=source, g=into, n=name: list(
                convert(g, source=n, target=s)
            )
    return found


def table(title: str, found: dict[str, float], count: int) -> None:
    first = next(iter(found.values()))
    print(f"\n| {title} | CPU s | rows/s | CPU : first |\n|---|---:|---:|---:|")
    for name, value in found.items():
        print(f"| {name} | {value:.2f} | {count / value:,.0f} | {value / first:.2f} |")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rows", type=int, default=20_000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    rows = pairs(given.rows)
    timed = ways(rows)
    expected = [as_sharegpt(row) for row in rows]
    for name, way in timed.items():
        assert rows_of(way()) == expected, name
    peers, own = medians(timed, given.rounds), medians(matrix(rows), 1)
    if given.json:
        print(json.dumps({"rows": given.rows, "peers": peers, "ours": own}))
        return
    print_about(sys.argv)
    table(f"{given.rows:,} rows of 1 kB", peers, given.rows)
    table("ours, one round", own, given.rows)


if __name__ == "__main__":
    main()
