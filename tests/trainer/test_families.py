"""Qwen2-VL, Qwen2.5-VL and Qwen3-VL go the same way: inputs, adapters, a step, an answer."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from vlm_trainer.base_model import find_base
from vlm_trainer.chat import read_chat
from vlm_trainer.collate import collate
from vlm_trainer.config import LoraOptions
from vlm_trainer.conversation import from_columns
from vlm_trainer.lora import add_adapter, report
from vlm_trainer.model import load_model, quiet_libraries
from vlm_trainer.processor import read_rule
from vlm_trainer.render import render
from vlm_trainer.run import train
from vlm_trainer.settings import read_config
from vlm_trainer.tiny import FAMILIES, write_tiny

pytestmark = pytest.mark.slow
LIMITS = {"min_pixels": 784, "max_pixels": 3136}
ADAPTED = {  # modules of each tower in a tiny model; Qwen3-VL has a second merger
    "qwen2_vl": {"language": 14, "vision": 8, "merger": 2},
    "qwen2_5_vl": {"language": 14, "vision": 10, "merger": 2},
    "qwen3_vl": {"language": 14, "vision": 8, "merger": 4},
}


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("families") / request.param
    write_tiny(path, family=request.param)
    return path


@pytest.fixture(scope="module")
def mixed(rows: Any, photos: list[bytes]) -> list[dict[str, Any]]:
    """Rows with 0, 1 and 2 pictures."""
    answer = rows.message("assistant", "An astronaut, smiling.")
    asked = [rows.message("user", *[rows.IMAGE] * count, "What is it?") for count in range(3)]
    return [
        rows.chat_row(f"{count}", user, answer, images=photos[:count])
        for count, user in enumerate(asked)
    ]


def ours(folder: Path, mixed: list[dict[str, Any]]) -> dict[str, Any]:
    chat = read_chat(folder, reads_pictures=True)
    rule = read_rule(folder, **LIMITS)
    rendered = [render(from_columns(row), chat, rule) for row in mixed]
    return dict(collate(rendered, chat.pad_id, chat.image_token_id))


def theirs(folder: Path, mixed: list[dict[str, Any]]) -> dict[str, Any]:
    from PIL import Image
    from transformers import Qwen2VLProcessor, Qwen3VLProcessor

    from vlm_trainer.hf_processor import ImageOnlyProcessor, load_processor

    class ImageOnlyQwen2(Qwen2VLProcessor):  # the family's own, without its video half
        __init__ = ImageOnlyProcessor.__init__

    class ImageOnlyQwen3(Qwen3VLProcessor):
        __init__ = ImageOnlyProcessor.__init__

    processor = load_processor(folder)
    own = {"qwen2_vl": ImageOnlyQwen2, "qwen3_vl": ImageOnlyQwen3}.get(folder.name)
    if own:
        parts = (processor.image_processor, processor.tokenizer)
        processor = own(*parts, chat_template=processor.chat_template)
    texts = [processor.apply_chat_template(row["messages"]) for row in mixed]
    pictures = [[Image.open(io.BytesIO(i["bytes"])) for i in row["images"]] for row in mixed]
    return dict(processor(text=texts, images=pictures, padding=True, return_tensors="pt"))


def test_a_batch_and_its_logits_equal_those_of_the_hf_processor(
    folder: Path, mixed: list[dict[str, Any]]
) -> None:
    import torch

    batch, expected = ours(folder, mixed), theirs(folder, mixed)
    del batch["labels"]

    assert set(batch) == set(expected)
    for name, tensor in expected.items():
        assert torch.allclose(batch[name].float(), tensor.float(), atol=1e-5), name
    patch_px = 16 if folder.name == "qwen3_vl" else 14
    assert batch["pixel_values"].shape[1] == 3 * 2 * patch_px**2
    with quiet_libraries(), torch.inference_mode():
        model = load_model(find_base(str(folder)), dtype="float32")
        difference = model(**batch).logits - model(**expected).logits
    assert difference[batch["attention_mask"].bool()].abs().max() < 1e-5


def test_every_linear_layer_belongs_to_a_scope_but_the_head(folder: Path) -> None:
    import torch

    with quiet_libraries():
        model = load_model(find_base(str(folder)), dtype="float32")
        linear = {n for n, m in model.named_modules() if isinstance(m, torch.nn.Linear)}
        model = add_adapter(model, LoraOptions(lora_scope=("language", "vision", "merger")))
    names = (n for n, module in model.named_modules() if hasattr(module, "lora_A"))
    found = report(model)

    assert linear - {name.removeprefix("base_model.model.") for name in names} == {"lm_head"}
    assert found.modules == ADAPTED[folder.name]
    assert all(found.by_tower.values())
    assert sum(found.by_tower.values()) == found.trained


def test_a_run_trains_all_towers_and_its_adapter_loads(
    folder: Path, digits: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    from vlm_trainer.evaluate import EvaluateConfig, evaluate

    output = tmp_path / "out"
    options = {
        "model_name_or_path": str(folder),
        "data": str(digits),
        "output_dir": str(output),
        "max_steps": 3,
        "per_device_train_batch_size": 8,
        "gradient_accumulation_steps": 1,
        "learning_rate": 1e-2,
        "logging_steps": 1,
        "lora_scope": "language,vision,merger",
        "use_cpu": True,
    }

    train(read_config(None, options), lambda _line: None)

    lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    saved = load_file(output / "adapter_model.safetensors")
    moved = [name for name, tensor in saved.items() if "lora_B" in name and tensor.abs().max() > 0]
    assert lines[-1]["loss"] < lines[0]["loss"]
    assert len(moved) == sum(ADAPTED[folder.name].values())
    assert evaluate(EvaluateConfig(digits, adapter=output, use_cpu=True, limit=2)).rows == 2
