"""Held-out losses in the order they were measured: which is best, and is it still getting better.

Everything is told from the lines of a run's log alone. The log is part of every checkpoint, so a
run that was killed and goes on decides as one that never was.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple


class HeldOutLoss(NamedTuple):
    """A loss on held-out rows, after so many steps."""

    step: int
    loss: float


def held_out_losses(log: Iterable[Mapping[str, Any]]) -> list[HeldOutLoss]:
    """Return the held-out losses of a log in order; the one before training is no part of them.

    Args:
        log: Objects with ``step``; those with ``eval_loss`` count. The lines of metrics.jsonl, or
            the history that a checkpoint keeps.

    Example:
        >>> held_out_losses([{"step": 0, "eval_loss": 3.0}, {"step": 2, "eval_loss": 1.5}])
        [HeldOutLoss(step=2, loss=1.5)]
    """
    return [
        HeldOutLoss(line["step"], line["eval_loss"])
        for line in log
        if "eval_loss" in line and line["step"] > 0
    ]


def best_of(losses: Iterable[HeldOutLoss]) -> HeldOutLoss | None:
    """Return the lowest loss, the first of equals; None when none is a number.

    Example:
        >>> best_of([HeldOutLoss(1, float("nan")), HeldOutLoss(2, 0.5), HeldOutLoss(3, 0.5)])
        HeldOutLoss(step=2, loss=0.5)
    """
    numbers = [one for one in losses if not math.isnan(one.loss)]
    return min(numbers, key=lambda one: one.loss, default=None)


def without_better(losses: Sequence[HeldOutLoss], threshold: float = 0.0) -> int:
    """Count the last losses that were not better than the best before them.

    Args:
        losses: In order.
        threshold: How much lower a loss must be to be better.

    Example:
        >>> without_better([HeldOutLoss(1, 2.0), HeldOutLoss(2, 1.0), HeldOutLoss(3, 1.2)])
        1
    """
    best, count = float("inf"), 0
    for one in losses:
        count = 0 if one.loss < best - threshold else count + 1
        best = best if math.isnan(one.loss) else min(best, one.loss)
    return count


def is_stopped(log: Iterable[Mapping[str, Any]], patience: int | None, threshold: float) -> bool:
    """Say whether a run ends here, as so many losses in a row were not better.

    Example:
        >>> log = [{"step": step, "eval_loss": loss} for step, loss in ((1, 1.0), (2, 1.1))]
        >>> is_stopped(log, 1, 0.0), is_stopped(log, 2, 0.0), is_stopped(log, None, 0.0)
        (True, False, False)
    """
    return patience is not None and without_better(held_out_losses(log), threshold) >= patience
