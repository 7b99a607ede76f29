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
FLAGS = (
    "--model-name-or-path tiny --data data --method dpo --max-steps 30 --save-steps 4 "
    "--per-device-train-batch-size 2 --gradient-accumulation-steps 2 --lora-dropout 0.1 --use-cpu"
)
IN_TURN = "import sys; from vlm_trainer.cli import main; [main(a.split()) for a in sys.argv[1:]]"


def start(folder: Path, *outputs: str) -> subprocess.Popen[str]:
    """Run the command for each output, one after the other, in one new process."""
    commands = [f"{FLAGS} --output-dir {output}" for output in outputs]
    return subprocess.Popen(
        [sys.executable, "-c", IN_TURN, *commands],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_killed_run_ends_in_the_bytes_of_an_undisturbed_one(tmp_path: Path) -> None:
    rows = BUILD["shade_pairs"](range(24))
    BUILD["write_import"](tmp_path / "data", {"train": rows}, layout="pair")
    cut, whole = tmp_path / "cut", tmp_path / "whole"

    killed = start(tmp_path, "cut")
    for _ in range(2400):
        if list(cut.glob("checkpoint-*/complete.json")):
            break
        assert killed.poll() is None, killed.stderr.read() if killed.stderr else ""
        time.sleep(0.05)
    killed.kill()
    killed.communicate()
    assert not (cut / "finished.json").exists()
    _, said = start(tmp_path, "cut", "whole").communicate(timeout=240)

    assert said.count("going on from") == 1, said[-3000:]
    name = "adapter_model.safetensors"
    assert (cut / name).read_bytes() == (whole / name).read_bytes()
    lines = [json.loads(line) for line in (cut / "metrics.jsonl").read_text().splitlines()]
    steps = [line["step"] for line in lines]
    assert steps == sorted(set(steps))
    rewards = {f"rewards/{name}" for name in ("chosen", "rejected", "accuracies", "margins")}
    assert rewards <= set(lines[-1])
