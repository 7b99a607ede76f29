"""Rows of like length in one step: less of what is computed is padding.

An epoch's order is cut into windows; within one, rows are sorted by length, cut into steps, and the
steps are shuffled. A step, and not a batch, is what is cut: it holds the same rows however it is
dealt out, and no process waits for another's longer batch. The price: the rows of a step are of
like length, which a shuffle alone would not make them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vlm_trainer.order import permutation

if TYPE_CHECKING:
    import numpy as np

WINDOW_STEPS = 50


def grouped(
    epoch: int, seed: int, order: np.ndarray[Any, Any], widths: np.ndarray[Any, Any], rows: int
) -> np.ndarray[Any, Any]:
    """Return the places of an epoch's order anew, so that rows of like length share a step.

    The rows beyond the last whole step stay there: a random choice, of any length.

    Args:
        epoch: From 0.
        seed: Any integer.
        order: Rows as they would come, int64 (N,).
        widths: Of every row, by its number.
        rows: Of a step, over all its batches and processes.

    Returns:
        int64 (N,), each place of ``order`` once.

    Example:
        >>> import numpy as np
        >>> lengths = np.array([90, 5, 80, 6, 7])
        >>> sorted(map(sorted, grouped(0, 42, np.arange(5), lengths, 2)[:4].reshape(2, 2).tolist()))
        [[0, 2], [1, 3]]
    """
    import numpy as np

    places = np.arange(len(order))
    whole = len(order) // rows * rows
    steps_SR = places[:whole].reshape(-1, rows)
    windows = np.array_split(steps_SR, max(1, -(-len(steps_SR) // WINDOW_STEPS)))
    found = []
    for number, window_SR in enumerate(windows):
        inside = window_SR.ravel()
        inside = inside[np.argsort(widths[order[inside]], kind="stable")]
        shuffled = permutation(epoch, f"{seed}/steps/{number}", len(window_SR))
        found.append(inside.reshape(-1, rows)[shuffled].ravel())
    rest = places[whole:]
    return np.concatenate([*found, rest[np.argsort(widths[order[rest]], kind="stable")]])


def padding_share(
    widths: np.ndarray[Any, Any], tokens: np.ndarray[Any, Any], batch: int, sides: int = 1
) -> float:
    """Return the share of what an epoch computes that is padding.

    Args:
        widths: Of the rows in their order: the longest side of each.
        tokens: Of the same rows, all sides.
        batch: Rows that are padded to the longest of them.
        sides: Texts of a row: 2 of a preference pair.

    Example:
        >>> import numpy as np
        >>> padding_share(np.array([4, 2, 5]), np.array([4, 2, 5]), batch=2)
        0.15384615384615385
    """
    import numpy as np

    if not len(widths):
        return 0.0
    starts = np.arange(0, len(widths), batch)
    rows = np.diff([*starts, len(widths)])
    computed = sides * int((np.maximum.reduceat(widths, starts) * rows).sum())
    return 1 - int(tokens.sum()) / computed
