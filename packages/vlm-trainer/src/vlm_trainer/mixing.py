"""Several folders in one epoch, each with a weight: half of its rows, or each of them twice.

Of a folder with weight 0.5 the even epochs show one half and the odd ones the other, in an order
that no epoch repeats: its rows are drawn from one endless row of shuffles, so that all have been
seen equally often after any number of epochs, give or take one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from vlm_trainer.errors import UsageError
from vlm_trainer.order import permutation
from vlm_trainer.windows import Windows, shuffled

if TYPE_CHECKING:
    import numpy as np

MOST_WEIGHT = 1000.0


class Part(NamedTuple):
    """A folder of a mix.

    Args:
        folder: As it was named.
        kept: Numbers of its rows that are shown, rising, int64 (N,).
        total_rows: Of its split, kept or not.
        weight: How often each row is shown in an epoch, on average.
        limit: Rows kept at most; None for all.
        windows: By which they are shuffled; None for all at once.
    """

    folder: str
    kept: np.ndarray[Any, Any]
    total_rows: int
    weight: float
    limit: int | None = None
    windows: Windows | None = None

    @property
    def turns(self) -> int:
        """Rows shown if none of them had been left out."""
        rows = self.total_rows if self.limit is None else min(self.limit, self.total_rows)
        return _weighted(rows, self.weight)

    @property
    def shown(self) -> int:
        """Rows shown in an epoch; at least one of a folder that has any."""
        return _weighted(len(self.kept), self.weight)


class Shown(NamedTuple):
    """The rows of an epoch in their order.

    Args:
        rows: Positions within the kept rows of all folders, int64 (N,).
        times: How often all rows of its folder had been shown before, int64 (N,): with its row
            it names each showing of the whole run.
    """

    rows: np.ndarray[Any, Any]
    times: np.ndarray[Any, Any]


def parse_mix(given: str) -> tuple[str, float]:
    """Read ``FOLDER`` or ``FOLDER=WEIGHT``.

    Raises:
        UsageError: A weight that is no number above 0.

    Example:
        >>> parse_mix("captions=0.5"), parse_mix("a=b/charts")
        (('captions', 0.5), ('a=b/charts', 1.0))
    """
    folder, mark, weight = given.rpartition("=")
    if not mark or "/" in weight:
        return given, 1.0
    try:
        value = float(weight)
    except ValueError:
        value = math.nan
    if not 0 < value <= MOST_WEIGHT:
        raise UsageError(
            f"{given}: the weight of a folder is a number above 0 and at most {MOST_WEIGHT:g}"
        )
    return folder, value


def mixed_order(epoch: int, seed: int, parts: Sequence[Part]) -> Shown:
    """Return the order of an epoch over the kept rows of all parts, one part's after another's.

    Which folder comes when is drawn from the rows of the splits, kept or not, and a folder
    gives its rows in turn. Leaving out one more row therefore moves no row before it, and lets
    those of its folder after it come one turn earlier.

    Args:
        epoch: From 0.
        seed: Any integer.
        parts: In order.

    Example:
        >>> import numpy as np
        >>> halves = Part("forms", np.arange(6), 6, 0.5)
        >>> orders = [mixed_order(epoch, 42, [halves]).rows.tolist() for epoch in (0, 1)]
        >>> sorted(orders[0] + orders[1])
        [0, 1, 2, 3, 4, 5]
    """
    import numpy as np

    turns = np.repeat(np.arange(len(parts)), [part.turns for part in parts])
    turns = turns[permutation(epoch, seed, len(turns))]
    rows, times = np.full_like(turns, -1), np.zeros_like(turns)
    first = 0
    for number, part in enumerate(parts):
        places = np.flatnonzero(turns == number)[: part.shown]
        drawn = _drawn(epoch, f"{seed}/{number}", part)
        rows[places], times[places] = first + drawn.rows, drawn.times
        first += len(part.kept)
    return Shown(rows[rows >= 0], times[rows >= 0])


def _weighted(rows: int, weight: float) -> int:
    return max(1, round(rows * weight)) if rows else 0


def _drawn(epoch: int, seed: str, part: Part) -> Shown:
    """Return the stretch of an endless row of shuffles that an epoch shows."""
    import numpy as np

    rows, start = len(part.kept), epoch * part.shown
    if not rows:
        return Shown(*np.zeros((2, 0), dtype=np.int64))
    shuffles = range(start // rows, -(-(start + part.shown) // rows))
    orders = [
        shuffled(shuffle, seed, part.kept, part.total_rows, part.windows) for shuffle in shuffles
    ]
    stretch = slice(start - shuffles.start * rows, start - shuffles.start * rows + part.shown)
    return Shown(np.concatenate(orders)[stretch], np.repeat(shuffles, rows)[stretch])
