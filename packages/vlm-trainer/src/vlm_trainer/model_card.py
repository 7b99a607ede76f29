"""The card of an output folder: what was trained on what, told by facts of the run alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from vlm_trainer.contract import PixelContract
from vlm_trainer.plan import TrainPlan

SHOWN_SETTINGS = (
    "tuning", "method", "load_in", "lora_r", "lora_alpha", "lora_dropout", "lora_scope",
    "use_rslora", "use_dora", "train_on", "json_focus", "beta", "dpo_loss", "max_length",
    "on_too_long", "eval_split", "eval_share", "keep_best", "early_stopping",
    "learning_rate", "lr_scheduler_type", "warmup_steps", "weight_decay", "num_train_epochs",
    "per_device_train_batch_size", "gradient_accumulation_steps", "seed",
)  # fmt: skip
PAIR_SETTINGS = frozenset({"beta", "dpo_loss"})
ROW_SETTINGS = frozenset({"train_on", "json_focus"})
ANSWERS = "Trained to give the answers of its data (supervised fine-tuning)."
PREFERS = (
    "Trained to prefer the chosen over the rejected answer of each pair, held to its base (direct "
    "preference optimization, DPO)."
)


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What stands on a card.

    Args:
        base: The base model as the user named it.
        is_adapter: False for a full tuning.
        data: Name of the data folder, without its place on a disk.
        split: Trained on.
        manifest_sha256: Of the data.
        plan: Rows, tokens and steps.
        contract: Sizes of pictures.
        settings: Effective settings under their flat keys.
        processes: That trained.
        figures: Name to value: last losses.
        versions: Package to version.
    """

    base: str
    is_adapter: bool
    data: str
    split: str
    manifest_sha256: str
    plan: TrainPlan
    contract: PixelContract
    settings: Mapping[str, Any]
    processes: int
    figures: Mapping[str, float]
    versions: Mapping[str, str]


def model_card(facts: CardFacts) -> str:
    """Write the card, in the Markdown that the Hub shows, with the fields that it reads."""
    plan, contract, is_pairs = facts.plan, facts.contract, facts.settings.get("method") == "dpo"
    unread = PAIR_SETTINGS if not is_pairs else ROW_SETTINGS
    shown = {
        name: facts.settings[name]
        for name in SHOWN_SETTINGS
        if name not in unread and facts.settings.get(name) is not None
    }
    rows = [
        ("data", f"{facts.data}, split {facts.split}"),
        ("sha256 of its manifest", f"`{facts.manifest_sha256}`"),
        ("pairs" if is_pairs else "rows", f"{plan.rows:,}, with {plan.images:,} pictures"),
        ("tokens", f"{plan.tokens:,}, of which {plan.trained_tokens:,} were trained"),
        ("longest pair" if is_pairs else "longest row", f"{plan.longest:,} tokens"),
        ("refused rows", ", ".join(f"{n:,} {reason}" for reason, n in plan.refused.items()) or "0"),
        ("steps", f"{plan.steps:,} on {facts.processes} processes"),
        ("pixels of a picture", f"{contract.min_pixels:,} to {contract.max_pixels:,}"),
    ]
    lines = [
        "---",
        yaml.safe_dump(_head(facts, is_pairs=is_pairs), sort_keys=True).rstrip(),
        "---",
        "",
        f"# A {'LoRA adapter' if facts.is_adapter else 'model'} on {_cell(facts.base)}",
        "",
        PREFERS if is_pairs else ANSWERS,
        "",
        *_table(("trained on", ""), rows),
        *_table(("setting", ""), [(name, f"`{value}`") for name, value in shown.items()]),
        *_table(("figure", ""), [(name, f"{value:.6g}") for name, value in facts.figures.items()]),
        "Pictures have to be shown at the sizes of `pixel_contract.json`; the processor beside it",
        "already does.",
        "",
        f"Made by {', '.join(f'{name} {version}' for name, version in facts.versions.items())}.",
        "",
    ]
    return "\n".join(lines)


def _head(facts: CardFacts, *, is_pairs: bool) -> dict[str, Any]:
    tags = ["vlm-trainer", "lora" if facts.is_adapter else "full-tuning"]
    # The Hub refuses a base_model that is no name of its own.
    return {
        **({"base_model": facts.base} if "/" in facts.base else {}),
        "library_name": "peft" if facts.is_adapter else "transformers",
        "pipeline_tag": "image-text-to-text",
        "tags": [*tags, "dpo"] if is_pairs else tags,
    }


def _table(head: tuple[str, str], rows: list[tuple[str, str]]) -> list[str]:
    if not rows:
        return []
    return [
        f"| {head[0]} | {head[1]} |",
        "|---|---|",
        *[f"| {_cell(name)} | {_cell(value)} |" for name, value in rows],
        "",
    ]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
