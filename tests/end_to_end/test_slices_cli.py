"""One import by many jobs, ``--slices I::N``, which know nothing of each other; then ``finish``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vlm_datakit.runner.output import locked

SLICES = 5
SOURCES = [f"{n}.jsonl" for n in range(SLICES)]
PART = ["import", *SOURCES, "-o", "set", "--workers", 1, "-q"]
FINISH = ["finish", "set", "--max-rejects", 1, "-q"]
KILLED = -9


def last_error(err: bytes) -> str:
    """Return the last line, which must be the error."""
    assert b"Traceback" not in err, err.decode()
    return err.decode().splitlines()[-1].removeprefix("vlm-datakit: error: ")


@pytest.fixture
def place(write_jsonl, tmp_path) -> Path:
    """A folder with five files of four rows each; one row is broken."""
    for n in range(SLICES):
        rows = [{"text": f"{n} + {m}?", "response": f"{n + m}"} for m in range(4)]
        write_jsonl(tmp_path / f"{n}.jsonl", [*rows, *([b"{cut"] if n == 2 else [])])
    return tmp_path


@pytest.fixture
def whole(cli, place, tree) -> dict[str, bytes]:
    """What one import in one process writes."""
    (place / "whole").mkdir()
    done = cli(
        [*(f"../{word}" if word in SOURCES else word for word in PART), "--max-rejects", 1],
        cwd=place / "whole",
    )
    assert done.code == 0, done.err
    return tree(place / "whole/set")


@pytest.fixture
def parts_done(cli, place) -> Path:
    """The folder after two jobs that did all slices between them."""
    for part in ("0::2", "1::2"):
        assert cli([*PART, "--slices", part]).code == 0
    return place / "set"


def test_jobs_that_start_at_once_on_no_folder_write_what_one_import_writes(cli, place, whole, tree):
    command = [sys.executable, "-m", "vlm_datakit", *map(str, PART), "--slices"]
    jobs = [subprocess.Popen([*command, f"{n}::4"], cwd=place) for n in range(4)]
    codes = [job.wait(60) for job in jobs]
    before = [path.name for path in (place / "set").iterdir()]

    done = cli([*FINISH, "--json"])

    summary = json.loads(done.out)
    assert (codes, before, done.code) == ([0] * 4, [".vlm"], 0)
    assert (summary["written"], summary["rejected"], summary["committed"]) == (20, 1, True)
    assert tree(place / "set") == whole


def test_jobs_that_do_the_same_slices_at_once_harm_nothing(cli, place, whole, tree):
    command = [sys.executable, "-m", "vlm_datakit", *map(str, PART), "--slices", "0::1"]
    jobs = [subprocess.Popen(command, cwd=place) for _ in range(3)]
    codes = [job.wait(60) for job in jobs]

    done = cli(FINISH)

    assert (codes, done.code) == ([0] * 3, 0)
    assert tree(place / "set") == whole


def test_a_job_says_what_is_done_and_what_commits_it(cli, place):
    first = cli([*PART, "--slices", "1::2"])
    again = cli([*PART, "--slices", "1::2", "--json"])
    last = cli([*PART, "--slices", "0::2"])

    assert first.err.decode().splitlines() == [
        "set: this job's 2 slices are done: 8 rows, 0 refused",
        "2 of 5 slices are done; when all are, `vlm-datakit finish set` commits them",
    ]
    assert json.loads(again.out)["slices_resumed"] == 2
    assert json.loads(again.out)["committed"] is False
    assert last.err.decode().splitlines()[-1] == (
        "all 5 slices are done, `vlm-datakit finish set` commits them"
    )


def test_more_jobs_than_slices_leave_some_idle(cli, place):
    done = cli([*PART, "--slices", "8::9", "--json"])

    assert (done.code, json.loads(done.out)["slices_mine"]) == (0, 0)


def test_a_job_may_have_workers_of_its_own(run_cli, place, whole, tree):
    part = [word if word != 1 else 2 for word in PART]
    codes = [run_cli([*map(str, part), "--slices", f"{n}::2"]).code for n in range(2)]

    done = run_cli(map(str, FINISH))

    assert (codes, done.code) == ([0, 0], 0)
    assert tree(place / "set") == whole


class TestFinish:
    def test_too_early_names_what_is_missing_and_the_import_does_just_that(
        self, cli, place, whole, tree
    ):
        cli([*PART, "--slices", "0::3"])

        early = cli(FINISH)
        done = cli([*PART, "--max-rejects", 1, "--json"])

        assert (early.code, last_error(early.err)) == (
            5,
            "set: 3 of 5 slices are not done (1, 2, 4); run the import again without --slices: "
            "it does only what is missing, and commits",
        )
        assert json.loads(done.out)["slices_resumed"] == 2
        assert tree(place / "set") == whole

    def test_twice_touches_nothing(self, cli, parts_done, stamps):
        first = cli(FINISH)
        before = stamps(parts_done)

        second = cli(FINISH)

        assert (first.code, second.code, stamps(parts_done)) == (0, 0, before)
        assert second.err.startswith(b"set: finished before, nothing to do\n")

    def test_a_job_that_comes_late_touches_nothing(self, cli, parts_done, stamps):
        cli(FINISH)
        before = stamps(parts_done)

        late = cli([*PART, "--slices", "0::2"])

        assert (late.code, stamps(parts_done)) == (0, before)

    @pytest.mark.usefixtures("parts_done")
    def test_without_consent_prints_the_command_that_gives_it(self, shell):
        refused = shell("vlm-datakit finish set")
        (command,) = [line for line in refused.err.splitlines() if line.startswith("  vlm-datakit")]

        accepted = shell(command)

        assert (refused.code, accepted.code) == (6, 0)
        assert command == "  vlm-datakit finish set --max-rejects 1"
        assert "refused  2.jsonl:5 $ json-invalid: " in refused.err
        assert "1 of 21 rows were refused; nothing was committed" in refused.err

    def test_needs_no_source_in_sight(self, cli, parts_done, whole, tree):
        for name in SOURCES:
            (parts_done.parent / name).unlink()

        done = cli(FINISH)

        assert (done.code, tree(parts_done)) == (0, whole)

    def test_a_source_in_sight_that_changed_is_refused(self, cli, parts_done):
        os.utime(parts_done.parent / "1.jsonl", ns=(1, 1))

        done = cli(FINISH)

        assert done.code == 3
        assert last_error(done.err).startswith("1.jsonl: changed while it was imported")
        assert not (parts_done / "data").exists()

    @pytest.mark.parametrize("found", ["no folder", "an empty folder", "a lock only"])
    def test_of_nothing_says_so(self, cli, tmp_path, found):
        if found != "no folder":
            (tmp_path / "set" / (".vlm" if found == "a lock only" else "")).mkdir(parents=True)

        done = cli(FINISH)

        assert done.code == 3
        assert last_error(done.err).startswith("set: no import ")

    def test_of_a_strangers_folder_is_refused(self, cli, tmp_path):
        (tmp_path / "set").mkdir()
        (tmp_path / "set/notes.txt").touch()

        assert cli(FINISH).code == 5

    def test_of_two_plans_takes_the_whole_one(self, cli, place, whole, tree):
        for more in ([], ["--rejects-raw"]):
            cli([*PART, "--slices", "0::2", *more])
        halves = cli(FINISH)
        cli([*PART, "--slices", "1::2"])

        done = cli(FINISH)

        assert halves.code == 5
        assert "set: 2 plans were begun here (" in last_error(halves.err)
        assert (done.code, tree(place / "set")) == (0, whole)

    @pytest.mark.usefixtures("parts_done")
    def test_of_two_whole_plans_names_both(self, cli):
        cli([*PART, "--slices", "0::1", "--rejects-raw"])

        done = cli(FINISH)

        assert done.code == 5
        assert last_error(done.err).count("all slices done") == 2
        assert "rejects_raw was" in last_error(done.err)

    def test_a_plan_that_is_not_its_folders_is_none(self, cli, parts_done):
        (work,) = parts_done.glob(".vlm/work/*")
        plan = work / "plan.json"
        plan.write_bytes(plan.read_bytes().replace(b'"simple"', b'"trl"'))

        done = cli(FINISH)

        assert done.code == 3
        assert last_error(done.err).startswith("set: no import that could be finished; ")

    def test_killed_at_every_step_the_next_one_ends_with_the_same_bytes(
        self, cli, parts_done, whole, tree, tmp_path_factory
    ):
        for step in range(1, 100):
            copy = tmp_path_factory.mktemp("copy")
            subprocess.run(["cp", "-r", str(parts_done), str(copy)], check=True)
            killed = cli(FINISH, cwd=copy, kill_at=step)
            if killed.code == 0:
                break

            again = cli(FINISH, cwd=copy)

            assert (killed.code, again.code) == (KILLED, 0), (step, again.err)
            assert tree(copy / "set") == whole, step
        assert step > 10

    def test_leaves_out_what_killed_jobs_left_half_made(self, cli, parts_done, whole, tree):
        (work,) = parts_done.glob(".vlm/work/*")
        for name in ("data/.train-00001-000.parquet.0a1b", "rejects/rejects-00004.jsonl"):
            (work / name).write_bytes(b"cut")

        done = cli(FINISH)

        assert (done.code, tree(parts_done)) == (0, whole)


class TestTheLock:
    @pytest.mark.parametrize("command", [PART, FINISH], ids=["import", "finish"])
    def test_jobs_keep_out_who_would_commit(self, cli, parts_done, command):
        with locked(parts_done, shared=True):
            refused = cli(command)
            other = cli([*PART, "--slices", "0::2"])

        assert (refused.code, other.code) == (5, 0)
        assert last_error(refused.err) == "set: another import is writing to this folder"

    def test_an_import_keeps_out_jobs(self, cli, parts_done):
        with locked(parts_done):
            refused = cli([*PART, "--slices", "0::2"])

        assert refused.code == 5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["--slices", "2::2"], "--slices takes I::N", id="too high"),
        pytest.param(["--slices", "-1::2"], "--slices takes I::N", id="negative"),
        pytest.param(["--slices", "1:2"], "--slices takes I::N", id="one colon"),
        pytest.param(["--slices", "0::2", "--max-rejects", 1], "give --max-rejects to", id="yes"),
        pytest.param(["--slices", "0::2", "--overwrite"], "without --overwrite", id="overwrite"),
        pytest.param(["--slices", "0::2", "--fetch"], "without --fetch", id="fetch"),
        pytest.param(["--slices", "0::2", "test=-"], "--slices needs files", id="pipe"),
        pytest.param(["--workers", "0"], "Invalid value for '--workers'", id="no workers"),
    ],
)
def test_what_does_not_go_together_is_a_usage_error(cli, place, arguments, words):
    done = cli([*PART, *arguments], input=b'{"text": "?", "response": "!"}\n')

    assert done.code == 2
    assert words in last_error(done.err)
    assert not (place / "set").exists()
