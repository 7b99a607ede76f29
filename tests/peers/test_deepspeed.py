"""Weights that DeepSpeed deals out to two processes learn what they learn in one piece (DDP)."""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

pytest.importorskip("deepspeed")
ROOT = Path(__file__).parents[2]
BUILD = runpy.run_path(str(ROOT / "tests" / "trainer" / "conftest.py"))
STEPS, SAVED = 6, 3
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Rows of which every third has a picture, so that most steps show one to one process only."""
    message = BUILD["message"]
    rows = [
        digit
        if number % 3 == 0
        else BUILD["chat_row"](
            f"text-{number}", message("user", "In JSON?"), message("assistant", f"{number}")
        )
        for number, digit in enumerate(BUILD["digit_rows"](range(24)))
    ]
    return Path(BUILD["write_import"](tmp_path / "data", {"train": rows}))


@pytest.fixture
def start(data: Path, tmp_path: Path) -> Start:
    """Start a training by two processes under a config of examples/accelerate, made for a CPU."""

    def started(config: str, output: Path, *more: str) -> subprocess.Popen[str]:
        text = (ROOT / "examples" / "accelerate" / config).read_text()
        text = text.replace("mixed_precision: bf16", 'mixed_precision: "no"')
        (tmp_path / config).write_text(text.replace("use_cpu: false", "use_cpu: true"))
        launch = ["-m", "accelerate.commands.launch", "--config_file", str(tmp_path / config)]
        given = {
            "--model-name-or-path": "tiny", "--data": data, "--output-dir": output,
            "--max-steps": STEPS, "--save-steps": SAVED, "--per-device-train-batch-size": 1,
        }  # fmt: skip
        words = [str(word) for pair in given.items() for word in pair]
        return subprocess.Popen(
            [sys.executable, *launch, "-m", "vlm_trainer", *words, "--use-cpu", *more],
            env={**os.environ, "OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    return started


def finish(process: subprocess.Popen[str]) -> str:
    _, said = process.communicate(timeout=400)
    assert process.returncode == 0, said[-3000:]
    return said


def family(pid: int) -> list[int]:
    """Return a process and all below it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *[other for child in children for other in family(int(child))]]


@pytest.mark.parametrize(
    ("config", "tuning"), [("deepspeed_zero2.yaml", "lora"), ("deepspeed_zero3.yaml", "full")]
)
def test_dealt_out_weights_are_those_of_one_piece_and_go_on_after_a_kill(
    start: Start, tmp_path: Path, config: str, tuning: str
) -> None:
    name = "model.safetensors" if tuning == "full" else "adapter_model.safetensors"
    one_piece, whole, cut = (tmp_path / folder for folder in ("ddp", "whole", "cut"))

    finish(start("ddp_cpu.yaml", one_piece, "--tuning", tuning))
    finish(start(config, whole, "--tuning", tuning))
    killed = start(config, cut, "--tuning", tuning)
    while not (cut / f"checkpoint-{SAVED}" / "complete.json").exists():
        assert killed.poll() is None, killed.communicate()[1][-3000:]
        time.sleep(0.02)
    for pid in family(killed.pid):
        os.kill(pid, signal.SIGKILL)
    killed.communicate()
    assert not (cut / "finished.json").exists()
    said = finish(start(config, cut, "--tuning", tuning))

    assert f"going on from {cut / f'checkpoint-{SAVED}'}\n" in said
    assert (cut / name).read_bytes() == (whole / name).read_bytes()
    expected, found = load_file(one_piece / name), load_file(whole / name)
    assert expected.keys() == found.keys()
    for weight, values in expected.items():
        np.testing.assert_allclose(found[weight], values, atol=1e-6, err_msg=weight)
