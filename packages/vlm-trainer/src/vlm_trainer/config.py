"""What a run is told: every option once, with its type, default and help.

The fields of the groups below are the YAML keys and the flags; names are those of TRL
and transformers. Flat outside (`learning_rate: 1e-4`), grouped inside.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vlm_trainer.addresses import disk_path
from vlm_trainer.errors import UsageError

SCOPES = ("language", "vision", "merger")
DPO_LOSSES = (  # those of TRL's DPOTrainer, which names a wrong one only in its first step
    "sigmoid", "hinge", "ipo", "exo_pair", "nca_pair", "robust", "bco_pair", "sppo_hard", "aot",
    "aot_unpaired", "apo_zero", "apo_down", "discopop", "sft", "sigmoid_norm",
)  # fmt: skip
TRAIN_ON = ("assistant", "last", "last-turn", "flags", "all")
SCHEDULERS = (  # transformers' SchedulerType, known here before torch is; a test compares them
    "linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup",
    "inverse_sqrt", "reduce_lr_on_plateau", "cosine_with_min_lr", "cosine_warmup_with_min_lr",
    "warmup_stable_decay",
)  # fmt: skip


def option(kind: type, default: Any, text: str, choices: tuple[str, ...] = ()) -> Any:
    """Declare a config field: ``kind`` is bool, int, float, str, or tuple for a list."""
    return field(default=default, metadata={"kind": kind, "help": text, "choices": choices})


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """Which model, which pictures it is shown, which part of it is trained."""

    model_name_or_path: str = option(
        str, "", "Model folder, Hub name, or `tiny` / `tiny-text` (random, built offline)."
    )
    model_revision: str = option(str, "main", "Branch, tag or commit of a Hub model.")
    tuning: str = option(str, "lora", "Train an adapter or all weights.", ("lora", "full"))
    max_pixels: int = option(int, 1_003_520, "Largest area a picture is shown at.")
    min_pixels: int = option(int, 3136, "Smallest area a picture is shown at.")
    attn_implementation: str | None = option(str, None, "As in transformers: sdpa, eager, ...")
    load_in: str | None = option(
        str, None, "Quantise the base by bitsandbytes (QLoRA): 4bit is NF4.", ("4bit", "8bit")
    )
    quantize_vision: bool = option(
        bool, default=False, text="Quantise the vision tower and the merger too."
    )


@dataclass(frozen=True, slots=True)
class LearningOptions:
    """What is learned from the rows."""

    method: str | None = option(
        str, None, "sft, or dpo on preference pairs; default: by the layout of the shards.",
        ("sft", "dpo"),
    )  # fmt: skip
    beta: float = option(float, 0.1, "DPO: how firmly the model is held to its reference.")
    dpo_loss: tuple[str, ...] = option(
        tuple, ("sigmoid",), "DPO: loss_type of TRL, one or several.", DPO_LOSSES
    )


@dataclass(frozen=True, slots=True)
class LoraOptions:
    """The adapter."""

    lora_r: int = option(int, 16, "Rank of the adapter.")
    lora_alpha: int = option(int, 16, "Its scale is alpha / r.")
    lora_dropout: float = option(float, 0.0, "Dropout on the adapter's input.")
    lora_scope: tuple[str, ...] = option(
        tuple, ("language",), "Parts that get an adapter: language, vision, merger.", SCOPES
    )
    use_rslora: bool = option(bool, default=False, text="Scale by alpha / sqrt(r): rsLoRA.")
    use_dora: bool = option(bool, default=False, text="Train magnitudes beside directions: DoRA.")


@dataclass(frozen=True, slots=True)
class DataOptions:
    """Which rows, and what happens to those that cannot be trained."""

    data: str = option(
        str, "", "Folder of an import (manifest.json and data/*.parquet), or its address, such as "
        "s3://bucket/forms, from which it is streamed.",
    )  # fmt: skip
    mix: tuple[str, ...] = option(
        tuple, (), "FOLDER or FOLDER=WEIGHT: a further folder, each of whose rows is shown WEIGHT "
        "times (0.5: every other time) while --data is shown once; repeatable, or several with "
        "commas (one that belongs to a name is written \\,).",
    )  # fmt: skip
    stream_cache_mib: int = option(int, 2048, "Disk space for what is streamed, in MiB.")
    train_split: str = option(str, "train", "Split to train on.")
    eval_split: str | None = option(str, None, "Split whose loss is measured while training.")
    eval_share: float | None = option(
        float, None, "Instead: share of train_split held out by contents, between 0 and 1."
    )
    max_length: int | None = option(
        int, None, "Longest row in tokens. Rows are never cut; longer ones are refused."
    )
    on_too_long: str = option(
        str, "refuse", "Rows above max_length: refuse them as others (see on_refused), drop them, "
        "or shrink their pictures, not below min_pixels.", ("refuse", "drop", "shrink"),
    )  # fmt: skip
    train_on: str = option(
        str, "assistant", "Messages that are trained: all of the assistant's, the last, the last "
        "turn's, what the flags in the shards say, or all texts.", TRAIN_ON,
    )  # fmt: skip
    json_focus: float | None = option(
        float, None, "Weight of the form (brackets, quotes, ...) of answers that are JSON, 0 to 1."
    )
    json_focus_keys: bool = option(
        bool, default=False, text="Count the names of fields as form too."
    )
    packing: bool = option(
        bool, default=False, text="Pack rows into max_length tokens (text models only)."
    )
    on_refused: str = option(
        str, "stop", "Rows that cannot be trained: stop, or drop them.", ("stop", "drop")
    )
    exclude_ids: tuple[str, ...] = option(tuple, (), "Ids of rows to leave out.")
    limit: int | None = option(int, None, "First so many trainable rows, of each folder.")
    augment: str | None = option(
        str, None, "Turn pictures up to 10 degrees, brightness and contrast up to 20 %: each time "
        "anew, in training alone.", ("mild",),
    )  # fmt: skip
    group_by_length: bool = option(
        bool, default=False, text="Rows of like length share a step: less padding."
    )


@dataclass(frozen=True, slots=True)
class ScheduleOptions:
    """Steps, batches, rates and the machine."""

    max_steps: int = option(int, -1, "Optimizer steps; -1 for num_train_epochs.")
    num_train_epochs: float = option(float, 1.0, "Passes over the data.")
    per_device_train_batch_size: int = option(int, 1, "Rows at once on a device.")
    per_device_eval_batch_size: int | None = option(
        int, None, "The same, while measuring; default: as in training."
    )
    gradient_accumulation_steps: int = option(int, 8, "Batches to a step.")
    learning_rate: float = option(float, 2e-5, "Peak rate.")
    lr_scheduler_type: str = option(str, "linear", "As in transformers.", SCHEDULERS)
    warmup_steps: float = option(float, 0, "Steps of warm-up, or below 1 a share of all.")
    weight_decay: float = option(float, 0.0, "Of AdamW.")
    max_grad_norm: float = option(float, 1.0, "Gradient clipping; 0 for none.")
    seed: int = option(int, 42, "Of order, dropout and new weights.")
    use_cpu: bool = option(bool, default=False, text="Train on the CPU even where a GPU is.")
    bf16: bool | None = option(bool, None, "bfloat16; default: on with a GPU.")
    gradient_checkpointing: bool | None = option(bool, None, "Default: on with a GPU.")
    dataloader_num_workers: int = option(int, 0, "Processes that decode pictures.")
    expect_processes: int | None = option(int, None, "Stop unless so many processes run.")


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """Where results go and how often."""

    output_dir: str = option(str, "", "New or unfinished output folder of this run.")
    save_steps: int = option(int, 500, "Steps between checkpoints.")
    save_total_limit: int = option(int, 2, "Whole checkpoints kept.")
    logging_steps: int = option(int, 10, "Steps between lines of metrics.jsonl.")
    eval_steps: int | None = option(int, None, "Steps between measures; default: each epoch.")
    eval_on_start: bool = option(
        bool, default=False, text="Measure before training too: step 0 of metrics.jsonl."
    )
    early_stopping: int | None = option(
        int, None, "End after so many measures without a better held-out loss."
    )
    early_stopping_threshold: float = option(float, 0.0, "How much lower is better.")
    keep_best: bool = option(
        bool, default=False, text="Keep the step with the lowest held-out loss: it is the result."
    )
    report_to: str = option(str, "none", "Passed to transformers: wandb, tensorboard, ...")


GROUPS: dict[str, type] = {
    "model": ModelOptions,
    "learning": LearningOptions,
    "lora": LoraOptions,
    "data": DataOptions,
    "schedule": ScheduleOptions,
    "output": OutputOptions,
}


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """All of a run's settings, checked.

    Args:
        trainer: Further fields of TRL's SFTConfig or DPOConfig, given as they are.
    """

    model: ModelOptions = ModelOptions()
    learning: LearningOptions = LearningOptions()
    lora: LoraOptions = LoraOptions()
    data: DataOptions = DataOptions()
    schedule: ScheduleOptions = ScheduleOptions()
    output: OutputOptions = OutputOptions()
    trainer: Mapping[str, Any] = field(default_factory=dict)


def options() -> dict[str, dataclasses.Field[Any]]:
    """Return every option by its flat name, in the order of the groups."""
    return {f.name: f for group in GROUPS.values() for f in dataclasses.fields(group)}


def to_flat(config: TrainConfig) -> dict[str, Any]:
    """Return the config under its flat YAML keys; tuples become lists.

    Example:
        >>> to_flat(TrainConfig())["lora_r"]
        16
    """
    flat: dict[str, Any] = {}
    for name, group in GROUPS.items():
        flat |= {f.name: getattr(getattr(config, name), f.name) for f in dataclasses.fields(group)}
    flat = {key: list(value) if isinstance(value, tuple) else value for key, value in flat.items()}
    return {**flat, "trainer": dict(config.trainer)} if config.trainer else flat


def from_flat(values: Mapping[str, Any]) -> TrainConfig:
    """Build a config from flat keys that have the right types already, and check it.

    Raises:
        UsageError: A value that cannot be, alone or beside another.
    """
    groups = {
        name: group(
            **{f.name: values[f.name] for f in dataclasses.fields(group) if f.name in values}
        )
        for name, group in GROUPS.items()
    }
    config = TrainConfig(**groups, trainer=values.get("trainer") or {})
    _check(config)
    return config


AT_LEAST = {  # key: smallest value
    "max_pixels": 1, "min_pixels": 1, "lora_r": 1, "lora_alpha": 1, "max_length": 1,
    "per_device_train_batch_size": 1, "per_device_eval_batch_size": 1,
    "gradient_accumulation_steps": 1, "dataloader_num_workers": 0, "expect_processes": 1,
    "save_steps": 1, "save_total_limit": 1, "logging_steps": 1, "eval_steps": 1,
    "learning_rate": 0, "num_train_epochs": 0, "warmup_steps": 0, "max_grad_norm": 0,
    "weight_decay": 0, "lora_dropout": 0, "seed": 0, "json_focus": 0, "limit": 1,
    "early_stopping": 1, "early_stopping_threshold": 0, "stream_cache_mib": 1,
}  # fmt: skip


AT_MOST = {"seed": 2**32 - 1, "json_focus": 1}  # the seed is NumPy's too


def _check(config: TrainConfig) -> None:
    for key, value in to_flat(config).items():
        if key in AT_LEAST and value is not None and value < AT_LEAST[key]:
            raise UsageError(f"{key} is {value}; it must be at least {AT_LEAST[key]}")
        if key in AT_MOST and value is not None and value > AT_MOST[key]:
            raise UsageError(f"{key} is {value}; it must be at most {AT_MOST[key]}")
    model, data, lora, schedule = config.model, config.data, config.lora, config.schedule
    if schedule.max_steps < 1 and schedule.max_steps != -1:
        wanted = "it must be at least 1, or -1 for epochs"
        raise UsageError(f"max_steps is {schedule.max_steps}; {wanted}")
    if model.min_pixels > model.max_pixels:
        raise UsageError(f"min_pixels {model.min_pixels} is above max_pixels {model.max_pixels}")
    if lora.lora_dropout >= 1:
        raise UsageError(f"lora_dropout is {lora.lora_dropout}; it must be below 1")
    _check_method(model, config.learning)
    if not lora.lora_scope:
        raise UsageError(f"lora_scope is empty; choose from {', '.join(SCOPES)}")
    if data.on_too_long != "refuse" and data.max_length is None:
        raise UsageError(f"on_too_long {data.on_too_long} needs max_length, the longest row")
    _check_packing(data)
    _check_weights(data, config.trainer)
    _check_held_out(data, config.output)
    disk_path(config.output.output_dir)
    if schedule.max_steps < 1 and schedule.num_train_epochs <= 0:
        raise UsageError("nothing to train: give max_steps or num_train_epochs above 0")


def _check_packing(data: DataOptions) -> None:
    if not data.packing:
        return
    if data.max_length is None:
        raise UsageError("packing needs max_length, the tokens of a packed row")
    if data.mix:
        raise UsageError("packing and mix: a packed row belongs to no folder, and has no weight")
    if data.group_by_length:
        raise UsageError("packing and group_by_length: packed rows are of one length")


def _check_weights(data: DataOptions, trainer: Mapping[str, Any]) -> None:
    """Refuse what would lose the weights of tokens without a word."""
    if data.json_focus_keys and data.json_focus is None:
        raise UsageError("json_focus_keys needs json_focus, the weight of the form")
    weighing = "json_focus" if data.json_focus is not None else "train_on flags"
    if data.json_focus is None and data.train_on != "flags":
        return
    if data.packing:
        raise UsageError(f"{weighing} weighs tokens, and packed rows keep no weights")
    for key, plain in (("loss_type", "nll"), ("label_smoothing_factor", 0)):
        if trainer.get(key, plain) != plain:
            raise UsageError(f"{weighing} weighs tokens; trainer: {key} {trainer[key]} does not")


def _check_held_out(data: DataOptions, output: OutputOptions) -> None:
    if data.eval_share is not None and not 0 < data.eval_share < 1:
        raise UsageError(f"eval_share is {data.eval_share:g}; it must be between 0 and 1")
    if data.eval_share is not None and data.eval_split:
        raise UsageError("eval_share and eval_split: held-out rows come from one of them")
    if output.early_stopping_threshold and output.early_stopping is None:
        raise UsageError("early_stopping_threshold needs early_stopping, the measures to wait")
    for key in ("eval_on_start", "early_stopping", "keep_best"):
        if getattr(output, key) and not data.eval_split and data.eval_share is None:
            raise UsageError(f"{key} needs held-out rows: give eval_split or eval_share")


def _check_method(model: ModelOptions, learning: LearningOptions) -> None:
    if learning.beta <= 0:
        raise UsageError(f"beta is {learning.beta}; it must be above 0")
    if not learning.dpo_loss:
        raise UsageError(f"dpo_loss is empty; choose from {', '.join(DPO_LOSSES)}")
    if model.load_in and model.tuning == "full":
        raise UsageError(f"load_in {model.load_in}: quantised weights are not tuned, only LoRA is")
    if model.quantize_vision and not model.load_in:
        raise UsageError("quantize_vision needs load_in: 4bit or 8bit")


def check_complete(config: TrainConfig) -> None:
    """Refuse a config that does not say which model, data and output it wants.

    Raises:
        UsageError: Names all that is missing, in one line.
    """
    wanted = {
        "--model-name-or-path MODEL": config.model.model_name_or_path,
        "--data FOLDER": config.data.data,
        "--output-dir FOLDER": config.output.output_dir,
    }
    missing = [flag for flag, value in wanted.items() if not value]
    if missing:
        raise UsageError(
            f"which model, data and output? missing: {', '.join(missing)} "
            "(or the same keys in --config FILE; --help shows all)"
        )
