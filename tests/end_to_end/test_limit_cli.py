"""``--limit N``: the first rows of each split, and no more read than they take."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vlm_datakit import open_shards

MIB = 1024 * 1024
ROWS = 40


def row(n: int) -> dict[str, str]:
    return {"text": f"question {n}?", "response": json.dumps({"n": n})}


def jsonl(rows: Any) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in rows)


def as_csv(rows: list[dict[str, str]]) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, ["text", "response"])
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def parquet(rows: list[dict[str, str]], group: int = 8) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out, row_group_size=group)
    return out.getvalue()


KINDS: dict[str, Callable[[Any], bytes]] = {
    "jsonl": jsonl,
    "jsonl.gz": lambda rows: gzip.compress(jsonl(rows)),
    "json": lambda rows: json.dumps(rows).encode(),
    "csv": as_csv,
    "parquet": parquet,
}


def numbers(folder: Path, split: str = "train") -> list[int]:
    texts = [found.messages[-1].content[0].text for found in open_shards(folder, split)]
    return [json.loads(text)["n"] for text in texts]


@pytest.fixture
def both(tmp_path: Path) -> Callable[[str], list[str]]:
    """Write a split in two files of a kind, 25 and 15 rows, and a smaller one; return names."""

    def write(kind: str) -> list[str]:
        rows = [*map(row, range(ROWS))]
        parts = {"a": rows[:25], "b": rows[25:], "c": rows[:5]}
        for name, part in parts.items():
            (tmp_path / f"{name}.{kind}").write_bytes(KINDS[kind](part))
        return [f"a.{kind}", f"b.{kind}", f"test=c.{kind}"]

    return write


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_rows_of_each_split_are_read_whatever_they_stand_in(
    cli: Any, both: Any, tmp_path: Path, *, kind: str
) -> None:
    names = both(kind)

    few = cli(["import", *names, "--limit", "10", "-o", "few"])
    more = cli(["import", *names, "--limit", "30", "-o", "more", "--workers", "2"])
    valid = cli(["validate", names[0], "--limit", "7", "--json"])
    lines = cli(["convert", names[0], "--to", "simple", "--limit", "7"])

    assert (few.code, more.code, valid.code, lines.code) == (0, 0, 0, 0), few.err + more.err
    assert numbers(tmp_path / "few") == [*range(10)]
    assert numbers(tmp_path / "more") == [*range(30)]
    assert numbers(tmp_path / "few", "test") == numbers(tmp_path / "more", "test") == [*range(5)]
    assert json.loads(valid.out)["rows"] == 7
    assert [json.loads(line)["text"] for line in lines.out.splitlines()] == [
        f"question {n}?" for n in range(7)
    ]


def test_refused_rows_count_and_blank_lines_do_not(cli: Any, tmp_path: Path) -> None:
    data = b"\xef\xbb\xbf\n\n" + jsonl([row(0)]) + b"no row\n  \n" + jsonl([row(1)]) * 3 + b"last"
    (tmp_path / "rows.jsonl").write_bytes(data)
    command = ["--limit", "3", "--max-rejects", "1", "--json"]

    done = cli(["import", "rows.jsonl", *command, "-o", "a"])
    piped = cli(["import", "-", *command, "-o", "b"], input=data)
    lines = cli(["convert", "--to", "simple", "--limit", "3", "-q"], input=data)
    whole = cli(["convert", "--to", "simple", "--limit", "6", "-q"], input=data)

    assert [json.loads(each.out)["rows"] for each in (done, piped)] == [3, 3]
    assert numbers(tmp_path / "a") == numbers(tmp_path / "b") == [0, 1]
    assert (lines.code, len(lines.out.splitlines())) == (6, 2)
    assert len(whole.out.splitlines()) == 4


def test_the_bytes_are_the_same_for_any_number_of_processes(
    cli: Any, tree: Any, png_bytes: Any, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(png_bytes(5, 5))
    long = [{**row(n), "text": "?" * 45_000, "image": "a.png"} for n in range(100)]
    (tmp_path / "rows.jsonl").write_bytes(jsonl(long))
    command = ["import", "rows.jsonl", "--limit", "70"]

    one = cli([*command, "--workers", "1", "--json", "-o", "one/set"])
    two = cli([*command, "--workers", "2", "-o", "two/set"])

    assert (one.code, two.code) == (0, 0), one.err + two.err
    assert json.loads(one.out)["slices"] == 3  # of a MiB each, up to row 70
    assert numbers(tmp_path / "one/set") == [*range(70)]
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_another_limit_is_another_plan_and_the_same_one_goes_on(
    cli: Any, both: Any, tmp_path: Path
) -> None:
    names = both("jsonl")

    killed = cli(["import", *names, "--limit", "30", "-o", "out"], kill_at=14)
    done = cli(["import", *names, "--limit", "30", "-o", "out", "--json"])
    again = cli(["import", *names, "--limit", "30", "-o", "out"])
    other = cli(["import", *names, "--limit", "31", "-o", "out"])
    all_ = cli(["import", *names, "-o", "out"])

    assert [each.code for each in (killed, done, again, other, all_)] == [-9, 0, 0, 5, 5]
    assert numbers(tmp_path / "out") == [*range(30)]
    assert b"finished before" in again.err
    assert b"row_limit was 30, now 31" in other.err
    assert b"row_limit was 30, now null" in all_.err
    assert json.loads((tmp_path / "out/manifest.json").read_text())["plan"]["row_limit"] == 30


def test_jobs_share_the_first_rows_and_finish_commits_them(
    cli: Any, both: Any, tmp_path: Path
) -> None:
    command = ["import", *both("parquet"), "--limit", "30", "-o", "out"]

    jobs = [cli([*command, "--slices", f"{n}::2"]) for n in range(2)]
    done = cli(["finish", "out"])

    assert [each.code for each in (*jobs, done)] == [0, 0, 0], done.err
    assert numbers(tmp_path / "out") == [*range(30)]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["import", "a.jsonl", "--limit", "0"], b"--limit 0: that is no row"),
        (["import", "a.jsonl", "--limit", "-3"], b"--limit -3: expected NAME=N"),
        (["preview", "a.jsonl", "--limit", "3"], b"say -n N"),
        (["import", "a.jsonl", "-", "--limit", "3"], b"give standard input its own"),
    ],
)
def test_what_is_no_limit_is_said(cli: Any, both: Any, args: list[str], words: bytes) -> None:
    both("jsonl")

    done = cli(args, input=jsonl([row(0)]))

    assert done.code == 2
    assert words in done.err


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_of_a_large_file_on_the_hub_only_the_head_is_fetched(
    hub: Any, hub_cli: Any, tmp_path: Path, *, kind: str
) -> None:
    noise = [{**row(n), "text": random_text(n)} for n in range(600)]
    data = KINDS[kind](noise) if kind == "jsonl" else parquet(noise, 20)
    assert len(data) > 17 * MIB
    hub.add("owner/large", {f"data/train-00000-of-00001.{kind}": data})

    done = hub_cli("import", "owner/large", "--limit", "25")
    valid = hub_cli("validate", "owner/large", "--limit", "25", "--json")
    lines = hub_cli("convert", "owner/large", "--limit", "25", "--to", "simple")

    assert (done.code, valid.code, lines.code) == (0, 0, 0), done.err + valid.err + lines.err
    assert numbers(tmp_path / "large") == [*range(25)]
    assert b"downloading the head of train-00000-of-00001" in done.err
    assert json.loads(valid.out)["good"] == len(lines.out.splitlines()) == 25
    assert [asked for asked in hub.store.asked if "ange: bytes" not in asked.head] == []
    assert not [*(tmp_path / "hf-home").glob("hub/*/blobs/*")]


def random_text(seed: int) -> str:
    return random.Random(seed).randbytes(20_000).hex()
