"""A quantised base: what is quantised and what is not, and that LoRA learns over it on a CPU."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vlm_trainer.base_model import check_quantised, find_base
from vlm_trainer.config import ModelOptions, TrainConfig
from vlm_trainer.errors import SourceError, UsageError
from vlm_trainer.model import Hardware, load_model, quiet_libraries
from vlm_trainer.quantise import bnb_config
from vlm_trainer.run import train
from vlm_trainer.settings import read_config

pytestmark = pytest.mark.slow
CPU = Hardware(device="cpu", bf16=False, gradient_checkpointing=False)


def config(data: Path, output: Path, **options: Any) -> TrainConfig:
    given = {
        "model_name_or_path": "tiny",
        "data": str(data),
        "output_dir": str(output),
        "max_steps": 9,
        "per_device_train_batch_size": 8,
        "gradient_accumulation_steps": 1,
        "learning_rate": 5e-3,
        "eval_split": "test",
        "eval_steps": 3,
        "use_cpu": True,
    }
    return read_config(None, {**given, **options})


def silent(_line: str) -> None:
    """Take a line of talk."""


def held_out_losses(output: Path) -> list[float]:
    lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    return [line["eval_loss"] for line in lines if "eval_loss" in line]


def quantised(folder: Path, **options: Any) -> Any:
    with quiet_libraries():
        config = bnb_config(ModelOptions(**options), CPU)
        return load_model(find_base(str(folder)), dtype="float32", quantisation=config)


def write_quantised(folder: Path, bits: str, base: Path) -> Path:
    """Write a base whose weights lie there quantised, as some are published."""
    shutil.copytree(base, folder)
    with quiet_libraries():
        quantised(base, load_in=bits).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def four_bit_folder(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_quantised(tmp_path_factory.mktemp("bnb") / "tiny", "4bit", tiny_folder)


@pytest.mark.parametrize(
    ("options", "kind", "count"),
    [
        ({"load_in": "4bit"}, "Linear4bit", 14),
        ({"load_in": "8bit"}, "Linear8bitLt", 14),
        ({"load_in": "4bit", "quantize_vision": True}, "Linear4bit", 26),
        ({"load_in": "8bit", "quantize_vision": True}, "Linear8bitLt", 26),
    ],
)
def test_the_language_model_is_quantised_and_the_rest_when_asked_for(
    tiny_folder: Path, options: dict[str, Any], kind: str, count: int
) -> None:
    model = quantised(tiny_folder, **options)

    found = [name for name, module in model.named_modules() if type(module).__name__ == kind]

    assert len(found) == count
    assert "lm_head" not in found
    assert any("visual" in name for name in found) == ("quantize_vision" in options)


def test_four_bits_are_nf4_quantised_twice() -> None:
    import torch

    four = bnb_config(ModelOptions(load_in="4bit"), CPU)
    on_gpu = Hardware(device="cuda", bf16=True, gradient_checkpointing=True)

    assert (four.bnb_4bit_quant_type, four.bnb_4bit_use_double_quant) == ("nf4", True)
    assert four.bnb_4bit_compute_dtype is torch.float32
    assert bnb_config(ModelOptions(load_in="4bit"), on_gpu).bnb_4bit_compute_dtype is torch.bfloat16
    assert bnb_config(ModelOptions(), CPU) is None


@pytest.mark.parametrize(
    "options",
    [
        {"load_in": "4bit", "lora_dropout": 0.1},
        {"load_in": "8bit"},
        {"load_in": "4bit", "use_dora": True, "use_rslora": True},
        {"load_in": "4bit", "gradient_checkpointing": True},
        {"load_in": "4bit", "quantize_vision": True, "lora_scope": "language,vision,merger"},
    ],
    ids="-".join,
)
def test_lora_learns_over_a_quantised_base(
    digits: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    from safetensors.torch import load_file

    said: list[str] = []

    train(config(digits, tmp_path / "out", **options), said.append)

    found = held_out_losses(tmp_path / "out")
    assert found[-1] < 0.8 * found[0]
    saved = load_file(tmp_path / "out" / "adapter_model.safetensors")
    assert {str(tensor.dtype) for tensor in saved.values()} == {"torch.float32"}
    assert f"over a base in {options['load_in']}" in "\n".join(said)


@pytest.mark.parametrize("bits", ["4bit", "8bit"])
def test_an_adapter_is_measured_on_the_base_it_was_trained_over_if_asked_for(
    digits: Path, tmp_path: Path, bits: str
) -> None:
    from vlm_trainer.evaluate import EvaluateConfig, evaluate

    train(config(digits, tmp_path / "out", load_in=bits, quantize_vision=True), silent)
    last = held_out_losses(tmp_path / "out")[-1]
    plain = EvaluateConfig(digits, adapter=tmp_path / "out", use_cpu=True)
    said: list[str] = []

    before = evaluate(plain, said.append)
    noted = [line for line in said if line.startswith("note: ")]
    said.clear()
    after = evaluate(replace(plain, load_in=bits), said.append)

    assert abs(after.loss - last) < 1e-4 < abs(before.loss - last)
    assert noted == [
        f"note: the adapter was trained over its base in {bits}, and is put on the one in full "
        f"precision: answers differ a little (--load-in {bits} loads as then)"
    ]
    assert not [line for line in said if line.startswith("note: ")]


def test_a_resumed_run_over_four_bits_ends_in_the_same_bytes(digits: Path, tmp_path: Path) -> None:
    options = {"load_in": "4bit", "lora_dropout": 0.1, "save_steps": 3, "save_total_limit": 9}
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    train(config(digits, whole, **options), silent)
    shutil.copytree(whole, cut)
    (cut / "finished.json").unlink()
    for step in (6, 9):
        (cut / f"checkpoint-{step}" / "complete.json").unlink()

    assert train(config(digits, cut, **options), silent).resumed_from == 3

    name = "adapter_model.safetensors"
    assert (cut / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.parametrize("bits", ["4bit", "8bit"])
def test_a_base_that_is_quantised_already_trains_as_qlora(
    digits: Path, tmp_path: Path, tiny_folder: Path, bits: str
) -> None:
    from vlm_trainer.evaluate import EvaluateConfig, evaluate

    said: list[str] = []
    base = str(write_quantised(tmp_path / "base", bits, tiny_folder))

    train(config(digits, tmp_path / "out", model_name_or_path=base), said.append)

    found = held_out_losses(tmp_path / "out")
    assert find_base(base).quantised == bits
    assert any(line.endswith(f"over a base in {bits}") for line in said)
    assert found[-1] < 0.8 * found[0]
    assert (
        evaluate(EvaluateConfig(digits, adapter=tmp_path / "out", use_cpu=True, limit=2)).rows == 2
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tuning": "full"}, "its weights are 4bit; only LoRA trains on them"),
        ({"load_in": "8bit"}, "its weights are 4bit already, not 8bit; leave --load-in out"),
        ({"load_in": "4bit", "quantize_vision": True}, "--quantize-vision changes nothing"),
    ],
)
def test_a_quantised_base_cannot_be_what_it_is_not(
    four_bit_folder: Path, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        check_quantised(find_base(str(four_bit_folder)), ModelOptions(**options))


def test_a_base_quantised_by_something_else_is_one_line(tmp_path: Path, tiny_words: Path) -> None:
    shutil.copytree(tiny_words, tmp_path / "gptq")
    path = tmp_path / "gptq" / "config.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, "quantization_config": {"quant_method": "gptq"}}))

    with pytest.raises(SourceError, match="quantised by 'gptq', which is not trained here"):
        find_base(str(tmp_path / "gptq"))
