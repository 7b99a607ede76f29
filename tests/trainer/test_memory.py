"""Sizes told from a config, against the models themselves and what torch and bitsandbytes keep."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from vlm_trainer.lora import PATTERNS, target_pattern
from vlm_trainer.memory import (
    Training,
    adapter_values,
    memory_lines,
    memory_of,
    published,
    weights_of,
)

TEXT_MODEL = {
    "model_type": "qwen2", "hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4,
    "num_hidden_layers": 3, "num_key_value_heads": 2, "tie_word_embeddings": False,
    "vocab_size": 320,
}  # fmt: skip
MODELS = {**published(), "text": TEXT_MODEL}


def on_meta(config: Mapping[str, Any]) -> Any:
    """Build the model that transformers makes of a config, without its weights."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

    values = dict(config)
    kind, vision = values.pop("model_type"), values.pop("vision_config", None)
    with torch.device("meta"):
        if vision is None:
            return AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **values))
        tied = values["tie_word_embeddings"]
        whole = AutoConfig.for_model(
            kind, text_config=values, vision_config=vision, tie_word_embeddings=tied
        )
        return AutoModelForImageTextToText.from_config(whole)


def part_of(name: str) -> str:
    if "merger" in name:
        return "merger"
    if "visual" in name:
        return "vision"
    return "embedding" if "embed_tokens" in name or "lm_head" in name else "language"


@pytest.mark.parametrize("name", MODELS)
def test_every_part_has_as_many_values_as_the_model_itself(name: str) -> None:
    counted, found = Counter[str](), Counter[str]()
    for parameter, tensor in on_meta(MODELS[name]).named_parameters():
        counted[part_of(parameter)] += tensor.numel()
    for weight in weights_of(MODELS[name]) or ():
        found[weight.part] += weight.values

    assert found == counted


@pytest.mark.parametrize("scope", [("language",), ("vision",), ("language", "vision", "merger")])
def test_an_adapter_has_as_many_values_as_its_modules_take(scope: tuple[str, ...]) -> None:
    config, pattern = published()["Qwen/Qwen2.5-VL-3B-Instruct"], target_pattern(scope)
    modules = [
        module for name, module in on_meta(config).named_modules() if re.fullmatch(pattern, name)
    ]

    found = adapter_values(weights_of(config) or (), Training(lora_r=8, scope=scope))

    assert found == sum(8 * (module.in_features + module.out_features) for module in modules)
    assert set(PATTERNS) == {"language", "vision", "merger"}


def test_weights_of_four_bits_take_what_bitsandbytes_keeps() -> None:
    import torch
    from bitsandbytes.functional import quantize_4bit

    config = {**TEXT_MODEL, "num_hidden_layers": 1, "hidden_size": 128, "intermediate_size": 320}
    linear = [weight for weight in weights_of(config) or () if weight.is_linear]
    whole = memory_of(config, Training("bf16"))
    packed = memory_of(config, Training("4bit"))

    kept = 0
    for weight in linear:
        matrix = torch.zeros(weight.outputs, weight.inputs)
        data, state = quantize_4bit(
            matrix, blocksize=64, compress_statistics=True, quant_type="nf4"
        )
        kept += weight.copies * (data.nbytes + state.absmax.nbytes + state.state2.absmax.nbytes)
    assert whole is not None
    assert packed is not None
    assert whole.weights - packed.weights == 2 * sum(w.values for w in linear) - kept


def test_a_full_tuning_holds_sixteen_bytes_a_parameter() -> None:
    config = published()["Qwen/Qwen2.5-VL-3B-Instruct"]

    found = memory_of(config, Training("float32", lora_r=0))

    assert found is not None
    assert found.total - found.activations == 16 * 3_754_622_976


def test_what_saves_memory_saves_it() -> None:
    config = published()["Qwen/Qwen2.5-VL-72B-Instruct"]
    plain = Training("bf16", batch_tokens=4096, batch_patches=8192)
    totals = [
        found.total
        for training in (
            replace(plain, checkpointing=False),
            plain,
            replace(plain, precision="8bit"),
            replace(plain, precision="4bit"),
            replace(plain, precision="4bit", quantize_vision=True),
            replace(plain, precision="4bit", quantize_vision=True, batch_tokens=1024),
        )
        if (found := memory_of(config, training)) is not None
    ]

    assert totals == sorted(totals, reverse=True)
    assert len(set(totals)) == 6


def test_a_family_that_is_not_known_has_no_line() -> None:
    assert memory_lines({"model_type": "llama"}, Training()) == []
    (line,) = memory_lines(published()["Qwen/Qwen2.5-VL-3B-Instruct"], Training())
    assert "estimate" in line
