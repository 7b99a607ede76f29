"""A streamed run goes on after a kill as one whose rows lie here, through a cache of its size."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.slow
BUILD = runpy.run_path(str(Path(__file__).parents[1] / "trainer" / "conftest.py"))
RANKS = runpy.run_path(str(Path(__file__).with_name("test_trainer_ranks.py")))
MIB = 1024**2
FLAGS = (
    "--model-name-or-path tiny --stream-cache-mib 1 --num-train-epochs 2 --save-steps 4 "
    "--per-device-train-batch-size 4 --gradient-accumulation-steps 1 --lora-dropout 0.1 --use-cpu"
)
IN_TURN = "import sys; from vlm_trainer.cli import main; [main(a.split()) for a in sys.argv[1:]]"


def noise_rows(count: int) -> list[dict[str, Any]]:
    """Rows whose pictures do not compress: 37 kB each."""
    made = []
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 255, (112, 112, 3), dtype=np.uint8)
        asked = BUILD["message"]("user", BUILD["IMAGE"], "Which?")
        answer = BUILD["message"]("assistant", str(number))
        images = [BUILD["picture"](pixels)]
        made.append(BUILD["chat_row"](f"n{number}", asked, answer, images=images))
    return made


def start(folder: Path, *commands: str, **environment: str) -> subprocess.Popen[str]:
    """Run commands one after the other in one new process."""
    return subprocess.Popen(
        [sys.executable, "-c", IN_TURN, *(f"{FLAGS} {command}" for command in commands)],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", **environment},
        stderr=subprocess.PIPE,
        text=True,
    )


def watch(process: subprocess.Popen[str], cache: Path, done: Callable[[], bool]) -> int:
    """Wait, and return the most bytes that were seen in a cache."""
    most = 0
    for _ in range(12_000):
        if done():
            return most
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        sizes: dict[str, int] = {}
        for path in cache.glob("*.*"):
            try:  # a part that becomes a block while this looks has two names
                sizes[path.stem] = path.stat().st_size
            except FileNotFoundError:
                continue
        most = max(most, sum(sizes.values()))
        time.sleep(0.005)
    raise AssertionError("no checkpoint")


def test_a_killed_stream_ends_in_the_bytes_of_an_undisturbed_one(tmp_path: Path) -> None:
    BUILD["write_import"](tmp_path / "noise", {"train": noise_rows(96)}, group=4)
    data, cut, whole = f"--data file://{tmp_path}/noise", tmp_path / "cut", tmp_path / "whole"
    manifest = tmp_path / "noise" / "manifest.json"
    content = manifest.read_bytes()
    name = "adapter_model.safetensors"

    killed = start(tmp_path, f"{data} --output-dir cut --dataloader-num-workers 2")
    marker = cut / "checkpoint-32" / "complete.json"  # in the second epoch, of 24 steps
    most = watch(killed, cut / ".stream", marker.exists)
    killed.kill()
    killed.communicate()
    assert not (cut / "finished.json").exists()
    assert MIB // 2 < most < 1.2 * MIB  # what is dropped while it is counted comes on top

    manifest.write_bytes(content + b" ")
    changed = start(tmp_path, f"{data} --output-dir cut")
    _, said = changed.communicate(timeout=120)
    assert changed.returncode == 5, said
    assert "begun with other settings: data was" in said
    manifest.write_bytes(content)
    copied = start(tmp_path, "--data noise --output-dir cut")
    _, said = copied.communicate(timeout=120)
    assert copied.returncode == 5, said
    assert "streamed was [True], is None" in said

    again = start(tmp_path, f"{data} --output-dir cut", f"{data} --output-dir whole")
    _, said = again.communicate(timeout=240)
    assert again.returncode == 0, said[-3000:]
    assert said.count("going on from") == 1
    assert (cut / name).read_bytes() == (whole / name).read_bytes()
    assert not (whole / ".stream").exists()
    assert not (cut / ".stream").exists()


def test_pairs_mixes_and_changed_pictures_are_streamed_as_well(tmp_path: Path) -> None:
    for name, rows, layout in (
        ("noise", noise_rows(24), "conversation"),
        ("few", noise_rows(3), "conversation"),
        ("digits", BUILD["digit_rows"](range(8)), "conversation"),
        ("pairs", BUILD["shade_pairs"](range(12)), "pair"),
    ):
        BUILD["write_import"](tmp_path / name, {"train": rows}, layout=layout, group=3)
    at = f"file://{tmp_path}"

    run = start(
        tmp_path,
        f"--data {at}/noise --dry-run --output-dir dry",
        f"--data {at}/pairs --augment mild --max-steps 4 --output-dir pairs-run",
        f"--data digits --mix {at}/noise=0.5 --mix {at}/few=2 --group-by-length --output-dir mixed",
    )
    _, said = run.communicate(timeout=240)

    assert run.returncode == 0, said[-3000:]
    assert "dry run: a step on the 4 longest rows" in said
    assert not (tmp_path / "dry").exists()
    assert "method  dpo" in said
    assert f"mix     digits: 8 an epoch of 8 rows\n        {at}/noise: 12 an epoch of 24" in said
    assert said.count("MiB, shuffled in windows of 0.25 MiB") == 2
    for name in ("pairs-run", "mixed"):
        assert (tmp_path / name / "adapter_model.safetensors").exists()
    assert "file://" not in (tmp_path / "mixed" / "README.md").read_text()


def test_two_processes_learn_from_a_stream_what_one_does(tmp_path: Path) -> None:
    from vlm_trainer.tiny import write_tiny

    write_tiny(tmp_path / "tiny")
    rows = {"train": noise_rows(41), "test": noise_rows(5)}
    BUILD["write_import"](tmp_path / "noise", rows, group=3)
    options = {
        "model_name_or_path": str(tmp_path / "tiny"),
        "eval_split": "test",
        "stream_cache_mib": 1,
        "dataloader_num_workers": 1,
        "group_by_length": True,
    }
    data = f"file://{tmp_path}/noise"
    two = RANKS["run_of"](data, tmp_path / "two", per_device_train_batch_size=2, **options)
    one = RANKS["run_of"](data, tmp_path / "one", per_device_train_batch_size=4, **options)
    RANKS["in_one_process"](one)

    ends = RANKS["in_two_processes"](tmp_path, [two])

    assert ends == [[None, None]]
    alone, shared = (RANKS["lines_of"](tmp_path / name) for name in ("one", "two"))
    assert len(alone) == 22
    assert [line["loss"] for line in shared] == pytest.approx(
        [line["loss"] for line in alone], abs=1e-4
    )


def test_a_shard_that_goes_away_stops_the_run_with_a_checkpoint_and_it_goes_on(
    tmp_path: Path,
) -> None:
    BUILD["write_import"](tmp_path / "noise", {"train": noise_rows(96)}, group=4)
    data, output = f"file://{tmp_path}/noise", tmp_path / "out"
    shard = tmp_path / "noise" / "data" / "train-00000-000.parquet"

    run = start(tmp_path, f"--data {data} --output-dir out")
    watch(run, output / ".stream", (output / "checkpoint-8" / "complete.json").exists)
    shard.rename(tmp_path / "away")
    _, said = run.communicate(timeout=120)

    assert run.returncode == 3, said[-3000:]
    assert f"{data}/data/{shard.name}: no such file (saved at step" in said
    assert len([line for line in said.splitlines() if line.startswith("vlm-trainer: ")]) == 1
    (tmp_path / "away").rename(shard)
    again = start(tmp_path, f"--data {data} --output-dir out")
    _, said = again.communicate(timeout=120)
    assert again.returncode == 0, said[-3000:]
    assert "going on from" in said


def test_a_run_streams_from_the_hub_in_its_data_workers_and_over_what_fails_there(
    tmp_path: Path, hub: Any
) -> None:
    folder = BUILD["write_import"](tmp_path / "noise", {"train": noise_rows(24)}, group=4)
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    hub.add("me/noise", files)
    command = "--data {} --dataloader-num-workers 2 --output-dir {}"
    hub.large = lambda n: "503" if n == 3 else None
    hub.cuts = 1

    environment = {**hub.env, "HF_HOME": str(tmp_path / "hf-home")}
    run = start(
        tmp_path,
        command.format("hf://datasets/me/noise@main", "far"),
        command.format(f"file://{folder}", "near"),
        **environment,
    )
    _, said = run.communicate(timeout=240)

    assert run.returncode == 0, said[-3000:]
    name = "adapter_model.safetensors"
    assert (tmp_path / "far" / name).read_bytes() == (tmp_path / "near" / name).read_bytes()
    # A read is a request and what it is sent on to: nothing is looked up again.
    assert sum("/api/" in path for path in hub.asked) <= 6
