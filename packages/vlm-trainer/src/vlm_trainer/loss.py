"""The loss of a step: TRL's to the last digits, without what TRL measures beside it.

TRL divides the sum over a step's tokens by their number, over all batches and processes. Here
each token's term may be multiplied by its weight, and the weights of a step are brought to a mean
of 1 beforehand: the loss becomes sum(weight x nll) / sum(weight), however a step is cut.

TRL also takes the entropy and the share of tokens that were the likeliest, and waits for both in
every batch; nobody reads them. On a CPU it works out the logits of all positions twice.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import Trainer

from vlm_trainer.render import IGNORED

WEIGHTS = "loss_weights"  # of a batch, float32 (B, T), 0 where there is no label


class TokenLoss(Trainer):  # framework hooks only; stands before SFTTrainer
    """The loss over the tokens with a label, weighted or not, and nothing else."""

    aux_loss_enabled: bool

    @property
    def is_plain(self) -> bool:
        """Whether no field under ``trainer:`` asks for a loss that TRL has to take itself."""
        args: Any = self.args
        asked = self.compute_loss_func or self.label_smoother or self.aux_loss_enabled
        spread = self.accelerator.parallelism_config is not None
        return not asked and not spread and args.loss_type == "nll"

    def get_batch_samples(self, epoch_iterator: Any, *rest: Any) -> Any:
        """Fetch the batches of a step, and bring their weights to a mean of 1."""
        batches, tokens = super().get_batch_samples(epoch_iterator, *rest)
        if batches and WEIGHTS in batches[0]:
            total = sum(_sum_of(batch[WEIGHTS]) for batch in batches).to(self.args.device)
            if self.args.average_tokens_across_devices:  # tokens are those of all processes
                total = self.accelerator.gather(total).sum()
            for batch in batches:
                batch[WEIGHTS] = batch[WEIGHTS] * (tokens / total)
        return batches, tokens

    def compute_loss(
        self,
        model: Any,
        inputs: Any,
        return_outputs: bool = False,  # noqa: FBT001, FBT002 - the stock signature
        num_items_in_batch: Any = None,
    ) -> Any:
        """Divide the terms by the tokens of the step; while measuring, by those of the batch."""
        if return_outputs or not self.is_plain:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        weights_BT = inputs.pop(WEIGHTS, None)
        tokens = num_items_in_batch
        if tokens is None:
            tokens = (inputs["labels"][:, 1:] != IGNORED).sum()
            if weights_BT is not None:
                weights_BT = weights_BT * (tokens / _sum_of(weights_BT))
        loss = summed_nll(model, inputs, weights_BT) / torch.as_tensor(tokens).clamp(min=1)
        if self.args.average_tokens_across_devices and num_items_in_batch is not None:
            loss = loss * self.accelerator.num_processes  # DDP takes the mean of the processes
        return loss


def summed_nll(model: Any, inputs: Any, weights_BT: torch.Tensor | None = None) -> torch.Tensor:
    """Add up the terms of the tokens that have a label.

    Args:
        model: With the head that SFTTrainer puts on it.
        inputs: A batch, as `vlm_trainer.collate.collate` makes it, without weights.
        weights_BT: Of the terms; 0 without a label.
    """
    if inputs["input_ids"].device.type != "cpu":
        log_probs: torch.Tensor = model(**inputs, fused_lm_head=True, use_cache=False).log_probs
        if weights_BT is not None:
            log_probs = log_probs * weights_BT[:, 1:].to(log_probs)
        return -log_probs.sum()
    rest = {name: tensor for name, tensor in inputs.items() if name != "labels"}
    # A logit stands a place before its token. Few columns have a label: prompts and pictures none.
    columns = (inputs["labels"][:, 1:] != IGNORED).any(0).nonzero().flatten()
    logits_BKV = model(**rest, use_cache=False, logits_to_keep=columns).logits
    nll = torch.nn.functional.cross_entropy(
        logits_BKV.flatten(0, 1).float(),
        inputs["labels"][:, columns + 1].flatten(),
        ignore_index=IGNORED,
        reduction="none",
    )
    return (nll if weights_BT is None else nll * weights_BT[:, columns + 1].flatten()).sum()


def _sum_of(weights_BT: Any) -> Any:
    """Add up the weights of the tokens that are predicted, which the first of a row is not."""
    return weights_BT[:, 1:].double().sum()
