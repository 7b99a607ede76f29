"""What a run will do, known before it starts: rows, tokens, steps, sizes of pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vlm_trainer.config import DataOptions, ScheduleOptions, TrainConfig
from vlm_trainer.conversation import ImageSize
from vlm_trainer.epochs import epoch_padding
from vlm_trainer.errors import Reason, RowsRefused
from vlm_trainer.lengths import Lengths, histogram, reasons
from vlm_trainer.sizes import PixelRule, fitted_size, image_tokens

SHOWN_IDS = 5
PHOTO, ICON = ImageSize(4032, 3024), ImageSize(28, 28)  # 12 megapixels of a phone; one token


@dataclass(frozen=True, slots=True)
class TrainPlan:
    """The size of a run.

    Args:
        rows: Rows that an epoch shows.
        images: Their pictures; of a folder shown in part, on average, as are the tokens.
        tokens: Their tokens, once through.
        trained_tokens: Those with a label.
        longest: Tokens of the longest row.
        steps_per_epoch: Optimizer steps of one pass.
        steps: Optimizer steps of the run.
        refused: Rows that cannot be trained, by reason.
        shrunk: Rows whose pictures are made smaller so that they fit.
        unknown_ids: Ids to leave out that no row has.
        padding: Share of padding in what an epoch computes, 0 to 1.
        padding_by_length: The same if rows of like length share a step, 0 to 1.
    """

    rows: int
    images: int
    tokens: int
    trained_tokens: int
    longest: int
    steps_per_epoch: int
    steps: int
    refused: dict[str, int]
    shrunk: int = 0
    unknown_ids: int = 0
    padding: float = 0.0
    padding_by_length: float = 0.0


def make_plan(config: TrainConfig, lengths: Lengths, processes: int) -> TrainPlan:
    """Count the steps of a run as the trainer will.

    Args:
        config: Batch, accumulation, epochs or steps.
        lengths: What `measure` found.
        processes: Of which each takes its own batches.
    """
    shuffled, by_length = epoch_padding(config, lengths, processes)
    return TrainPlan(
        rows=lengths.shown,
        images=lengths.images,
        tokens=lengths.an_epoch(lengths.tokens),
        trained_tokens=lengths.an_epoch(lengths.trained),
        longest=int(lengths.tokens.max(initial=0)),
        steps_per_epoch=steps_per_epoch(config.schedule, lengths.shown, processes),
        steps=steps_of(config.schedule, lengths.shown, processes),
        refused=reasons(lengths.refused),
        shrunk=lengths.shrunk,
        unknown_ids=len(unknown_ids(config.data, lengths)),
        padding=by_length if config.data.group_by_length else shuffled,
        padding_by_length=by_length,
    )


def unknown_ids(data: DataOptions, lengths: Lengths) -> list[str]:
    """Name the ids that were to be left out and that no row has."""
    return sorted(set(data.exclude_ids).difference(lengths.excluded))


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
    plan: TrainPlan,
    lengths: Lengths,
    config: TrainConfig,
    rule: PixelRule,
    more: Sequence[str] = (),
) -> list[str]:
    """Say the plan to a person, and ``more`` lines before its histogram."""
    left_out = f", {len(lengths.excluded)} left out" if lengths.excluded else ""
    refused = f", {sum(plan.refused.values())} refused" if plan.refused else ""
    lines = [
        f"rows    {len(lengths.rows):,} of {lengths.total_rows:,}{left_out}{refused};"
        f" {plan.images:,} images",
        f"tokens  {plan.tokens:,}, of which {plan.trained_tokens:,} are trained;"
        f" longest {_row(config)} {plan.longest:,}",
        f"steps   {plan.steps:,} ({plan.steps_per_epoch:,} an epoch)",
    ]
    lines += _epoch_lines(plan, lengths, config)
    if plan.images:
        lines += pixel_lines(rule)
    lines += _row_lines(lengths, config.data)
    lines += [f"method  {_method(config)}", f"tuning  {_tuning(config)}"]
    lines += more
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
    return (
        "pair (both sides, of which each may have max_length)"
        if config.learning.method == "dpo"
        else "row"
    )


def _tuning(config: TrainConfig) -> str:
    model, lora = config.model, config.lora
    if model.tuning == "full":
        return "full"
    kinds = [name for name, on in (("rsLoRA", lora.use_rslora), ("DoRA", lora.use_dora)) if on]
    base = f" over a base in {model.load_in}" if model.load_in else ""
    kind = " and ".join(kinds) or "LoRA"
    return f"{kind} r {lora.lora_r} on: {', '.join(lora.lora_scope)}{base}"


def _epoch_lines(plan: TrainPlan, lengths: Lengths, config: TrainConfig) -> list[str]:
    """Say what an epoch shows of each folder, and how much of it is padding."""
    lines = [
        f"{'mix' if not number else '':8}{part.folder}: {part.shown:,} an epoch of "
        f"{len(part.kept):,} rows"
        for number, part in enumerate(lengths.parts)
    ]
    if plan.padding:
        less = f"; with --group-by-length {plan.padding_by_length:.1%}"
        other = "" if config.data.group_by_length else less
        lines.append(f"padding {plan.padding:.1%} of what is computed{other}")
    return lines


def _row_lines(lengths: Lengths, data: DataOptions) -> list[str]:
    """Say what is done to rows, where it is not what is done by default."""
    lines = []
    if data.train_on != "assistant" or data.json_focus is not None:
        focus = "" if data.json_focus is None else f", form of JSON counts {data.json_focus:g}"
        lines.append(f"labels  train_on {data.train_on}{focus}")
    if lengths.unread_flags:
        lines.append(
            f"flags   {lengths.unread_flags:,} rows have flags (weight, train) that train_on "
            f"{data.train_on} does not read; --train-on flags does"
        )
    if lengths.unwritten_tools:
        lines.append(
            f"tools   {lengths.unwritten_tools:,} rows have tools, of which the model's chat "
            "template writes nothing: they are not trained"
        )
    if lengths.shrunk:
        lines.append(
            f"shrunk  {lengths.shrunk:,} rows show smaller pictures to fit {data.max_length} "
            f"tokens, down to max_pixels {lengths.shrunk_to}"
        )
    unknown = unknown_ids(data, lengths)
    if unknown:
        first = ", ".join(map(repr, unknown[:SHOWN_IDS]))
        lines.append(f"ids     {len(unknown):,} of --exclude-ids are not in these rows: {first}")
    return lines


def pixel_lines(rule: PixelRule) -> list[str]:
    """Say what the pixel limits make of a large picture, and of a small one.

    Example:
        >>> pixel_lines(PixelRule())[0]
        'pixels  max_pixels 1003520: a 4032x3024 photo is shown at 1148x840, 1230 tokens'
    """
    return [
        f"pixels  max_pixels {rule.max_pixels}: a 4032x3024 photo is {_shown(PHOTO, rule)}",
        f"        min_pixels {rule.min_pixels}: a 28x28 icon is {_shown(ICON, rule)}",
    ]


def _shown(size: ImageSize, rule: PixelRule) -> str:
    fitted, tokens = fitted_size(size, rule), image_tokens(size, rule)
    ending = "" if tokens == 1 else "s"
    return f"shown at {fitted.width_px}x{fitted.height_px}, {tokens} token{ending}"


def check_trainable(
    lengths: Lengths,
    on_refused: str,
    where: str,
    *,
    on_too_long: str = "refuse",
    way_on: str = "To train on the others: --on-refused drop",
) -> None:
    """Refuse to train when rows were refused, unless they may be dropped, or when none is left.

    Args:
        lengths: What `measure` found.
        on_refused: ``stop`` or ``drop``.
        where: Folder and split, for the message.
        on_too_long: With ``drop``, rows that are too long may be dropped whatever holds for
            others.
        way_on: What to do about a few that are refused.

    Raises:
        RowsRefused: Counts by reason, the first rows, and the flag that goes on.
    """
    none_left = not len(lengths.rows)
    spared = {Reason.ROW_TOO_LONG} if on_too_long == "drop" and not none_left else set()
    stopping = [row for row in lengths.refused if row.reason not in spared]
    if stopping and (on_refused == "stop" or none_left):
        counts = ", ".join(f"{n} {reason}" for reason, n in reasons(stopping).items())
        first = "; ".join(str(row) for row in stopping[:SHOWN_IDS])
        hint = "" if none_left else f" {way_on}"
        raise RowsRefused(f"{where}: rows that cannot be trained: {counts}. First: {first}.{hint}")
    if none_left:
        raise RowsRefused(f"{where}: no row to train on")
