"""What a run will take: memory on each device, and time at a given rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vlm_trainer.config import TrainConfig
from vlm_trainer.lengths import Lengths
from vlm_trainer.memory import Training, memory_lines
from vlm_trainer.plan import TrainPlan


def training_of(config: TrainConfig, lengths: Lengths) -> Training:
    """Return what the memory of a run depends on, for the largest batch that can come.

    Without a word in the config a GPU is expected: bfloat16 and gradient checkpointing.

    Args:
        config: With its method.
        lengths: Of the rows. A pair counts both its answers, and shows its pictures with each.

    Example:
        >>> import numpy as np
        >>> from vlm_trainer.config import from_flat
        >>> one = np.array([7])
        >>> lengths = Lengths(one, one, one, one, 1, 1, (), (), patches=16)
        >>> training_of(from_flat({"per_device_train_batch_size": 2}), lengths).batch_tokens
        14
    """
    model, schedule, data = config.model, config.schedule, config.data
    is_full, on_cpu = model.tuning == "full", schedule.use_cpu
    half = schedule.bf16 if schedule.bf16 is not None else not on_cpu
    checkpointing = schedule.gradient_checkpointing
    is_pairs = config.learning.method == "dpo"
    longest = data.max_length if data.packing else int(lengths.tokens.max(initial=0))
    batch = schedule.per_device_train_batch_size
    return Training(
        precision=model.load_in or ("float32" if is_full or not half else "bf16"),
        lora_r=0 if is_full else config.lora.lora_r,
        scope=config.lora.lora_scope,
        batch_tokens=batch * (longest or 0),
        batch_patches=batch * lengths.patches * (1 + is_pairs),
        checkpointing=not on_cpu if checkpointing is None else checkpointing,
        quantize_vision=model.quantize_vision,
        with_reference=is_full and is_pairs,
    )


def cost_lines(
    config: TrainConfig, lengths: Lengths, base: Mapping[str, Any], processes: int
) -> list[str]:
    """Say the memory of a run to a person; nothing for a family whose sizes are not known.

    Args:
        config: With its method.
        lengths: Of the rows.
        base: The base model's config.json.
        processes: Each of which holds all of it.
    """
    lines = memory_lines(base, training_of(config, lengths))
    if lines and processes > 1:
        lines.append(
            f"        on each of {processes} devices under DDP; FSDP and DeepSpeed deal out weights"
        )
    return lines


def seconds_at(plan: TrainPlan, tokens_per_s: float) -> float:
    """Return the time of a run whose devices together train so many tokens a second.

    Padding is no part of the tokens, nor are held-out rows.
    """
    return plan.tokens * plan.steps / plan.steps_per_epoch / tokens_per_s


def time_line(plan: TrainPlan, tokens_per_s: float) -> str:
    """Say the time of a run to a person."""
    minutes = round(seconds_at(plan, tokens_per_s) / 60)
    words = f"{minutes // 60:,} h {minutes % 60} min" if minutes else "under a minute"
    return f"time    {words} at {tokens_per_s:,g} tokens a second"
