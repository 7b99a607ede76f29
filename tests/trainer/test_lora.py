"""Adapters go where the scope says and nowhere else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from vlm_trainer.base_model import find_base
from vlm_trainer.config import LoraOptions
from vlm_trainer.errors import UsageError
from vlm_trainer.lora import add_adapter, name_base, report, target_pattern
from vlm_trainer.model import load_model, quiet_libraries

LARGE = [  # names as the published checkpoints have them
    ("language", "model.language_model.layers.35.self_attn.q_proj"),
    ("language", "model.language_model.layers.0.mlp.down_proj"),
    ("language", "model.layers.7.mlp.gate_proj"),
    ("vision", "model.visual.blocks.31.attn.qkv"),
    ("vision", "model.visual.blocks.0.mlp.gate_proj"),
    ("vision", "model.visual.blocks.0.mlp.fc1"),
    ("merger", "model.visual.merger.mlp.0"),
    ("merger", "model.visual.merger.mlp.2"),
    (None, "model.visual.merger.mlp.1"),
    (None, "model.visual.patch_embed.proj"),
    (None, "model.language_model.embed_tokens"),
    (None, "lm_head"),
]


@pytest.mark.parametrize("scope", ["language", "vision", "merger"])
def test_a_pattern_fits_its_tower_alone(scope: str) -> None:
    fitting = [name for _, name in LARGE if re.fullmatch(target_pattern([scope]), name)]

    assert fitting == [name for tower, name in LARGE if tower == scope]


def test_the_order_of_scopes_does_not_matter() -> None:
    assert target_pattern(["merger", "language"]) == target_pattern(["language", "merger"])


def adapted(folder: Path, *scope: str) -> Any:
    with quiet_libraries():
        model = load_model(find_base(str(folder)), dtype="float32")
        return add_adapter(model, LoraOptions(lora_scope=scope))


@pytest.mark.parametrize(
    ("scope", "counts"),
    [
        (("language",), {"language": 14, "vision": 0, "merger": 0}),
        (("vision", "merger"), {"language": 0, "vision": 10, "merger": 2}),
        (("language", "vision", "merger"), {"language": 14, "vision": 10, "merger": 2}),
    ],
)
def test_adapted_modules_are_counted_per_tower(
    tiny_folder: Path, scope: tuple[str, ...], counts: dict[str, int]
) -> None:
    found = report(adapted(tiny_folder, *scope))

    assert found.modules == counts
    assert 0 < found.trained < found.total


def test_trained_parameters_are_counted_per_tower(tiny_folder: Path) -> None:
    with quiet_libraries():
        whole = report(load_model(find_base(str(tiny_folder)), dtype="float32"))
    found = report(adapted(tiny_folder, "vision", "merger"))

    assert sum(whole.by_tower.values()) == whole.trained == whole.total
    assert found.by_tower == {"language": 0, "vision": 30_720, "merger": 14_336}
    assert str(found).endswith("language 0, vision 30,720, merger 14,336")


def test_rslora_and_dora_reach_the_saved_adapter(tmp_path: Path, tiny_folder: Path) -> None:
    with quiet_libraries():
        model = load_model(find_base(str(tiny_folder)), dtype="float32")
        options = LoraOptions(lora_r=4, lora_alpha=8, use_rslora=True, use_dora=True)
        model = add_adapter(model, options)
        model.save_pretrained(tmp_path)
    scales = {m.scaling["default"] for m in model.modules() if hasattr(m, "lora_A")}
    magnitudes = [name for name, _ in model.named_parameters() if "lora_magnitude" in name]

    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert (config["use_rslora"], config["use_dora"]) == (True, True)
    assert scales == {8 / 4**0.5}
    assert len(magnitudes) == 14


def test_a_scope_the_model_lacks_is_refused(tmp_path: Path) -> None:
    from vlm_trainer.tiny import write_tiny

    write_tiny(tmp_path, vision=False)

    with pytest.raises(UsageError, match="lora_scope vision: this model has no such modules"):
        adapted(tmp_path, "vision")


def test_a_saved_adapter_names_its_base_as_given(tmp_path: Path, tiny_folder: Path) -> None:
    with quiet_libraries():
        adapted(tiny_folder, "language").save_pretrained(tmp_path)

    name_base(tmp_path, "owner/model")

    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "owner/model"
    assert config["target_modules"] == target_pattern(["language"])
    assert not (tmp_path / "README.md").exists()


@pytest.mark.parametrize(
    ("scope", "tower_asks"),
    [(("language",), False), (("merger",), False), (("language", "vision"), True)],
)
def test_checkpointing_goes_back_through_a_tower_only_if_it_learns(
    tiny_folder: Path, scope: tuple[str, ...], tower_asks: bool
) -> None:
    import torch

    with quiet_libraries():
        base = load_model(find_base(str(tiny_folder)), dtype="float32")
        model = add_adapter(base, LoraOptions(lora_scope=scope))
        model.enable_input_require_grads()
    tower = model.get_base_model().model.visual
    asked = []
    tower.blocks[-1].register_forward_hook(lambda *found: asked.append(found[-1].requires_grad))

    seen = tower(torch.zeros(4, 3 * 2 * 14 * 14), torch.tensor([[1, 2, 2]])).pooler_output

    assert asked == [tower_asks]
    assert seen.requires_grad == (scope != ("language",))
