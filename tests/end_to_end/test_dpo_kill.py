"""A DPO run that is killed goes on with the same command and ends in the same bytes."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
BUILD = runpy.run_path(str(Path(__file__).parents[1] / "trainer" / "conftest.py"))
STEPS = 30


def start(data: Path, output: Path) -> subprocess.Popen[str]:
    flags = {
        "--model-name-or-path": "tiny",
        "--data": data,
        "--output-dir": output,
        "--max-steps": STEPS,
        "--save-steps": 4,
        "--per-device-train-batch-size": 2,
        "--gradient-accumulation-steps": 2,
        "--lora-dropout": 0.1,
        "--method": "dpo",
    }
    words = [str(word) for pair in flags.items() for word in pair]
    return subprocess.Popen(
        [sys.executable, "-m", "vlm_trainer", *words, "--use-cpu"],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(data: Path, output: Path) -> str:
    process = start(data, output)
    _, said = process.communicate(timeout=240)
    assert process.returncode == 0, said[-3000:]
    return said


def test_a_killed_run_ends_in_the_bytes_of_an_undisturbed_one(tmp_path: Path) -> None:
    rows = BUILD["shade_pairs"](range(24))
    data = Path(BUILD["write_import"](tmp_path / "data", {"train": rows}, layout="pair"))
    output, whole = tmp_path / "cut", tmp_path / "whole"
    finish(data, whole)

    killed = start(data, output)
    for _ in range(1200):
        if list(output.glob("checkpoint-*/complete.json")):
            break
        assert killed.poll() is None, killed.stderr.read() if killed.stderr else ""
        time.sleep(0.05)
    killed.kill()
    killed.communicate()

    assert not (output / "finished.json").exists()
    assert "going on from" in finish(data, output)
    name = "adapter_model.safetensors"
    assert (output / name).read_bytes() == (whole / name).read_bytes()
    lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    steps = [line["step"] for line in lines]
    assert steps == sorted(set(steps))
    assert {"rewards/chosen", "rewards/rejected", "rewards/accuracies", "rewards/margins"} <= set(
        lines[-1]
    )
