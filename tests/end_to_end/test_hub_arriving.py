"""Large files of lines on the Hub are converted while they come, and held to their sum at the end.

Through the real client and real processes; a file of two slices that comes in six ranges, of which
the last two are held back.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from .hub_runs import (
    COMMAND,
    MIB,
    asked_bytes,
    flip_once,
    imported_here,
    killed_in_the_midst,
    receipts,
    shards,
    started,
)
from .watching import eventually

LATE = 32 * MIB  # from here on, but for the half that is sent: the second slice
ROWS = 41


@pytest.fixture(scope="module")
def data() -> bytes:
    """Return rows of a MB each, of which no two are equal."""
    rows = [
        b'{"text": "%d%s", "response": "%d"}\n' % (n, b"abcdefgh" * 131_072, n) for n in range(ROWS)
    ]
    return b"".join(rows)


@pytest.fixture
def large(hub: Any, data: bytes) -> Any:
    """Return a set of one file of two slices."""
    assert 40 * MIB < len(data) < 42 * MIB
    return hub.add("owner/large", {"train.jsonl": data})


@pytest.fixture
def held_back(hub: Any, large: Any) -> None:
    """Send of that file only half of each later range, until ``hub.flow`` is set."""
    hub.at = lambda start, size: "halt" if start >= LATE and size > MIB else None


@pytest.fixture(scope="module")
def clean(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return what an import of the same rows makes that waited for nothing: the shards."""
    return imported_here(tmp_path_factory.mktemp("clean"), "train.jsonl", data)


def test_the_first_slice_is_done_before_the_last_byte_was_sent(
    hub: Any, held_back: None, clean: dict[str, bytes], tmp_path: Path
) -> None:
    with started(hub, tmp_path) as process:
        assert eventually(lambda: receipts(tmp_path) == ["00000.json"])
        assert not (tmp_path / "out" / "manifest.json").exists()
        hub.flow.set()
        _, words = process.communicate(timeout=60)

    assert process.returncode == 0, words
    assert shards(tmp_path / "out") == clean
    assert not list(tmp_path.rglob("*incomplete*"))


def test_several_processes_convert_what_comes_to_the_same_bytes(
    hub: Any, held_back: None, clean: dict[str, bytes], tmp_path: Path
) -> None:
    with started(hub, tmp_path, "--workers", "2") as process:
        assert eventually(lambda: receipts(tmp_path) == ["00000.json"])
        hub.flow.set()
        _, words = process.communicate(timeout=60)

    assert process.returncode == 0, words
    assert shards(tmp_path / "out") == clean


@pytest.mark.parametrize("workers", ["1", "2"])
def test_after_a_kill_neither_parts_are_fetched_nor_slices_done_again(
    hub: Any,
    hub_cli: Any,
    held_back: None,
    data: bytes,
    clean: dict[str, bytes],
    tmp_path: Path,
    *,
    workers: str,
) -> None:
    here = killed_in_the_midst(hub, tmp_path, "--workers", workers)
    refused = hub_cli("finish", "out")
    hub.forget()
    hub.at = lambda _, __: None

    done = hub_cli(*COMMAND, "--workers", workers, "--json")

    assert refused.code == 5
    assert done.code == 0, done.err
    assert json.loads(done.out)["slices_resumed"] == 1
    assert asked_bytes(hub) == len(data) - here * MIB
    assert shards(tmp_path / "out") == clean


@pytest.mark.parametrize("kill_at", [40, 62, 86])
def test_a_kill_at_any_moment_leaves_what_the_same_command_ends(
    hub: Any, hub_cli: Any, large: Any, clean: dict[str, bytes], tmp_path: Path, *, kill_at: int
) -> None:
    killed = hub_cli(*COMMAND, kill_at=kill_at)
    done = hub_cli(*COMMAND)

    assert killed.code in (0, -signal.SIGKILL)
    assert done.code == 0, done.err
    assert shards(tmp_path / "out") == clean


def test_what_was_converted_while_it_came_makes_the_set_that_whole_files_make(
    hub: Any, hub_cli: Any, large: Any, tree: Any, tmp_path: Path
) -> None:
    (tmp_path / "whole").mkdir()
    done = hub_cli(*COMMAND)
    whole = [
        hub_cli(*COMMAND, "--slices", "0::1", cwd=tmp_path / "whole"),
        hub_cli("finish", "out", cwd=tmp_path / "whole"),
    ]

    assert [each.code for each in (done, *whole)] == [0, 0, 0], done.err
    assert tree(tmp_path / "out") == tree(tmp_path / "whole" / "out")


@pytest.mark.parametrize(("start", "workers"), [(0, "1"), (LATE, "2")])
def test_a_flipped_byte_in_transit_takes_back_all_that_was_made(
    hub: Any,
    hub_cli: Any,
    large: Any,
    clean: dict[str, bytes],
    tmp_path: Path,
    *,
    start: int,
    workers: str,
) -> None:
    fates = flip_once(hub, start, MIB)

    done = hub_cli(*COMMAND, "--workers", workers)

    assert done.code == 0, done.err
    assert fates == []
    assert b"what came first is not what the Hub states; now it is" in done.err
    assert shards(tmp_path / "out") == clean
    assert not list(tmp_path.rglob("*incomplete*"))


def test_slices_that_were_cut_in_the_wrong_places_are_cut_again(
    hub: Any, hub_cli: Any, large: Any, clean: dict[str, bytes], tmp_path: Path
) -> None:
    looked = threading.Event()

    def fate(start: int, size: int) -> str | None:
        if size < MIB and start > 24 * MIB:
            looked.set()
            return "blank"
        if start == 24 * MIB:  # where slices meet: a look is to ask for it
            looked.wait(20)
        return None

    hub.at = fate
    done = hub_cli(*COMMAND)

    assert looked.is_set()
    assert done.code == 0, done.err
    assert b"what came first is not what the Hub states" in done.err
    assert shards(tmp_path / "out") == clean


def test_in_python_a_flipped_byte_takes_back_all_as_well(
    hub: Any, large: Any, clean: dict[str, bytes], tmp_path: Path
) -> None:
    fates = ["flip"]
    hub.at = lambda start, _: fates.pop() if start == LATE and fates else None
    script = (
        "from vlm_datakit import ImportRequest, import_dataset\n"
        "print(import_dataset(ImportRequest(('owner/large',)), 'out').written)"
    )
    env = {**os.environ, **hub.env, "HF_HOME": str(tmp_path / "hf-home")}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, check=True)

    assert done.stdout == b"%d\n" % ROWS
    assert fates == []
    assert shards(tmp_path / "out") == clean


def test_bytes_that_stay_wrong_end_the_run_without_a_receipt(
    hub: Any, hub_cli: Any, large: Any, clean: dict[str, bytes], tmp_path: Path
) -> None:
    hub.at = lambda start, size: "flip" if start == LATE and size > MIB else None
    never = hub_cli(*COMMAND)
    left = [path.name for path in tmp_path.glob("out/.vlm/work/*/*/*")]
    is_committed = (tmp_path / "out" / "manifest.json").exists()
    hub.at = lambda _, __: None
    done = hub_cli(*COMMAND)

    assert never.code == 4
    assert never.err.count(b"what came is not what the Hub states by its sha256 sum, twice") == 1
    assert not is_committed
    assert left == []
    assert done.code == 0, done.err
    assert shards(tmp_path / "out") == clean


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_server_that_breaks_off_for_good_ends_the_run_with_one_error(
    hub: Any, large: Any, tmp_path: Path, *, workers: str
) -> None:
    def fate(start: int, size: int) -> str | None:
        is_late = start > LATE and size > MIB and eventually(lambda: receipts(tmp_path))
        return "503" if is_late else None

    hub.at = fate

    with started(hub, tmp_path, "--workers", workers) as process:
        _, words = process.communicate(timeout=60)

    assert process.returncode == 4
    assert len([line for line in words.splitlines() if b"run again" in line]) == 1
    assert receipts(tmp_path) == ["00000.json"]


def test_ctrl_c_ends_a_run_that_waits_for_bytes(hub: Any, held_back: None, tmp_path: Path) -> None:
    with started(hub, tmp_path, "--workers", "2") as process:
        assert eventually(lambda: receipts(tmp_path) == ["00000.json"])
        process.send_signal(signal.SIGINT)
        _, words = process.communicate(timeout=10)

    assert process.returncode == 130
    assert words.splitlines()[-1] == b"vlm-datakit: interrupted; the same command goes on"


def test_finish_commits_no_slice_whose_bytes_nobody_has_held(
    hub: Any, hub_cli: Any, large: Any, held_back: None, data: bytes, tmp_path: Path
) -> None:
    large.files["train.jsonl"] = data + b'{"text": "a"}\n'
    with started(hub, tmp_path) as process:
        assert eventually(lambda: receipts(tmp_path) == ["00000.json"])
        hub.flow.set()
        process.communicate(timeout=60)
    (note,) = tmp_path.glob("hf-home/vlm-datakit/verified/*")
    held = note.read_bytes()
    note.unlink()

    refused = hub_cli("finish", "out", "--max-rejects", "1")
    note.write_bytes(held)
    done = hub_cli("finish", "out", "--max-rejects", "1")

    assert process.returncode == 6
    assert refused.code == 5
    assert b"slices are not done" in refused.err
    assert done.code == 0, done.err
