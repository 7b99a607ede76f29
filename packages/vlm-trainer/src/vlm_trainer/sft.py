"""TRL's SFTTrainer with our rows, our order, our labels and our checkpoints.

The loss is TRL's, taken in `vlm_trainer.loss`; `vlm_trainer.hooks` holds what is not TRL's.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from datasets import Dataset
from transformers import AutoTokenizer, TrainerCallback
from trl import SFTConfig, SFTTrainer

from vlm_trainer.data import RenderedRows
from vlm_trainer.epochs import Epochs
from vlm_trainer.hooks import ShardHooks, placeholder, settle
from vlm_trainer.jobs import Job, collate_rows, make_arguments
from vlm_trainer.loss import TokenLoss
from vlm_trainer.render import Rendered
from vlm_trainer.samplers import EpochOrder


class ShardTrainer(TokenLoss, ShardHooks, SFTTrainer):  # framework hooks only
    """SFTTrainer that takes rendered rows in a seekable order and marks whole checkpoints."""


def build_trainer(job: Job, model: Any, callbacks: Sequence[TrainerCallback]) -> ShardTrainer:
    """Put model, rows and settings into a trainer.

    Args:
        job: Rows, settings, device.
        model: A transformers or PEFT model.
        callbacks: Further ones, such as the progress.

    Raises:
        UsageError: A field under ``trainer:`` that SFTConfig does not have.
    """
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    # Qwen2.5-VL says False, and the mean of micro-batch means would be taken instead of
    # the mean over all tokens of a step: 8 x 1 would then learn another thing than 1 x 8.
    inner.accepts_loss_kwargs = True
    packing, how = job.config.data.packing, job.rows.how
    collator = partial(collate_rows, pad_id=how.chat.pad_id, image_token_id=how.chat.image_token_id)
    trainer = ShardTrainer(
        model=model,
        args=make_arguments(SFTConfig, job, _own_arguments(job)),
        train_dataset=_as_columns(job.rows) if packing else placeholder(),
        eval_dataset=_held_out(job, packing=packing),
        processing_class=AutoTokenizer.from_pretrained(job.folder),
        data_collator=None if packing else collator,
    )
    settle(trainer, job, _give_rows(trainer, job), callbacks)
    return trainer


def _own_arguments(job: Job) -> dict[str, Any]:
    packing = job.config.data.packing
    return {
        "max_length": job.config.data.max_length if packing else None,
        "packing": packing,
        "dataset_kwargs": None if packing else {"skip_prepare_dataset": True},
        "remove_unused_columns": packing,
    }


def _give_rows(trainer: Any, job: Job) -> EpochOrder:
    """Put our rows in the place of the placeholders, unless TRL has packed them."""
    if job.config.data.packing:
        packed = len(trainer.train_dataset)
        return EpochOrder(Epochs(range(packed), packed, job.config.schedule.seed))
    trainer.train_dataset, trainer.eval_dataset = job.rows, job.held_out
    return EpochOrder(job.epochs, says_when=job.rows.augment is not None)


def _held_out(job: Job, *, packing: bool) -> Dataset | None:
    if job.held_out is None:
        return None
    return _as_columns(job.held_out) if packing else placeholder()


def _as_columns(rows: RenderedRows) -> Dataset:
    rendered = [row for row in map(rows.__getitem__, range(len(rows))) if isinstance(row, Rendered)]
    columns = {"input_ids": "ids", "labels": "labels"}
    return Dataset.from_dict({k: [getattr(r, v) for r in rendered] for k, v in columns.items()})
