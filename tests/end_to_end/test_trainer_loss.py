"""One step learns the same however its rows are dealt out: at once, in turn, or to processes."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
BUILD = runpy.run_path(str(Path(__file__).parents[1] / "trainer" / "conftest.py"))

ROWS = 24  # of unequal length and with 0, 1 and 2 images: 3 steps of 8
STEPS = 3
CASES = {
    "8 x 1, 1 process": (1, 8, 1),
    "1 x 8, 1 process": (1, 1, 8),
    "4 x 1, 2 processes": (2, 4, 1),
}


@pytest.fixture
def mixed_import(tmp_path: Path) -> Path:
    """Rows with 0, 1 and 2 digits whose answers, lists in JSON, are of very unequal length."""
    message, rows = BUILD["message"], BUILD["digit_rows"](range(ROWS))
    for number, row in enumerate(rows):
        image, answer = row["images"][0], json.dumps(["seven"] * (1 + 7 * (number % 5)))
        parts = [BUILD["IMAGE"]] * (number % 3)
        row["messages"] = [message("user", *parts, "Which?"), message("assistant", answer)]
        row["images"] = [image] * len(parts)
        row["image_sizes"] = row["image_sizes"] * len(parts)
    return Path(BUILD["write_import"](tmp_path / "mixed", {"train": rows}))


def train(data: Path, output: Path, case: tuple[int, int, int], *options: str) -> list[float]:
    """Train in real processes and return the losses of the steps."""
    processes, batch, accumulation = case
    launcher = [sys.executable, "-m", "vlm_trainer"]
    if processes > 1:
        torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node"]
        launcher = [sys.executable, *torchrun, str(processes), "-m", "vlm_trainer"]
    flags = {
        "--model-name-or-path": "tiny",
        "--data": data,
        "--output-dir": output,
        "--max-steps": STEPS,
        "--per-device-train-batch-size": batch,
        "--gradient-accumulation-steps": accumulation,
        "--learning-rate": "1e-2",
        "--logging-steps": 1,
        "--expect-processes": processes,
    }
    words = [str(word) for pair in flags.items() for word in pair]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(
        [*launcher, *words, *options, "--use-cpu"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = (output / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


@pytest.mark.parametrize(
    "options",
    [pytest.param((), id="plain"), pytest.param(("--json-focus", "0.25"), id="weighted")],
)
def test_the_loss_is_the_same_for_every_way_of_dealing_out_a_batch(
    tmp_path: Path, mixed_import: Path, options: tuple[str, ...]
) -> None:
    losses = {
        name: train(mixed_import, tmp_path / str(number), case, *options)
        for number, (name, case) in enumerate(CASES.items())
    }

    table = [f"{name:20} " + "  ".join(f"{v:.6f}" for v in row) for name, row in losses.items()]
    print("\n".join(["", *table]))  # noqa: T201 - read with -s
    expected = losses["8 x 1, 1 process"]
    assert len(expected) == STEPS
    assert expected[0] != expected[-1]
    for name, values in losses.items():
        assert values == pytest.approx(expected, abs=1e-4), name
