"""What a run will do, known before it starts: rows, tokens, steps, sizes of pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vlm_trainer.config import ScheduleOptions, TrainConfig
from vlm_trainer.errors import RowsRefused
from vlm_trainer.lengths import Lengths, histogram, reasons
from vlm_trainer.sizes import PixelRule

SHOWN_IDS = 5


@dataclass(frozen=True, slots=True)
class TrainPlan:
    """The size of a run.

    Args:
        rows: Rows trained on.
        images: Their pictures.
        tokens: Their tokens, once through.
        trained_tokens: Those with a label.
        longest: Tokens of the longest row.
        steps_per_epoch: Optimizer steps of one pass.
        steps: Optimizer steps of the run.
        refused: Rows that cannot be trained, by reason.
    """

    rows: int
    images: int
    tokens: int
    trained_tokens: int
    longest: int
    steps_per_epoch: int
    steps: int
    refused: dict[str, int]


def make_plan(config: TrainConfig, lengths: Lengths, processes: int) -> TrainPlan:
    """Count the steps of a run as the trainer will.

    Args:
        config: Batch, accumulation, epochs or steps.
        lengths: What `measure` found.
        processes: Of which each takes its own batches.
    """
    return TrainPlan(
        rows=len(lengths.rows),
        images=lengths.images,
        tokens=int(lengths.tokens.sum()),
        trained_tokens=int(lengths.trained.sum()),
        longest=int(lengths.tokens.max(initial=0)),
        steps_per_epoch=steps_per_epoch(config.schedule, len(lengths.rows), processes),
        steps=steps_of(config.schedule, len(lengths.rows), processes),
        refused=reasons(lengths.refused),
    )


def steps_per_epoch(schedule: ScheduleOptions, rows: int, processes: int) -> int:
    """Count the optimizer steps of one pass over the rows.

    Source:
        ``set_initial_training_values`` in transformers/trainer.py.

    Example:
        >>> steps_per_epoch(ScheduleOptions(per_device_train_batch_size=2), rows=33, processes=1)
        3
    """
    batches = math.ceil(rows / schedule.per_device_train_batch_size)
    per_process = math.ceil(batches / processes)
    return max(1, math.ceil(per_process / schedule.gradient_accumulation_steps))


def steps_of(schedule: ScheduleOptions, rows: int, processes: int) -> int:
    """Count the optimizer steps of a run: ``max_steps``, else by epochs."""
    if schedule.max_steps > 0:
        return schedule.max_steps
    return math.ceil(steps_per_epoch(schedule, rows, processes) * schedule.num_train_epochs)


def plan_lines(
    plan: TrainPlan, lengths: Lengths, config: TrainConfig, rule: PixelRule
) -> list[str]:
    """Say the plan to a person."""
    left_out = f", {len(lengths.excluded)} left out" if lengths.excluded else ""
    refused = f", {sum(plan.refused.values())} refused" if plan.refused else ""
    lines = [
        f"rows    {plan.rows:,} of {lengths.total_rows:,}{left_out}{refused};"
        f" {plan.images:,} images",
        f"tokens  {plan.tokens:,}, of which {plan.trained_tokens:,} are trained;"
        f" longest {_row(config)} {plan.longest:,}",
        f"steps   {plan.steps:,} ({plan.steps_per_epoch:,} an epoch)",
    ]
    if plan.images:
        lines.append(pixel_line(rule))
    lines += [f"method  {_method(config)}", f"tuning  {_tuning(config)}"]
    if plan.rows:
        lines += ["", "tokens a row    rows", *histogram(lengths.tokens)]
    return lines


def _method(config: TrainConfig) -> str:
    learning = config.learning
    if learning.method != "dpo":
        return "sft"
    return (
        f"dpo, as the shards hold preference pairs: loss {', '.join(learning.dpo_loss)}, "
        f"beta {learning.beta:g}"
    )


def _row(config: TrainConfig) -> str:
    return "pair (both answers)" if config.learning.method == "dpo" else "row"


def _tuning(config: TrainConfig) -> str:
    model, lora = config.model, config.lora
    if model.tuning == "full":
        return "full"
    kinds = [name for name, on in (("rsLoRA", lora.use_rslora), ("DoRA", lora.use_dora)) if on]
    base = f" over a base in {model.load_in}" if model.load_in else ""
    kind = " and ".join(kinds) or "LoRA"
    return f"{kind} r {lora.lora_r} on: {', '.join(lora.lora_scope)}{base}"


def pixel_line(rule: PixelRule) -> str:
    """Say what the pixel limits mean in tokens.

    Example:
        >>> pixel_line(PixelRule())
        'pixels  max_pixels 1003520 = at most 1280 image tokens; min_pixels 3136 = at least 4'
    """
    return (
        f"pixels  max_pixels {rule.max_pixels} = at most {rule.max_image_tokens} image tokens; "
        f"min_pixels {rule.min_pixels} = at least {rule.min_image_tokens}"
    )


def check_trainable(lengths: Lengths, on_refused: str, where: str) -> None:
    """Refuse to train when rows were refused, unless they may be dropped, or when none is left.

    Args:
        lengths: What `measure` found.
        on_refused: ``stop`` or ``drop``.
        where: Folder and split, for the message.

    Raises:
        RowsRefused: Counts by reason, the first rows, and the flag that goes on.
    """
    if lengths.refused and (on_refused == "stop" or not len(lengths.rows)):
        counts = ", ".join(f"{n} {reason}" for reason, n in reasons(lengths.refused).items())
        first = "; ".join(str(row) for row in lengths.refused[:SHOWN_IDS])
        hint = "" if not len(lengths.rows) else " To train on the others: --on-refused drop"
        raise RowsRefused(f"{where}: rows that cannot be trained: {counts}. First: {first}.{hint}")
    if not len(lengths.rows):
        raise RowsRefused(f"{where}: no row to train on")
