"""One import on a Ray cluster of two nodes: what it loses on the way leaves the same bytes."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from . import watching

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="needs vlm-datakit[ray]"
)

HERE = Path(__file__).parent
SLICES = 6  # each file is at least one slice
SOURCES = [f"{n}.jsonl" for n in range(SLICES)]
IMPORT = ["import", *SOURCES, "-o", "set", "--from", "traps:FORMAT"]
ENV = {"PYTHONPATH": str(HERE)}  # where traps.py is
PATIENCE_S = 60.0
eventually = partial(watching.eventually, within_s=PATIENCE_S)
LOST = "a worker was killed; another does its slice again"


class Cluster:
    """A real cluster in a process of its own; see ray_cluster.py."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with (folder / "said").open("wb") as said:
            self._process = subprocess.Popen(
                [sys.executable, HERE / "ray_cluster.py"],
                cwd=folder,
                env={**os.environ, **ENV},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            )
        self.address = self.ask("")["address"]

    def ask(self, wish: str) -> dict[str, Any]:
        """Let the cluster ``remove`` its second node, ``add`` one, or only say how it is."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(wish, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        assert answer, (self.folder / "said").read_text()
        facts: dict[str, Any] = json.loads(answer)
        return facts

    def close(self) -> None:
        with self._process:
            self._process.communicate(timeout=PATIENCE_S)

    def held(self) -> list[int]:
        """Return the workers that wait in a trap."""
        return [int(path.name.partition("-")[2]) for path in self.folder.glob("held-*")]

    def let_go(self) -> None:
        (self.folder / "go").touch()


@pytest.fixture(scope="module")
def shared_cluster(tmp_path_factory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    yield cluster
    cluster.close()


@pytest.fixture
def cluster(shared_cluster) -> Cluster:
    """The cluster of all tests, with both nodes and all traps set."""
    if len(shared_cluster.ask("")["raylets"]) == 1:
        shared_cluster.ask("add")
    for path in (*shared_cluster.folder.glob("held-*"), *shared_cluster.folder.glob("go")):
        path.unlink()
    return shared_cluster


@pytest.fixture
def write(tmp_path, write_jsonl) -> Callable[[dict[int, str]], None]:
    """Write six files of five rows; ``write({3: "die"})`` sets a trap in the middle of 3.jsonl."""

    def write_all(traps: dict[int, str]) -> None:
        for n in range(SLICES):
            rows = [{"text": f"{n} + {m}?", "response": f"{n + m}"} for m in range(5)]
            if n in traps:
                rows[2] |= {"trap": traps[n]}
            write_jsonl(tmp_path / f"{n}.jsonl", rows)

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
def begun(cluster, tmp_path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start an import on the cluster and leave it running; nothing of it outlives the test."""
    started = []

    def begin(*more: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "vlm_datakit", *IMPORT, *on(cluster), *more]
        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            env={**os.environ, **ENV},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield begin
    cluster.let_go()
    for process in started:
        process.kill()
        process.communicate()


def on(cluster: Cluster) -> list[str]:
    return ["--engine", "ray", "--ray-address", cluster.address]


def status_of(pid: int) -> list[str]:
    """Return state, parent and so on of a process; nothing if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def is_alive(pid: int) -> bool:
    return status_of(pid)[:1] not in ([], ["Z"])


def test_a_cluster_writes_what_one_process_writes_and_imports_nothing_from_the_current_folder(
    cluster, write, inline, tmp_path, tree
):
    write({})
    expected = inline()
    (tmp_path / "pyarrow.py").write_text("raise SystemExit('not the real one')")
    command = [Path(sys.executable).parent / "vlm-datakit", *IMPORT, *on(cluster), "--json"]

    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, **ENV}, capture_output=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["slices"] == SLICES
    assert tree(tmp_path / "set") == expected


class TestALoss:
    def test_of_a_worker_in_the_middle_of_a_slice_leaves_the_same_bytes(
        self, cluster, begun, write, inline, tmp_path, tree
    ):
        write({3: "hold"})
        process = begun("--json")
        assert eventually(cluster.held)
        (worker,) = cluster.held()
        assert is_alive(worker)

        os.kill(worker, signal.SIGKILL)
        cluster.let_go()

        out, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, err
        assert json.loads(out)["written"] == 30
        assert err.splitlines().count(LOST) == 1
        assert tree(tmp_path / "set") == inline()

    def test_of_a_node_in_the_middle_of_a_slice_leaves_the_same_bytes(
        self, cluster, begun, write, inline, tmp_path, tree
    ):
        write({0: "hold", 1: "hold"})
        process = begun()
        assert eventually(lambda: len(cluster.held()) == 2)
        raylet = str(cluster.ask("")["raylets"][1])
        (there,) = [pid for pid in cluster.held() if status_of(pid)[1] == raylet]

        cluster.ask("remove")
        assert eventually(lambda: not is_alive(there))
        cluster.let_go()

        out, err = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, out) == (0, ""), err
        assert LOST in err.splitlines()
        assert tree(tmp_path / "set") == inline()

    def test_of_three_workers_by_one_slice_ends_the_run_and_keeps_the_others(
        self, cluster, run_cli, write, inline, tmp_path, tree
    ):
        write({3: "die"})

        done = run_cli([*IMPORT, *on(cluster)], env=ENV)

        size = (tmp_path / "3.jsonl").stat().st_size
        assert done.code == 3
        assert done.err.decode().splitlines()[-1] == (
            f"vlm-datakit: error: 3.jsonl: bytes 0 to {size}: the worker that reads them was "
            "killed (no memory left?), 3 times, the last time alone; all slices done are kept: "
            "look at these rows, or give it more memory, and run again"
        )
        again = run_cli([*IMPORT, "--json", "--workers", "1"], env=ENV)
        assert json.loads(again.out)["slices_resumed"] == SLICES - 1
        assert tree(tmp_path / "set") == inline()

    def test_of_the_command_ends_the_tasks_and_the_same_command_goes_on(
        self, cluster, begun, write, inline, tmp_path, tree
    ):
        write({4: "hold", 5: "hold"})
        process = begun()
        assert eventually(lambda: len(cluster.held()) == 2)

        process.kill()

        assert eventually(lambda: not any(map(is_alive, cluster.held())), within_s=10)
        cluster.let_go()
        again = begun("--json")
        out, err = again.communicate(timeout=PATIENCE_S)
        assert again.returncode == 0, err
        assert json.loads(out)["slices_resumed"] >= 1
        assert tree(tmp_path / "set") == inline()


class TestAnError:
    def test_a_bug_says_where_and_ends_the_other_tasks(self, cluster, begun, write):
        write({0: "hold", 1: "bug"})
        process = begun("-q")

        out, err = process.communicate(timeout=PATIENCE_S)

        assert (process.returncode, out) == (1, "")
        (waiting,) = cluster.held()
        assert "ZeroDivisionError: a bug of the format\nwhile converting 1.jsonl:3\n" in err
        assert eventually(lambda: not is_alive(waiting), within_s=5)

    def test_ctrl_c_ends_the_tasks(self, cluster, begun, write):
        write({0: "hold", 1: "hold"})
        process = begun("-q")
        assert eventually(lambda: len(cluster.held()) == 2)

        process.send_signal(signal.SIGINT)

        out, err = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, out) == (130, "")
        assert err == "vlm-datakit: interrupted; the same command goes on\n"
        assert eventually(lambda: not any(map(is_alive, cluster.held())), within_s=10)

    @pytest.mark.parametrize("answer", [1, None], ids=["a thousand first rows", "some rows"])
    def test_refused_rows_end_it_in_the_same_words(
        self, cluster, run_cli, write_jsonl, tmp_path, answer
    ):
        rows = [{"text": "?", "response": "!" if answer is None else 1}] * 1_200
        for name in ("a", "b"):
            write_jsonl(tmp_path / f"{name}.jsonl", [*rows, {"text": "no answer"}])
        command = ["import", "a.jsonl", "b.jsonl", "-q", "--json", "-o"]

        here = run_cli([*command, "set", "--workers", 1], cwd=tmp_path)
        done = run_cli([*command, "other", *on(cluster)], cwd=tmp_path)

        assert (here.code, done.code) == (6, 6)
        assert done.out == here.out.replace(b'"set"', b'"other"')
        assert done.err.splitlines()[-1] == here.err.splitlines()[-1]


class TestWithoutACluster:
    def test_an_address_where_there_is_none_is_told_at_once(self, run_cli, write):
        write({})

        done = run_cli([*IMPORT, "--engine", "ray", "--ray-address", "127.0.0.1:1"], env=ENV)

        last = done.err.decode().splitlines()[-1]
        assert done.code == 4
        assert last.startswith("vlm-datakit: error: cannot connect to Ray at 127.0.0.1:1: ")
        assert last.endswith("Connection refused")

    def test_without_ray_the_extra_is_named_and_nothing_is_written(self, write, tmp_path):
        write({})
        script = "import sys; sys.modules['ray'] = None; import vlm_datakit.cli as c; c.main()"

        done = subprocess.run(
            [sys.executable, "-c", script, *IMPORT, "--engine", "ray"],
            cwd=tmp_path,
            env={**os.environ, **ENV},
            capture_output=True,
            text=True,
            check=False,
        )

        assert done.returncode == 2
        assert done.stderr.splitlines()[-1] == (
            "vlm-datakit: error: --engine ray needs pip install 'vlm-datakit[ray]'"
        )
        assert not (tmp_path / "set").exists()

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            pytest.param(
                ["a.jsonl", "--ray-address", "x:1"],
                "--ray-address says where --engine ray works: add --engine ray",
                id="an address alone",
            ),
            pytest.param(
                ["a.jsonl", "--engine", "ray", "--fetch"],
                "--engine ray goes without --fetch, whose connections one process counts",
                id="--fetch",
            ),
            pytest.param(
                ["-", "--engine", "ray"],
                "--engine ray needs files: standard input comes once, to one process",
                id="standard input",
            ),
            pytest.param(
                ["a.jsonl", "--engine", "ray", "--slices", "0::2"],
                "--slices goes without --engine ray, which gives out all slices itself",
                id="--slices",
            ),
        ],
    )
    def test_what_does_not_go_with_it_is_refused(
        self, cli, write_jsonl, tmp_path, arguments, words
    ):
        rows = write_jsonl(tmp_path / "a.jsonl", [{"text": "?", "response": "!"}])

        done = cli(["import", *arguments, "-o", "set"], input=rows.read_bytes())

        assert done.code == 2
        assert done.err.decode().splitlines()[-1] == f"vlm-datakit: error: {words}"
        assert not (tmp_path / "set").exists()
