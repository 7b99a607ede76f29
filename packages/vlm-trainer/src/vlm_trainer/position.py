"""Where a run that goes on stands in its epoch, also when rows were left out since.

The stock trainer divides the steps of a checkpoint by the steps of an epoch of now. A row left out
since may have made an epoch a step shorter: it would then pass over steps nobody has trained, once
for every epoch before. Here a checkpoint says its epoch and its step in it.
"""

from __future__ import annotations

from typing import Any

from transformers import Trainer


class PositionHooks(Trainer):  # framework hooks only
    """Goes on in the epoch and at the step where the checkpoint was saved."""

    order: Any  # `vlm_trainer.samplers.EpochOrder`, which knows how far the run is ahead

    def set_initial_training_values(self, args: Any, dataloader: Any) -> Any:
        """Count the steps of the run: those of its epochs, and those it is ahead of them."""
        epochs, steps, *counts, last = super().set_initial_training_values(args, dataloader)
        if args.max_steps < 0:
            return epochs, steps, *counts, last + self.order.ahead
        return -(-(last - self.order.ahead) // steps), steps, *counts, last

    def _init_training_state(self, max_steps: int, steps: int, *rest: Any) -> tuple[int, int]:
        super()._init_training_state(max_steps, steps, *rest)
        epoch, step = divmod(self.state.global_step - self.order.ahead, steps)
        return epoch, step * self.args.gradient_accumulation_steps
