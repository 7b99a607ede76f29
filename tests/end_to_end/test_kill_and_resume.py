"""An import may die at any instruction: nothing half-made loads, and the same command ends equal.

The kills are real (SIGKILL of a process). ``kill_at=n`` strikes just before the n-th call
that renames, makes, removes or settles something; every n is tried until a run gets through.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

KILLED = -signal.SIGKILL
SLICES, ROWS_IN_SLICE = 3, 4  # a slice is 1 MiB of input when rows name pictures by path
GOOD_ROWS = SLICES * ROWS_IN_SLICE
OLD_ROWS = 2
IMPORT = ["import", "in.jsonl", "-o", "set", "--max-rejects", SLICES, "--workers", 1, "-q"]
OVERWRITE = [*IMPORT, "--overwrite"]
OLD = ["import", "old.jsonl", "-o", "set", "-q"]
LAST_SLICE = 36  # a step while the last slice is made: what follows is the commit


@pytest.fixture(scope="module")
def source(tmp_path_factory, write_jsonl, chat, png_bytes) -> Path:
    """A folder with in.jsonl of three slices and old.jsonl, and the pictures their rows name."""
    folder = tmp_path_factory.mktemp("source")
    noise = random.Random(0)
    for index in range(3):
        (folder / f"{index}.png").write_bytes(png_bytes(20, 10 + index, color=(index, 9, 9)))
    write_jsonl(folder / "old.jsonl", [chat("?", "old", "0.png")] * OLD_ROWS)
    with (folder / "in.jsonl").open("wb") as file:
        for index in range(GOOD_ROWS):
            if index % ROWS_IN_SLICE == 1:
                file.write(b"{cut in the mid\n")
            text = noise.randbytes(80).hex() + " " * 270_000
            file.write(json.dumps(chat(text, f"{index}", f"{index % 3}.png")).encode() + b"\n")
    return folder


@pytest.fixture(scope="module")
def uninterrupted(source: Path, tmp_path_factory, tree) -> dict[str, bytes]:
    """What the import writes when nothing happens."""
    out = tmp_path_factory.mktemp("whole") / "set"
    command = [sys.executable, "-m", "vlm_datakit", *map(str, IMPORT)]
    command[command.index("set")] = str(out)
    subprocess.run(command, cwd=source, check=True, timeout=60)
    written = tree(out)
    assert [name for name in written if name.startswith("rejects/")] == [
        f"rejects/rejects-{number:05d}.jsonl" for number in range(SLICES)
    ]
    return written


@pytest.fixture
def loaded_rows(tmp_path_factory) -> Callable[[Path], int | None]:
    """Return how many rows ``load_dataset`` finds in a folder, or None if it raises."""
    import datasets

    cache = str(tmp_path_factory.mktemp("cache"))

    def count(folder: Path) -> int | None:
        try:
            sets = datasets.load_dataset(str(folder), cache_dir=cache)
        except (FileNotFoundError, ValueError):  # EmptyDatasetError and DataFilesNotFoundError
            return None
        return sum(len(rows) for rows in sets.values())

    return count


def linked(source: Path, folder: Path) -> Path:
    """Give a run a place of its own; the source is shared, times and all."""
    folder.mkdir(parents=True)
    for path in source.iterdir():
        (folder / path.name).hardlink_to(path)
    return folder


def state(folder: Path) -> str:
    """Name what stands in an output folder, as far as a loader can see."""
    names = {path.name for path in folder.iterdir()} if folder.exists() else set()
    seen = [name for name in ("README.md", "data", "manifest.json") if name in names]
    return " ".join(seen) or "nothing"


def test_at_every_step_nothing_half_made_loads_and_the_same_command_ends_equal(
    cli, source, uninterrupted, loaded_rows, tmp_path, tree
):
    seen: dict[str, set[int | None]] = {}
    for step in range(1, 1_000):
        place = linked(source, tmp_path / f"{step}")
        done = cli(IMPORT, cwd=place, kill_at=step)
        if done.code == 0:
            break
        assert done.code == KILLED, (step, done.err)
        seen.setdefault(state(place / "set"), set()).add(loaded_rows(place / "set"))

        again = cli(IMPORT, cwd=place)

        assert again.code == 0, (step, again.err)
        assert tree(place / "set") == uninterrupted, step
    assert step > 10 * SLICES
    assert seen == {
        "nothing": {None},
        "README.md": {None},
        "README.md data": {GOOD_ROWS},  # the short window before the manifest
        "README.md data manifest.json": {GOOD_ROWS},
    }


@pytest.fixture
def overwritten(cli, source, tmp_path) -> Callable[[int], tuple[Path, int]]:
    """Overwrite an old set, killed at a step; return the place and the exit code."""

    def run(step: int) -> tuple[Path, int]:
        place = linked(source, tmp_path / f"{step}")
        cli(OLD, cwd=place)
        return place, cli(OVERWRITE, cwd=place, kill_at=step).code

    return run


def test_an_overwrite_killed_at_every_step_of_its_commit_ends_as_if_it_never_was(
    cli, overwritten, uninterrupted, loaded_rows, tree
):
    seen: dict[str, set[int | None]] = {}
    for step in range(LAST_SLICE, 1_000):
        place, code = overwritten(step)
        if code == 0:
            break
        seen.setdefault(state(place / "set"), set()).add(loaded_rows(place / "set"))

        again = cli(OVERWRITE, cwd=place)

        assert (code, again.code) == (KILLED, 0), (step, again.err)
        assert tree(place / "set") == uninterrupted, step
    assert seen == {
        "README.md data manifest.json": {OLD_ROWS, GOOD_ROWS},
        "README.md data": {OLD_ROWS, GOOD_ROWS},  # each set is whole, with its own card
        "README.md": {None},
    }


def test_an_overwrite_killed_while_it_cleans_up_can_be_overwritten_again(
    cli, overwritten, loaded_rows
):
    """The last steps of a commit delete the work folder and the replaced set."""
    for step in range(LAST_SLICE + 15, 1_000):
        place, code = overwritten(step)
        if code == 0:
            break
        if (place / "set/.vlm/replaced").exists() and (place / "set/manifest.json").exists():
            back = cli([*OLD, "--overwrite"], cwd=place)

            assert (back.code, loaded_rows(place / "set")) == (0, OLD_ROWS), (step, back.err)


def test_another_import_into_a_folder_left_in_mid_commit_is_refused_with_the_way_out(
    cli, source, uninterrupted, tmp_path, tree
):
    """Its own half-done work lies there too: it must not push the other's data aside."""
    other = [*IMPORT, "--rejects-raw"]
    for step in range(LAST_SLICE, LAST_SLICE + 40):
        place = linked(source, tmp_path / f"{step}")
        cli(other, cwd=place, kill_at=20)
        cli(IMPORT, cwd=place, kill_at=step)
        if state(place / "set") == "README.md data":
            break

    refused = cli(other, cwd=place)
    done = cli(IMPORT, cwd=place)

    assert refused.code == 5, refused.err
    assert b"run that command again, or delete the folder" in refused.err
    assert (done.code, tree(place / "set")) == (0, uninterrupted)


@pytest.mark.parametrize("seed", range(4))
def test_killed_again_and_again_at_random_moments(
    source, uninterrupted, loaded_rows, tmp_path, tree, seed
):
    place = linked(source, tmp_path / "place")
    moments, workers = random.Random(seed), f"{1 + seed % 2}"
    command = [sys.executable, "-m", "vlm_datakit", *map(str, IMPORT), "--workers", workers]
    for _ in range(4):
        with subprocess.Popen(command, cwd=place) as process:
            try:
                process.wait(moments.uniform(0.3, 1.0))
            except subprocess.TimeoutExpired:
                process.kill()
        assert loaded_rows(place / "set") in (None, GOOD_ROWS)

    subprocess.run(command, cwd=place, check=True, timeout=60)

    assert tree(place / "set") == uninterrupted


def test_a_rerun_does_no_slice_twice(cli, source, tmp_path):
    place = linked(source, tmp_path / "place")
    cli(IMPORT, cwd=place, kill_at=36)
    made = {path.name: path.stat().st_ino for path in place.glob("set/.vlm/work/*/data/*.parquet")}
    receipts = len(list(place.glob("set/.vlm/work/*/receipts/*.json")))

    done = cli([*IMPORT[:-1], "--json"], cwd=place)

    standing = {path.name: path.stat().st_ino for path in place.glob("set/data/*.parquet")}
    assert json.loads(done.out)["slices_resumed"] == receipts > 1
    assert len(set(made.items()) & set(standing.items())) >= receipts
