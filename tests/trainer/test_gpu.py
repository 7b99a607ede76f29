"""What only a GPU can show: bfloat16 and NF4 there, resume there, and the memory they took.

python3 noxfile.py -s gpu
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vlm_trainer.run import RunSummary, train
from vlm_trainer.settings import read_config

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def _cuda() -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")


def run(data: Path, output: Path, said: list[str] | None = None, **options: Any) -> RunSummary:
    """Train the tiny model as a GPU does by default: bfloat16, checkpointing."""
    given = {
        "model_name_or_path": "tiny", "data": str(data), "output_dir": str(output), "max_steps": 4,
        "per_device_train_batch_size": 4, "gradient_accumulation_steps": 1, "logging_steps": 1,
        "learning_rate": 1e-2, "lora_dropout": 0.1, "save_steps": 2,
    }  # fmt: skip
    return train(read_config(None, {**given, **options}), (said if said is not None else []).append)


def losses(output: Path) -> list[float]:
    lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


@pytest.mark.parametrize(
    "base", [{}, {"load_in": "4bit"}, {"load_in": "8bit"}], ids=["bf16", "nf4", "8bit"]
)
def test_a_lora_learns_on_the_gpu_and_tells_its_memory(
    digits: Path, tmp_path: Path, base: dict[str, Any]
) -> None:
    said: list[str] = []

    summary = run(digits, tmp_path / "out", said, max_steps=20, **base)

    found = losses(tmp_path / "out")
    assert found[-1] < found[0]
    assert summary.gpu_peak_bytes is not None
    assert summary.gpu_peak_bytes > 1_000_000
    assert any(line.startswith("memory  ") and "on the GPU" in line for line in said)


def test_a_lora_on_the_gpu_begins_with_the_loss_of_the_cpu(digits: Path, tmp_path: Path) -> None:
    for name, use_cpu in (("gpu", False), ("cpu", True)):
        run(digits, tmp_path / name, max_steps=1, use_cpu=use_cpu, bf16=False)

    (on_gpu,), (on_cpu,) = losses(tmp_path / "gpu"), losses(tmp_path / "cpu")

    assert on_gpu == pytest.approx(on_cpu, rel=1e-3)


def test_a_run_that_was_cut_off_goes_on_with_the_same_losses(digits: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    run(digits, output)
    whole = losses(output)
    (output / "finished.json").unlink()
    (output / "checkpoint-4" / "complete.json").unlink()

    summary = run(digits, output)

    assert (summary.steps, summary.resumed_from) == (4, 2)
    # Kernels may add up in another order; the tests on a CPU hold every byte.
    assert losses(output) == pytest.approx(whole, rel=1e-2)
