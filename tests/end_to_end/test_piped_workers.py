"""Standard input with many processes: the bytes are those of one, and nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .watching import PATIENCE_S, eventually, held, is_alive, put_down

HERE = Path(__file__).parent
IMPORT = ["import", "-", "--from", "traps:FORMAT", "--max-rejects", "9", "-q"]
ENV = {"PYTHONPATH": str(HERE)}
ROWS, ROW_BYTES = 3_500, 30_000  # 105 MB: four slices of 32 MiB at most
BAD = (0, 1_200, 2_400, 3_499)


def lines(traps: dict[int, str]) -> Iterator[bytes]:
    for n in range(ROWS):
        row = {"text": f"{n}" + "é" * (ROW_BYTES // 2), "response": f"{n}"}
        if n in traps:
            row["trap"] = traps[n]
        yield (
            b'{"text": "cut\n' if n in BAD else json.dumps(row, ensure_ascii=False).encode() + b"\n"
        )


@pytest.fixture
def rows(tmp_path) -> Callable[..., Path]:
    def write(**traps: str) -> Path:
        path = tmp_path / "rows.jsonl"
        with path.open("wb") as file:
            file.writelines(lines({int(name[3:]): trap for name, trap in traps.items()}))
        return path

    return write


@pytest.fixture
def begin(tmp_path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start an import of a file as standard input; nothing of it outlives the test."""
    started = []

    def start(source: Path, out: str, workers: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "vlm_datakit", *IMPORT, "-o", out]
        cat = subprocess.Popen(["cat", str(source)], stdout=subprocess.PIPE)
        process = subprocess.Popen(
            [*command, "--workers", f"{workers}"],
            cwd=tmp_path,
            env={**os.environ, **ENV},
            stdin=cat.stdout,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert cat.stdout is not None
        cat.stdout.close()  # it ends when the import does
        started.extend((process, cat))
        return process

    yield start
    put_down(started)


def made(folder: Path) -> dict[str, bytes]:
    """Return the files of a set; its card says the name of the folder."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "README.md"]
    return {f"{path.relative_to(folder)}": path.read_bytes() for path in files}


def test_any_number_of_workers_writes_the_same_bytes(begin, rows, tmp_path):
    source = rows()

    for workers in (1, 2, 5):
        done = begin(source, f"{workers}", workers)
        said = done.communicate(timeout=PATIENCE_S)[1].decode()
        assert done.returncode == 0, said

    one = made(tmp_path / "1")
    assert len([name for name in one if name.startswith("data/")]) == 4
    assert made(tmp_path / "2") == one
    assert made(tmp_path / "5") == one
    ledger = [name for name in one if name.startswith("rejects/")]
    told = [json.loads(line)["line"] for name in sorted(ledger) for line in one[name].splitlines()]
    assert told == [n + 1 for n in BAD]


def test_a_killed_worker_is_replaced(begin, rows, tmp_path):
    source = rows(row2000="die-once")

    done = begin(source, "2", 2)
    said = done.communicate(timeout=PATIENCE_S)[1].decode()
    assert done.returncode == 0, said
    assert (tmp_path / "died").exists()

    begin(source, "1", 1).communicate(timeout=PATIENCE_S)
    assert made(tmp_path / "2") == made(tmp_path / "1")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_end_in_the_middle_leaves_nothing_that_loads(begin, rows, tmp_path, number):
    source = rows(row20="hold", row2000="hold")
    process = begin(source, "set", 2)
    assert eventually(lambda: len(held(tmp_path)) == 2)
    workers = held(tmp_path)

    os.kill(process.pid, number)

    assert process.wait(PATIENCE_S) != 0
    assert eventually(lambda: not any(map(is_alive, workers)))
    assert not (tmp_path / "set/manifest.json").exists()
    assert not (tmp_path / "set/data").exists()
    if number == signal.SIGINT:  # after the others, the next run deletes it
        assert not list((tmp_path / "set").glob(".vlm/work/*/spool"))

    (tmp_path / "go").touch()
    again = begin(source, "set", 2)
    said = again.communicate(timeout=PATIENCE_S)[1].decode()
    assert again.returncode == 0, said
    assert not (tmp_path / "set/.vlm/work").exists()


def test_files_come_first_and_standard_input_last(run_cli, tmp_path):
    rows = [json.dumps({"text": f"{n}?", "response": f"{n}"}) for n in range(4)]
    (tmp_path / "a.jsonl").write_text("\n".join(rows[:2]) + "\n")
    command = ["import", "-", "a.jsonl", "--from", "simple", "-q", "-o"]

    for workers in ("1", "2"):
        done = run_cli(
            [*command, workers, "--workers", workers], input="\n".join(rows[2:]).encode()
        )
        assert done.code == 0, done.err

    assert made(tmp_path / "1") == made(tmp_path / "2")
    assert sorted(name for name in made(tmp_path / "1") if name.startswith("data")) == [
        "data/train-00000-000.parquet",
        "data/train-00001-000.parquet",
    ]
