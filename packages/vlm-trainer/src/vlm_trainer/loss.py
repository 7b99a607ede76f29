"""Tokens that count more or less than others, in the loss that TRL takes.

TRL divides the sum over a step's tokens by their number, over all batches and processes. Here
each token's term is multiplied by its weight, and the weights of a step are brought to a mean
of 1 beforehand: the loss becomes sum(weight x nll) / sum(weight), however a step is cut.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from transformers import Trainer

WEIGHTS = "loss_weights"  # of a batch, float32 (B, T), 0 where there is no label


class WeightedLoss(Trainer):  # framework hooks only; stands before a trainer of TRL
    """The loss over weighted tokens; batches without weights pass as they are."""

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

    def compute_loss(self, model: Any, inputs: Any, *given: Any, **named: Any) -> Any:
        """Weigh the tokens; while measuring, the mean is taken over the batch alone."""
        weights_BT = inputs.pop(WEIGHTS, None)
        if weights_BT is None:
            return super().compute_loss(model, inputs, *given, **named)
        if not (self.model and self.model.training):
            weights_BT = weights_BT * (
                (inputs["labels"][:, 1:] != -100).sum() / _sum_of(weights_BT)
            )
        weighed: Any = partial(_weighed, model, weights_BT)
        return super().compute_loss(weighed, inputs, *given, **named)


def _sum_of(weights_BT: Any) -> Any:
    """Add up the weights of the tokens that are predicted, which the first of a row is not."""
    return weights_BT[:, 1:].double().sum()


def _weighed(model: Any, weights_BT: Any, **inputs: Any) -> Any:
    outputs = model(**inputs)
    # Log-probabilities are 0 where there is no label, and stand a place before their token.
    outputs.log_probs = outputs.log_probs * weights_BT[:, 1:].to(outputs.log_probs)
    return outputs
