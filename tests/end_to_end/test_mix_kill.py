"""A killed run over several folders, pictures changed, ends in the bytes of an undisturbed one."""

from __future__ import annotations

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
    "--model-name-or-path tiny --data plain --mix json=0.5 --mix few=3 --augment mild "
    "--group-by-length --num-train-epochs 3 --save-steps 4 --per-device-train-batch-size 2 "
    "--gradient-accumulation-steps 1 --lora-dropout 0.1 --use-cpu"
)
STEPS_PER_EPOCH = 12  # of 12, 6 and 6 rows
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


def test_a_killed_mix_goes_on_exactly_across_epochs(tmp_path: Path) -> None:
    digit_rows = BUILD["digit_rows"]
    folders = {
        "plain": digit_rows(range(12)),
        "json": digit_rows(range(20, 32), form='{{"digit": "{}"}}'),
        "few": digit_rows(range(40, 42), question="Well?"),
    }
    for name, rows in folders.items():
        BUILD["write_import"](tmp_path / name, {"train": rows})
    cut, whole = tmp_path / "cut", tmp_path / "whole"

    killed = start(tmp_path, "cut")
    marker = cut / "checkpoint-16" / "complete.json"  # in the second epoch
    for _ in range(12_000):
        if marker.exists():
            break
        assert killed.poll() is None, killed.stderr.read() if killed.stderr else ""
        time.sleep(0.01)
    assert marker.exists()
    killed.kill()
    killed.communicate()
    assert not (cut / "finished.json").exists()
    _, said = start(tmp_path, "cut", "whole").communicate(timeout=240)

    assert said.count("going on from") == 1, said[-3000:]
    assert f"steps   {3 * STEPS_PER_EPOCH} ({STEPS_PER_EPOCH} an epoch)" in said
    name = "adapter_model.safetensors"
    assert (cut / name).read_bytes() == (whole / name).read_bytes()
