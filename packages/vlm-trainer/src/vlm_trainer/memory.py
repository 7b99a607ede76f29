"""How much memory a training takes on one device, told from the model's config alone.

Weights, adapter, gradients and optimizer are exact to the byte of their tensors. Activations are an
estimate: they depend on kernels, and nobody has measured them here on a GPU.

Sources:
    AdamW keeps two float32 moments a parameter (torch.optim.AdamW). Blocks of NF4 and nested
    scales: Dettmers et al., "QLoRA", 2023, section 3, and bitsandbytes' Linear4bit (block 64,
    nested block 256). Activations: Korthikanti et al., "Reducing Activation Recomputation in Large
    Transformer Models", 2022, with a gated MLP and attention that keeps no scores.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

PUBLISHED = Path(__file__).with_name("model_configs.json")
PRECISIONS = ("bf16", "8bit", "4bit", "float32")
_FLOAT, _HALF, _ADAMW = 4, 2, 8  # bytes a value; AdamW: two moments
_NF4_BLOCK, _NESTED_BLOCK = 64, 256


class Weight(NamedTuple):
    """Equal tensors of a model.

    Args:
        part: language, embedding, vision or merger.
        outputs: Rows of a matrix, or the length of a vector.
        inputs: Its columns; 1 for a vector.
        copies: How many there are.
        is_linear: Whether an adapter and a quantiser know it.
    """

    part: str
    outputs: int
    inputs: int
    copies: int
    is_linear: bool = False

    @property
    def values(self) -> int:
        """Numbers in all copies."""
        return self.outputs * self.inputs * self.copies


@dataclass(frozen=True, slots=True)
class Training:
    """What of a training its memory depends on.

    Args:
        precision: Of the base weights: bf16, 8bit, 4bit; or float32 for a full tuning.
        lora_r: Rank; 0 for a full tuning.
        scope: Parts with an adapter.
        batch_tokens: Tokens of the largest batch on a device, padding included.
        batch_patches: Patches of its pictures, before they are merged into tokens.
        checkpointing: Whether activations are computed again on the way back.
        quantize_vision: Whether vision tower and merger are quantised, too.
        with_reference: Whether a second, frozen copy of a fully tuned model stands beside it.
    """

    precision: str = "bf16"
    lora_r: int = 16
    scope: Collection[str] = ("language",)
    batch_tokens: int = 1024
    batch_patches: int = 0
    checkpointing: bool = True
    quantize_vision: bool = False
    with_reference: bool = False


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes by what they hold; ``activations`` are an estimate."""

    weights: int
    trained: int
    gradients: int
    optimizer: int
    activations: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.weights + self.trained + self.gradients + self.optimizer + self.activations


@cache
def published() -> Mapping[str, Mapping[str, Any]]:
    """Return the configs of the published Qwen2.5-VL, by name, cut to what sizes depend on."""
    found: dict[str, Mapping[str, Any]] = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    return found


def weights_of(config: Mapping[str, Any]) -> tuple[Weight, ...] | None:
    """List the tensors of a model; None for a family whose sizes are not known here.

    Args:
        config: Its config.json, flat or with ``text_config``.

    Source:
        ``Qwen2_5_VLForConditionalGeneration`` and ``Qwen2ForCausalLM`` of transformers; a test
        compares the counts with the models themselves.

    Example:
        >>> sum(w.values for w in weights_of(published()["Qwen/Qwen2.5-VL-3B-Instruct"]))
        3754622976
    """
    if config.get("model_type") not in ("qwen2_5_vl", "qwen2"):
        return None
    text = {**config, **(config.get("text_config") or {})}
    vision = config.get("vision_config") if config["model_type"] == "qwen2_5_vl" else None
    return (*_language(text), *(_vision(vision, text["hidden_size"]) if vision else ()))


def _language(config: Mapping[str, Any]) -> Iterator[Weight]:
    width, inner, layers = (
        config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"],
    )  # fmt: skip
    heads = config["num_attention_heads"]
    keys = width // heads * config.get("num_key_value_heads", heads)
    for outputs, copies in ((width, layers), (keys, 2 * layers)):  # queries; keys and values
        yield Weight("language", outputs, width, copies, is_linear=True)
        yield Weight("language", outputs, 1, copies)
    yield Weight("language", width, width, layers, is_linear=True)
    yield Weight("language", inner, width, 2 * layers, is_linear=True)
    yield Weight("language", width, inner, layers, is_linear=True)
    yield Weight("language", width, 1, 2 * layers + 1)  # norms
    tables = 1 if config.get("tie_word_embeddings") else 2
    yield Weight("embedding", config["vocab_size"], width, tables)


def _vision(config: Mapping[str, Any], out: int) -> Iterator[Weight]:
    width, inner, layers = config["hidden_size"], config["intermediate_size"], config["depth"]
    pixels = config.get("in_chans", config.get("in_channels", 3))
    pixels *= config["temporal_patch_size"] * config["patch_size"] ** 2
    yield Weight("vision", width, pixels, 1)  # a convolution, which no quantiser takes
    for outputs, inputs, copies in (
        (3 * width, width, layers),
        (width, width, layers),
        (inner, width, 2 * layers),
        (width, inner, layers),
    ):
        yield Weight("vision", outputs, inputs, copies, is_linear=True)
        yield Weight("vision", outputs, 1, copies)
    yield Weight("vision", width, 1, 2 * layers)
    joined = width * config["spatial_merge_size"] ** 2
    yield Weight("merger", width, 1, 1)
    for outputs in (joined, out):
        yield Weight("merger", outputs, joined, 1, is_linear=True)
        yield Weight("merger", outputs, 1, 1)


def memory_of(config: Mapping[str, Any], training: Training) -> Memory | None:
    """Add up what a training holds on one device; None for a family that is not known here.

    Example:
        >>> qlora = Training("4bit", lora_r=16)
        >>> found = memory_of(published()["Qwen/Qwen2.5-VL-7B-Instruct"], qlora)
        >>> round(found.weights / 2**30, 1), round(found.optimizer / 2**30, 2)
        (6.4, 0.3)
    """
    weights = weights_of(config)
    if weights is None:
        return None
    base = sum(_stored(weight, training) for weight in weights)
    activations = _activations(config, training)
    if not training.lora_r:  # float32 weights are what is trained
        values = sum(weight.values for weight in weights)
        reference = _FLOAT * values if training.with_reference else 0
        return Memory(reference, _FLOAT * values, _FLOAT * values, _ADAMW * values, activations)
    values = adapter_values(weights, training)
    return Memory(base, _FLOAT * values, _FLOAT * values, _ADAMW * values, activations)


def adapter_values(weights: Collection[Weight], training: Training) -> int:
    """Count the numbers of a LoRA: two thin matrices beside each linear layer of its scope."""
    return sum(
        training.lora_r * (weight.inputs + weight.outputs) * weight.copies
        for weight in weights
        if weight.is_linear and weight.part in training.scope
    )


def _stored(weight: Weight, training: Training) -> int:
    if training.precision == "float32":
        return _FLOAT * weight.values
    is_seen = weight.part in ("vision", "merger")
    if (
        training.precision == "bf16"
        or not weight.is_linear
        or (is_seen and not training.quantize_vision)
    ):
        return _HALF * weight.values
    if training.precision == "8bit":  # a byte a value, and a float32 scale a row
        return weight.values + _FLOAT * weight.outputs * weight.copies
    blocks = -(-weight.outputs * weight.inputs // _NF4_BLOCK)
    nested = -(-blocks // _NESTED_BLOCK)
    return weight.copies * (-(-weight.outputs * weight.inputs // 2) + blocks + _FLOAT * nested)


def _activations(config: Mapping[str, Any], training: Training) -> int:
    """Estimate what is kept for the way back: half precision, float32 for the logits."""
    text = {**config, **(config.get("text_config") or {})}
    vision = config.get("vision_config") or {}
    size = _FLOAT if training.precision == "float32" else _HALF
    towers = [(text["hidden_size"], text["intermediate_size"], text["num_hidden_layers"])]
    tokens = [training.batch_tokens]
    if vision and training.batch_patches:
        towers.append((vision["hidden_size"], vision["intermediate_size"], vision["depth"]))
        tokens.append(training.batch_patches)
    kept = 0
    for (width, inner, layers), count in zip(towers, tokens, strict=True):
        layer = size * count * (12 * width + 4 * inner)
        kept += size * count * width * layers + layer if training.checkpointing else layer * layers
    logits = 3 * _FLOAT * training.batch_tokens * text["vocab_size"]  # with softmax and gradient
    return int(kept + logits)


def memory_lines(config: Mapping[str, Any], training: Training) -> list[str]:
    """Say it to a person."""
    found = memory_of(config, training)
    if found is None:
        return []
    parts = {
        "base weights" if training.lora_r else "reference": found.weights,
        "trained": found.trained,
        "gradients": found.gradients,
        "optimizer": found.optimizer,
    }
    words = ", ".join(f"{name} {_amount(size)}" for name, size in parts.items() if size)
    return [
        f"memory  {words}; activations about {_amount(found.activations)} "
        f"(estimate, {training.batch_tokens:,} tokens in the largest batch); "
        f"together about {_amount(found.total)} on a device"
    ]


def _amount(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"
