"""The benchmark for a GPU runs, counts and builds as it says; its figures need a GPU."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vlm_trainer.memory import published

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
MODEL = "Qwen/Qwen2.5-VL-3B-Instruct"

pytestmark = pytest.mark.slow


@pytest.fixture
def gpu_train(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("gpu_train")


def test_it_runs_on_a_cpu_and_says_that_this_is_no_measurement(
    tiny_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_folder, tmp_path / "tiny")
    words = ["--tiny", "--use-cpu", "--json", "--cache", str(tmp_path)]

    done = subprocess.run(
        [sys.executable, BENCHMARKS / "gpu_train.py", *words],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    (line,) = found["lines"]
    assert (found["device"], found["is_measurement"]) == (None, False)
    assert (line["pictures"], line["batch"], line["way"]) == ("56x56", "1x2", "lora")
    assert line["step_s"] > 0
    assert 0 < line["mfu"] < line["mfu_with_recomputing"]
    assert line["peak_gib"] is None


def test_the_model_it_makes_has_the_sizes_of_the_published_one(
    gpu_train: Any, tiny_words: Path, tmp_path: Path
) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText

    config = json.loads((tiny_words / "config.json").read_text())
    sized = gpu_train.sized(config, published()[MODEL])
    (tmp_path / "config.json").write_text(json.dumps(sized))

    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(AutoConfig.from_pretrained(tmp_path))

    assert sum(tensor.numel() for tensor in model.parameters()) == 3_754_622_976
    assert model.model.visual.fullatt_block_indexes == [7, 15, 23, 31]


def test_flops_are_those_of_the_formula(gpu_train: Any) -> None:
    layer = 2 * 2048 * 2048 + 2 * 256 * 2048 + 3 * 2048 * 11008
    adapter = 16 * (2 * (2048 + 2048) + 2 * (256 + 2048) + 3 * (2048 + 11008))
    head = 151_936 * 2048

    once, again = gpu_train.step_flops(published()[MODEL], tokens=1000, patches=0)

    assert once == 1000 * (4 * (36 * layer + head) + 6 * 36 * adapter)
    assert again == 1000 * 2 * 36 * (layer + adapter)
