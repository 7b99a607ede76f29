"""Which modules get an adapter, said as one pattern, and a count of them per tower.

Bare names such as ``gate_proj`` also hit the vision tower, and ``all-linear`` covers all
of it. PEFT writes a pattern as it is, but a list of names in the order of a set: a
pattern makes adapter_config.json the same in every run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlm_trainer.chat import read_json
from vlm_trainer.config import LoraOptions
from vlm_trainer.errors import UsageError
from vlm_trainer.serving import serving_notes

LAYER = r"(self_attn\.(q|k|v|o)_proj|mlp\.(gate|up|down)_proj)"
BLOCK = r"(attn\.(qkv|proj)|mlp\.((gate|up|down)_proj|fc1|fc2|linear_fc1|linear_fc2))"
PATTERNS = {  # scope -> modules of Qwen2-VL, 2.5-VL and 3-VL, and of Qwen2 for language
    "language": rf"(model\.language_model\.|model\.)layers\.\d+\.{LAYER}",
    "vision": rf"(model\.)?visual\.blocks\.\d+\.{BLOCK}",
    "merger": (  # mlp.1 is a GELU; Qwen3-VL has one merger more for each deep stack
        r"(model\.)?visual\.(merger|deepstack_merger_list\.\d+)\.(mlp\.(0|2)|linear_fc(1|2))"
    ),
}
TOWERS = ("language", "vision", "merger")
MERGERS = re.compile(r"(^|\.)visual\.(merger|deepstack_merger_list)\.")


@dataclass(frozen=True, slots=True)
class Adapted:
    """What is trained.

    Args:
        modules: Adapted modules of each tower; all zero in full tuning.
        by_tower: Parameters of each tower that are trained.
        trained: Parameters that are trained.
        total: Parameters of the whole model, adapter included; a quantised weight counts
            for as many as it stands for.
    """

    modules: dict[str, int]
    by_tower: dict[str, int]
    trained: int
    total: int

    def __str__(self) -> str:
        towers = ", ".join(f"{name} {count:,}" for name, count in self.by_tower.items())
        share = f"{self.trained:,} of {self.total:,} parameters ({self.trained / self.total:.2%})"
        if not any(self.modules.values()):
            return f"training {share}: {towers}"
        modules = ", ".join(f"{name} {count}" for name, count in self.modules.items())
        return f"adapted modules: {modules}; training {share}: {towers}"


def target_pattern(scope: Sequence[str]) -> str:
    """Return the pattern PEFT matches whole module names against.

    Args:
        scope: Among language, vision, merger; the order does not matter.

    Example:
        >>> bool(re.fullmatch(target_pattern(["merger"]), "model.visual.merger.mlp.0"))
        True
    """
    return "|".join(f"({PATTERNS[name]})" for name in TOWERS if name in scope)


def count_by_tower(names: Iterable[str]) -> dict[str, int]:
    """Count module names by the tower whose pattern they fit."""
    counts = dict.fromkeys(TOWERS, 0)
    for name in names:
        for tower in TOWERS:
            counts[tower] += bool(re.fullmatch(PATTERNS[tower], name))
    return counts


def tower_of(parameter_name: str) -> str:
    """Return the tower a parameter belongs to, by its name.

    Example:
        >>> tower_of("model.visual.deepstack_merger_list.0.linear_fc1.weight")
        'merger'
    """
    if MERGERS.search(parameter_name):
        return "merger"
    return "vision" if "visual." in parameter_name else "language"


def add_adapter(model: Any, options: LoraOptions) -> Any:
    """Wrap a model with a fresh LoRA adapter.

    Args:
        model: A loaded base model.
        options: Rank, scale, dropout, scope and kind.

    Returns:
        The PEFT model; only the adapter is trainable, in float32.

    Raises:
        UsageError: A scope that the model does not have.
    """
    from peft import LoraConfig, get_peft_model

    found = count_by_tower(name for name, _ in model.named_modules())
    missing = [name for name in options.lora_scope if not found[name]]
    if missing:
        raise UsageError(f"lora_scope {missing[0]}: this model has no such modules")
    config = LoraConfig(
        r=options.lora_r,
        lora_alpha=options.lora_alpha,
        lora_dropout=options.lora_dropout,
        use_rslora=options.use_rslora,
        use_dora=options.use_dora,
        target_modules=target_pattern(options.lora_scope),
        task_type="CAUSAL_LM",
    )
    adapted = get_peft_model(model, config)
    spare_frozen_tower(adapted)
    return adapted


def spare_frozen_tower(model: Any) -> None:
    """Keep gradients out of a vision tower that learns nothing.

    For checkpointing's sake transformers lets all that comes out of input embeddings ask for
    gradients, patches too. A frozen tower would be computed again and gone back through in every
    step, which is three times its work, and nobody reads the outcome.

    Source:
        ``PreTrainedModel.enable_input_require_grads`` of transformers 5, which passes over
        modules without input embeddings.
    """
    for module in model.modules():
        if not (hasattr(module, "patch_embed") and hasattr(module, "blocks")):
            continue
        if not any(parameter.requires_grad for parameter in module.blocks.parameters()):
            module.get_input_embeddings = lambda: None


def name_base(folder: Path, base_name: str) -> None:
    """Write the base's name, as the user gave it, into a saved adapter.

    While it trains, PEFT looks for the base at the name it has and would ask the Hub for
    ``tiny``. PEFT's card goes: it describes the folder the base was built in.
    """
    path = folder / "adapter_config.json"
    values = read_json(path)
    if values:
        text = json.dumps(
            {**values, "base_model_name_or_path": base_name}, indent=2, sort_keys=True
        )
        path.write_text(text + "\n", encoding="utf-8")
        (folder / "README.md").unlink(missing_ok=True)


def report(model: Any) -> Adapted:
    """Count adapted modules per tower and trained parameters of a model."""
    names = [
        name.removeprefix("base_model.model.")
        for name, module in model.named_modules()
        if hasattr(module, "lora_A")
    ]
    by_tower = dict.fromkeys(TOWERS, 0)
    total = 0
    for name, parameter in model.named_parameters():
        total += _size(parameter)
        by_tower[tower_of(name)] += parameter.numel() if parameter.requires_grad else 0
    return Adapted(count_by_tower(names), by_tower, sum(by_tower.values()), total)


def notes(model: Any) -> list[str]:
    """Return what `serving_notes` says of a model's adapter; nothing of one without."""
    adapters = getattr(model, "peft_config", {})
    towers = [tower for tower, count in report(model).modules.items() if count]
    return [note for a in adapters.values() for note in serving_notes(a.to_dict(), towers)]


def _size(parameter: Any) -> int:
    """Count a parameter; bitsandbytes packs two of NF4 into a byte and keeps their shape."""
    state = getattr(parameter, "quant_state", None)
    return int(state.shape.numel() if state is not None else parameter.numel())
