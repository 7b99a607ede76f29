"""Many processes at one import: what kills one of them, or all, leaves the same bytes."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .watching import PATIENCE_S, children, eventually, held, is_alive, put_down

HERE = Path(__file__).parent
SLICES = 6  # each file is at least one slice
SOURCES = [f"{n}.jsonl" for n in range(SLICES)]
IMPORT = ["import", *SOURCES, "-o", "set", "--from", "traps:FORMAT", "--max-rejects", "2"]
ENV = {"PYTHONPATH": str(HERE)}  # where traps.py is
TWO = ["--workers", "2"]
INTERRUPTED = "vlm-datakit: interrupted; the same command goes on\n"


@pytest.fixture
def write(tmp_path, write_jsonl) -> Callable[..., None]:
    """Write six files of five rows; ``write({3: "die"})`` sets a trap in the middle of 3.jsonl."""

    def write_all(traps: dict[int, str], folder: Path = tmp_path) -> None:
        for n in range(SLICES):
            rows = [{"text": f"{n} + {m}?", "response": f"{n + m}"} for m in range(5)]
            if n in traps:
                rows[2] |= {"trap": traps[n]}
            broken = [b'{"text": "cut'] if n in (1, 4) else []
            write_jsonl(folder / f"{n}.jsonl", [*rows, *broken])

    return write_all


@pytest.fixture
def inline(run_cli, tmp_path, tree) -> Callable[[], dict[str, bytes]]:
    """Import what stands in tmp_path in one process, where no trap hurts; return the bytes."""

    def run() -> dict[str, bytes]:
        command = [*IMPORT, "--workers", "1"]
        command[command.index("set")] = "whole/set"
        done = run_cli(command, env=ENV)
        assert done.code == 0, done.err
        return tree(tmp_path / "whole/set")

    return run


@pytest.fixture
def begun(tmp_path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start an import and leave it running; nothing of it outlives the test."""
    started = []

    def begin(*more: str, **options: object) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "vlm_datakit", *IMPORT, *TWO, *more]
        env = {**os.environ, **ENV}
        process = subprocess.Popen(
            command, cwd=tmp_path, env=env, stderr=subprocess.PIPE, start_new_session=True
        )
        started.append(process)
        return process

    yield begin
    put_down(started)


def test_any_number_of_workers_writes_the_same_bytes(run_cli, write, inline, tmp_path, tree):
    write({})

    done = run_cli([*IMPORT, "--json"], env=ENV)  # as many as there are cores
    two = run_cli([*IMPORT, *TWO, "-o", "2/set"], env=ENV)
    many = run_cli([*IMPORT, "--workers", "99", "-o", "99/set"], env=ENV)

    assert (done.code, two.code, many.code) == (0, 0, 0), done.err + two.err + many.err
    summary = json.loads(done.out)
    assert (summary["slices"], summary["written"], summary["rejected"]) == (SLICES, 30, 2)
    expected = inline()
    assert [tree(tmp_path / name) for name in ("set", "2/set", "99/set")] == [expected] * 3


class TestAKilledWorker:
    def test_is_replaced_and_the_bytes_are_the_same(self, run_cli, write, inline, tmp_path, tree):
        write({3: "die-once"})

        done = run_cli([*IMPORT, *TWO], env=ENV)

        assert done.code == 0, done.err
        assert (tmp_path / "died").exists()
        assert done.err.count(b"a worker was killed; another does its slice again") == 1
        assert tree(tmp_path / "set") == inline()

    @pytest.mark.parametrize("number", [signal.SIGKILL, 40], ids=["SIGKILL", "a nameless one"])
    def test_may_be_any_of_them(self, begun, write, inline, tmp_path, tree, number):
        write({0: "hold", 1: "hold"})
        process = begun()
        assert eventually(lambda: len(held(tmp_path)) == 2)
        assert sorted(children(process.pid)) == sorted(held(tmp_path))

        for pid in held(tmp_path):
            os.kill(pid, number)
        (tmp_path / "go").touch()

        assert (process.wait(PATIENCE_S), tree(tmp_path / "set")) == (0, inline())

    def test_three_times_by_the_same_slice_ends_the_run_and_keeps_the_others(
        self, run_cli, write, inline, tmp_path, tree
    ):
        write({3: "die"})

        done = run_cli([*IMPORT, *TWO], env=ENV)

        size = (tmp_path / "3.jsonl").stat().st_size
        assert done.code == 3
        assert done.err.decode().splitlines()[-1] == (
            f"vlm-datakit: error: 3.jsonl: bytes 0 to {size}: the worker that reads them was "
            "killed by SIGKILL (no memory left?), 3 times, the last time alone; all slices done "
            "are kept: look at these rows, or give it more memory, and run again"
        )
        again = run_cli([*IMPORT, "--json", "--workers", "1"], env=ENV)
        assert json.loads(again.out)["slices_resumed"] == SLICES - 1
        assert tree(tmp_path / "set") == inline()


class TestAnErrorInAWorker:
    def test_a_bug_says_where_and_ends_the_others_at_once(self, begun, write, tmp_path):
        write({0: "hold", 1: "bug"})
        process = begun()

        said = process.communicate(timeout=PATIENCE_S)[1].decode()

        assert process.returncode == 1
        (waiting,) = held(tmp_path)
        assert "ZeroDivisionError: a bug of the format\nwhile converting 1.jsonl:3\n" in said
        assert 'in a worker: Traceback (most recent call last):\n  File "' in said
        assert not is_alive(waiting)

    def test_a_full_disk_is_one_line_and_a_rerun_ends_with_the_same_bytes(
        self, shell, write_jsonl, tmp_path, tree
    ):
        noise = random.Random(0)
        for name in ("a", "b", "c"):
            rows = [{"text": noise.randbytes(20_000).hex(), "response": "yes"} for _ in range(10)]
            write_jsonl(tmp_path / f"{name}.jsonl", rows[: 2 if name == "a" else 10])
        command = "vlm-datakit import a.jsonl b.jsonl c.jsonl -q --workers 2 -o"

        full = shell(f"ulimit -f 100; {command} set")

        assert full.code == 5, full.err
        assert len(full.err.splitlines()) == 1
        assert full.err.endswith("File too large; run again to go on\n")
        assert shell(f"{command} set; {command} whole/set --workers 1").code == 0
        assert tree(tmp_path / "set") == tree(tmp_path / "whole/set")

    def test_a_thousand_bad_first_rows_stop_the_run(self, run_cli, write_jsonl, tmp_path):
        for name in ("a", "b"):
            write_jsonl(tmp_path / f"{name}.jsonl", [{"text": "?", "response": 1}] * 1_500)

        done = run_cli(["import", "a.jsonl", "b.jsonl", "-o", "set", *TWO])

        last = done.err.splitlines()[-1]
        assert done.code == 6
        assert last.startswith(b"vlm-datakit: error: the first 1,000 rows were all refused")

    def test_rows_refused_by_workers_are_accepted_at_once(self, shell, write):
        write({})
        refused = shell(f"vlm-datakit import {' '.join(SOURCES)} -o set --workers 2")
        (command,) = [line for line in refused.err.splitlines() if line.startswith("  vlm-datakit")]

        accepted = shell(f"{command} --json")

        assert refused.code == 6
        assert "--max-rejects 2" in command
        assert json.loads(accepted.out)["slices_resumed"] == SLICES


class TestAKilledParent:
    def test_leaves_no_worker_and_the_same_command_goes_on(
        self, begun, run_cli, write, inline, tmp_path, tree
    ):
        write({2: "hold", 3: "hold"})
        process = begun()
        assert eventually(lambda: len(held(tmp_path)) == 2)

        process.kill()

        assert eventually(lambda: not any(map(is_alive, held(tmp_path))), within_s=2)
        (tmp_path / "go").touch()
        again = run_cli([*IMPORT, *TWO, "--json"], env=ENV)
        assert again.code == 0, again.err
        assert json.loads(again.out)["slices_resumed"] >= 1
        assert tree(tmp_path / "set") == inline()

    def test_what_killed_workers_left_half_made_is_cleared_away(
        self, begun, run_cli, write, tmp_path
    ):
        write({2: "hold", 3: "hold"})
        process = begun()
        assert eventually(lambda: len(held(tmp_path)) == 2)
        process.kill()
        (work,) = tmp_path.glob("set/.vlm/work/*")
        orphan = work / "data/.train-00002-000.parquet.0a1b2c3d"
        orphan.write_bytes(b"PAR1")

        refused = run_cli([*IMPORT, "--max-rejects", "0", "--workers", "1"], env=ENV)

        assert refused.code == 6
        assert not orphan.exists()

    @pytest.mark.parametrize(
        ("number", "code", "words"),
        [
            pytest.param(signal.SIGINT, 130, INTERRUPTED, id="Ctrl-C"),
            pytest.param(signal.SIGTERM, -signal.SIGTERM, "", id="SIGTERM"),
        ],
    )
    @pytest.mark.parametrize("send", [os.kill, os.killpg], ids=["parent", "group"])
    def test_a_signal_ends_all_within_a_second(
        self, begun, write, tmp_path, *, number, code, words, send
    ):
        write({0: "hold", 1: "hold"})
        process = begun("-q")
        assert eventually(lambda: len(held(tmp_path)) == 2)

        send(process.pid, number)

        _, err = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, err.decode()) == (code, words)
        assert eventually(lambda: not any(map(is_alive, held(tmp_path))), within_s=1)


def test_a_second_import_is_refused_while_workers_are_busy(begun, run_cli, write, tmp_path):
    write({0: "hold"})
    first = begun()
    assert eventually(lambda: held(tmp_path))

    second = run_cli([*IMPORT, *TWO], env=ENV)

    (tmp_path / "go").touch()
    assert (second.code, first.wait(PATIENCE_S)) == (5, 0)
    assert second.err.splitlines()[-1] == (
        b"vlm-datakit: error: set: another import is writing to this folder"
    )


def test_a_module_in_the_current_folder_is_not_imported_by_workers(run_cli, write, tmp_path):
    """A folder of data may hold anything, also a file named as a module."""
    write({})
    (tmp_path / "pickle.py").write_text("raise SystemExit('not the real one')")
    command = f"{Path(sys.executable).parent / 'vlm-datakit'}"

    done = subprocess.run(
        [command, *IMPORT, *TWO], cwd=tmp_path, env={**os.environ, **ENV}, check=False
    )

    assert done.returncode == 0
