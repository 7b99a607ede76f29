"""A run that is killed, or asked to stop, goes on with the same command and ends the same."""

from __future__ import annotations

import hashlib
import json
import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
BUILD = runpy.run_path(str(Path(__file__).parents[1] / "trainer" / "conftest.py"))
STEPS = 160
SWITCHES = ("--use-cpu", "--eval-on-start", "--keep-best")


def start(
    data: Path | str, output: Path, *launcher: str, **options: object
) -> subprocess.Popen[str]:
    flags: dict[str, object] = {
        "--model-name-or-path": "tiny",
        "--data": data,
        "--output-dir": output,
        "--max-steps": STEPS,
        "--save-steps": 10,
        "--per-device-train-batch-size": 4,
        "--gradient-accumulation-steps": 1,
        "--lora-dropout": 0.1,
        "--eval-share": 0.1,
        "--eval-steps": 20,
        **{f"--{key.replace('_', '-')}": value for key, value in options.items()},
    }
    words = [str(word) for pair in flags.items() if pair[1] is not None for word in pair]
    return subprocess.Popen(
        [*(launcher or [sys.executable]), "-m", "vlm_trainer", *words, *SWITCHES],
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHONUNBUFFERED": "1",
            "ACCELERATE_USE_CPU": "true",
        },
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_checkpoint(output: Path, process: subprocess.Popen[str]) -> None:
    for _ in range(1200):
        if list(output.glob("checkpoint-*/complete.json")):
            return
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        time.sleep(0.1)
    raise AssertionError("no checkpoint")


def finish(data: Path, output: Path) -> str:
    process = start(data, output)
    _, said = process.communicate(timeout=240)
    assert process.returncode == 0, said[-3000:]
    return said


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = BUILD["digit_rows"](range(64))
    return Path(BUILD["write_import"](tmp_path / "data", {"train": rows}))


def test_killed_stopped_and_resumed_runs_end_in_the_bytes_of_an_undisturbed_one(
    tmp_path: Path, data: Path
) -> None:
    output, whole = tmp_path / "cut", tmp_path / "whole"
    finish(data, whole)

    killed = start(data, output)
    wait_for_checkpoint(output, killed)
    killed.kill()
    killed.communicate()
    stopped = start(data, output)
    assert stopped.stderr is not None
    for line in stopped.stderr:
        if line.startswith("going on from"):
            break
    stopped.send_signal(signal.SIGTERM)
    _, said = stopped.communicate(timeout=60)

    assert stopped.returncode == 143, said
    assert "saved; the same command goes on" in said
    assert "going on from" in finish(data, output)
    for name in ("adapter_model.safetensors", "held-out.json", "README.md"):
        digests = {hashlib.sha256((at / name).read_bytes()).hexdigest() for at in (output, whole)}
        assert len(digests) == 1, name
    ended = [json.loads((folder / "finished.json").read_text()) for folder in (output, whole)]
    assert ended[0]["best_step"] == ended[1]["best_step"]
    lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    for loss in ("loss", "eval_loss"):
        steps = [line["step"] for line in lines if loss in line]
        assert steps == sorted(set(steps))
        assert steps[-1] == STEPS


@pytest.mark.parametrize(
    ("scheme", "held_out"),
    [("", {}), ("file://", {"eval_share": None, "eval_split": "test"})],
    ids=["here", "streamed"],
)
def test_two_killed_processes_end_in_the_bytes_of_two_undisturbed_ones_over_uneven_epochs(
    tmp_path: Path, scheme: str, held_out: dict[str, object]
) -> None:
    rows = BUILD["digit_rows"](range(13))  # 8 and 5 rows a step: 2 steps an epoch, 10 epochs
    splits = {"train": rows, "test": BUILD["digit_rows"](range(20, 23))}
    data = f"{scheme}{BUILD['write_import'](tmp_path / 'data', splits, group=2)}"
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    launcher = [sys.executable, *torchrun]
    options = {"max_steps": 20, "save_steps": 3, "expect_processes": 2, **held_out}
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    undisturbed = start(data, whole, *launcher, **options)
    _, said = undisturbed.communicate(timeout=240)
    assert undisturbed.returncode == 0, said[-3000:]

    killed = start(data, cut, *launcher, **options)
    wait_for_checkpoint(cut, killed)
    children = Path(f"/proc/{killed.pid}/task/{killed.pid}/children").read_text().split()
    killed.kill()
    for child in children:
        os.kill(int(child), signal.SIGKILL)
    killed.communicate()
    assert not (cut / "finished.json").exists()
    again = start(data, cut, *launcher, **options)
    _, said = again.communicate(timeout=240)

    assert again.returncode == 0, said[-3000:]
    assert "going on from" in said
    name = "adapter_model.safetensors"
    digests = {hashlib.sha256((at / name).read_bytes()).hexdigest() for at in (cut, whole)}
    assert len(digests) == 1


def test_a_child_whose_launcher_goes_away_saves_and_stops(tmp_path: Path, data: Path) -> None:
    output = tmp_path / "out"
    accelerate = str(Path(sys.executable).with_name("accelerate"))
    launcher = start(data, output, accelerate, "launch", "--cpu", "--num_processes", "1")
    wait_for_checkpoint(output, launcher)

    launcher.send_signal(signal.SIGTERM)
    launcher.wait(timeout=30)

    assert launcher.stderr is not None
    with launcher.stderr as pipe:
        said = pipe.read()  # until the child, which still holds it, has ended
    assert "saved; the same command goes on" in said
    assert not (output / "finished.json").exists()
    assert list(output.glob("checkpoint-*/complete.json"))


def test_accelerate_that_starts_too_few_is_caught(tmp_path: Path, data: Path) -> None:
    accelerate = str(Path(sys.executable).with_name("accelerate"))
    launcher = start(data, tmp_path / "out", accelerate, "launch", "--cpu", "--num_processes", "2")

    _, said = launcher.communicate(timeout=120)

    assert launcher.returncode != 0
    assert "ACCELERATE_USE_CPU=true accelerate launch --multi_gpu --num_processes N" in said
    assert not (tmp_path / "out").exists()
