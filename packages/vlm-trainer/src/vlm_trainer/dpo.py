"""TRL's DPOTrainer with our pairs, our order, our masks and our checkpoints.

The losses, the reference and the metrics are TRL's. Its rows are not: they would be
tokenized at the start, cut at 1,024 tokens, and could not be entered at a number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from transformers import AutoTokenizer, TrainerCallback
from trl import DPOConfig, DPOTrainer

from vlm_trainer.collate import collate
from vlm_trainer.errors import Refused, UsageError
from vlm_trainer.hooks import ShardHooks, placeholder, settle
from vlm_trainer.jobs import Job, make_arguments
from vlm_trainer.pairs import Pair
from vlm_trainer.render import IGNORED
from vlm_trainer.samplers import EpochOrder
from vlm_trainer.shares import STANDS_IN


class PairTrainer(ShardHooks, DPOTrainer):  # framework hooks only
    """DPOTrainer that takes rendered pairs in a seekable order and marks whole checkpoints."""

    loss_is_scaled_for_ga = True  # by `compute_loss` below

    def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
        return dataset

    def get_batch_samples(self, epoch_iterator: Any, *rest: Any) -> Any:
        """Fetch the batches of a step and count their pairs, over all processes."""
        batches, _ = super().get_batch_samples(epoch_iterator, *rest)
        pairs = torch.tensor(sum(map(_pairs_in, batches)), device=self.args.device)
        return batches, self.accelerator.reduce(pairs)

    def compute_loss(
        self,
        model: Any,
        inputs: Any,
        return_outputs: bool = False,  # noqa: FBT001, FBT002 - the stock signature
        num_items_in_batch: Any = None,
    ) -> Any:
        """Give every pair of a step the same weight, however the step is dealt out.

        The stock trainer takes the mean of batch means, and a last batch of one row then
        counts as much as a whole one.
        """
        pairs = _pairs_in(inputs)
        inputs.pop(STANDS_IN, None)
        with uneven_gather(self.accelerator, pairs):
            loss = super().compute_loss(model, inputs, return_outputs)  # type: ignore[no-untyped-call]
        if num_items_in_batch is None:
            return loss
        return loss * pairs * self.args.world_size / num_items_in_batch


def build_pair_trainer(
    job: Job, model: Any, reference: Any, callbacks: Sequence[TrainerCallback]
) -> PairTrainer:
    """Put model, reference, pairs and settings into a trainer.

    Args:
        job: Rows, settings, device.
        model: A transformers model, or a PEFT model with a fresh adapter.
        reference: The model as it was, frozen; None for an adapter, whose base it is.
        callbacks: Further ones, such as the progress.

    Raises:
        UsageError: A field under ``trainer:`` that DPOConfig does not have, or settings that
            DPOTrainer refuses together.
    """
    chat = job.rows.how.chat
    collator = partial(collate_pairs, pad_id=chat.pad_id, image_token_id=chat.image_token_id)
    arguments = make_arguments(DPOConfig, job, _own_arguments(job))
    try:
        trainer = PairTrainer(
            model=model,
            ref_model=reference,
            args=arguments,
            train_dataset=placeholder(),
            eval_dataset=placeholder() if job.held_out else None,
            processing_class=AutoTokenizer.from_pretrained(job.folder),
            data_collator=collator,
        )
    except (NotImplementedError, ValueError) as error:
        raise UsageError(f"DPOTrainer refuses the settings: {error}") from error
    if "ref" in getattr(model, "peft_config", {}):
        # TRL's copy of an adapter that learned something before; ours is fresh, and a model
        # with two adapters saves both.
        model.delete_adapter("ref")
    trainer.train_dataset, trainer.eval_dataset = job.rows, job.held_out
    order = EpochOrder(job.epochs, says_when=job.rows.augment is not None)
    settle(trainer, job, order, callbacks)
    return trainer


def collate_pairs(
    rows: Sequence[Pair | Refused], pad_id: int, image_token_id: int | None
) -> dict[str, Any]:
    """Stack pairs as TRL wants them: all chosen sides, then all rejected ones.

    Returns:
        As `vlm_trainer.collate.collate` of 2B rows, with ``completion_mask`` int64 (2B, T),
        1 where a token of an answer is scored, in the place of the labels. A refused row
        passes as it is, to be raised where a run can save.
    """
    refused = [row for row in rows if isinstance(row, Refused)]
    if refused:
        return {"refused": refused}
    pairs = [row for row in rows if isinstance(row, Pair)]
    stacked = [*(pair.chosen for pair in pairs), *(pair.rejected for pair in pairs)]
    batch = dict(collate(stacked, pad_id, image_token_id))
    batch["completion_mask"] = (batch.pop("labels") != IGNORED).long()
    return batch


def _own_arguments(job: Job) -> dict[str, Any]:
    learning, dropout = job.config.learning, job.config.lora.lora_dropout
    return {
        "beta": learning.beta,
        "loss_type": list(learning.dpo_loss),
        # TRL turns the adapter's dropout off too; here it does what was asked for.
        "disable_dropout": job.config.model.tuning == "full" or not dropout,
    }


def _pairs_in(batch: Any) -> int:
    return 0 if STANDS_IN in batch else len(batch["input_ids"]) // 2


@contextmanager
def uneven_gather(accelerator: Any, pairs: int) -> Iterator[None]:
    """Let TRL's metrics be gathered over batches of unequal size, those without a pair left out.

    ``Accelerator.gather`` wants one shape on every process, and the last batches of an epoch
    have none.
    """
    if accelerator.num_processes == 1:
        yield
        return
    stock = accelerator.gather
    counts = stock(torch.tensor([pairs], device=accelerator.device)).tolist()

    def gather(tensor: Any) -> Any:
        if tensor.dim() == 0:
            return stock(tensor if pairs else tensor * 0)
        filled = torch.nn.functional.pad(tensor[:pairs], (0, max(counts) - pairs))
        pieces = stock(filled).chunk(len(counts))
        return torch.cat([piece[:count] for piece, count in zip(pieces, counts, strict=True)])

    accelerator.gather = gather
    try:
        yield
    finally:
        del accelerator.gather
