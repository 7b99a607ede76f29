"""What a trainer is made of, and the settings it is given, whatever the method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from vlm_trainer.collate import collate
from vlm_trainer.config import TrainConfig
from vlm_trainer.data import RenderedRows
from vlm_trainer.epochs import Epochs
from vlm_trainer.errors import Refused, UsageError
from vlm_trainer.launch import StopRequest
from vlm_trainer.model import Hardware
from vlm_trainer.settings import typed_trainer_fields

OWN_FIELDS = frozenset(  # what this package decides by itself; labels and rows come rendered
    {
        "assistant_only_loss", "completion_only_loss", "dataset_kwargs", "dataset_num_proc",
        "dataset_text_field", "eval_strategy", "load_best_model_at_end", "pad_to_multiple_of",
        "padding_free",
        "precompute_ref_batch_size", "precompute_ref_log_probs", "ref_model_mixup_alpha",
        "ref_model_sync_steps", "remove_unused_columns", "resume_from_checkpoint",
        "save_strategy", "shuffle_dataset", "sync_ref_model", "train_sampling_strategy",
        "truncation_mode",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Job:
    """All that a trainer is made of.

    Args:
        config: The settings.
        hardware: Device and precision.
        folder: Base model's folder, for its tokenizer.
        rows: To train on.
        epochs: Their order.
        held_out: To measure on, or None.
        stop: Asked at the end of every step.
    """

    config: TrainConfig
    hardware: Hardware
    folder: Path
    rows: RenderedRows
    epochs: Epochs
    held_out: RenderedRows | None
    stop: StopRequest


def make_arguments(kind: Any, job: Job, own: dict[str, Any]) -> Any:
    """Return TRL's config object for a job.

    Args:
        kind: SFTConfig or DPOConfig.
        job: Settings, device, rows.
        own: Fields of the method; what stands under ``trainer:`` comes after them.

    Raises:
        UsageError: A field under ``trainer:`` that it does not have or that is not the
            user's, or a value it refuses.
    """
    known = {field.name: field for field in fields(kind)}
    given = typed_trainer_fields(job.config.trainer, known, kind.__name__)
    for name in given:
        if name in OWN_FIELDS or name in own:
            raise UsageError(f"trainer: {name} of {kind.__name__} is set by vlm-trainer itself")
    wanted = {**_shared_arguments(job), **own, **given}
    try:
        arguments = kind(**{key: value for key, value in wanted.items() if key in known})
        _try_schedule(arguments)
        return arguments
    except (ImportError, TypeError, ValueError) as error:
        first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UsageError(f"{kind.__name__} refuses the settings: {first_line}") from error


def _try_schedule(arguments: Any) -> None:
    """Make a schedule of rates that nothing uses: TRL makes its own where the training begins."""
    import torch
    from transformers import get_scheduler

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))])
    kind, own = arguments.lr_scheduler_type, arguments.lr_scheduler_kwargs or {}
    get_scheduler(kind, optimizer, 0, 1, scheduler_specific_kwargs=dict(own))


def _shared_arguments(job: Job) -> dict[str, Any]:
    schedule, output = job.config.schedule, job.config.output
    passed = {f.name: getattr(g, f.name) for g in (schedule, output) for f in fields(g)}
    towers = {"vision", "merger"} & set(job.config.lora.lora_scope)
    sees = job.config.model.tuning == "full" or bool(towers)
    return {
        **passed,
        "per_device_eval_batch_size": (
            schedule.per_device_eval_batch_size or schedule.per_device_train_batch_size
        ),
        "bf16": job.hardware.bf16,
        # transformers 5 has a new name for it and warns at the old one
        "gradient_checkpointing": job.hardware.gradient_checkpointing,
        "activation_checkpointing": job.hardware.gradient_checkpointing,
        "use_cpu": job.hardware.device == "cpu",
        "dataloader_pin_memory": job.hardware.device != "cpu",
        "save_strategy": "steps",
        "save_total_limit": None,  # ours: old ones go only after the new one is whole
        "logging_first_step": True,
        "logging_nan_inf_filter": False,  # a NaN must be seen
        "eval_strategy": "steps" if job.held_out else "no",  # an epoch is so many, see `settle`
        "max_length": None,
        "remove_unused_columns": False,
        "ddp_find_unused_parameters": sees and job.rows.how.chat.image_token_id is not None,
        "average_tokens_across_devices": True,
        "prediction_loss_only": True,
        "disable_tqdm": True,
        "log_level": "error",
        "log_level_replica": "error",
    }


def collate_rows(rows: Sequence[Any], pad_id: int, image_token_id: int | None) -> Any:
    """Collate rendered rows; refused ones pass as they are, to be raised where a run can save."""
    refused = [row for row in rows if isinstance(row, Refused)]
    if refused:
        return {"refused": refused}
    return collate(rows, pad_id, image_token_id)
