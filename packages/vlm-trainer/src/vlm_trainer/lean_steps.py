"""Steps without the walks through all weights that the stock trainer takes beside them.

A walk costs Python for each module, however small: two to five milliseconds for a thousand weights,
four times a step. Only the last one stays, which sets gradients to None.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from transformers import Trainer


class LeanSteps(Trainer):  # framework hooks only; stands before a trainer of TRL
    """The same steps; only the norms of gradients are added up in another order."""

    told: Any = None  # the model that was told last that it trains

    def training_step(self, model: Any, inputs: Any, *rest: Any, **options: Any) -> Any:
        """Train on a batch; a model that was told that it trains is not told so again.

        What a model says of itself is not enough: a wrapper for several processes is born training
        around a model that is not.
        """
        with _left_training(model) if model is self.told and model.training else nullcontext():
            self.told = model
            return super().training_step(model, inputs, *rest, **options)

    def floating_point_ops(self, inputs: Any) -> int:  # noqa: ARG002
        """Count nothing: nobody reads the number."""
        return 0

    def _clip_grad_norm(self, model: Any) -> Any:
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            return super()._clip_grad_norm(model)  # type: ignore[no-untyped-call]
        optimizer: Any = self.optimizer
        trained = [weight for group in optimizer.param_groups for weight in group["params"]]
        return self.accelerator.clip_grad_norm_(trained, self.args.max_grad_norm)


@contextmanager
def _left_training(model: Any) -> Iterator[None]:
    model.train = lambda: model
    try:
        yield
    finally:
        del model.train
