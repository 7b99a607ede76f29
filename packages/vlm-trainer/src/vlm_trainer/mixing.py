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

if TYPE_CHECKING:
    import numpy as np

MOST_WEIGHT = 1000.0


class Part(NamedTuple):
    """A folder of a mix.

    Args:
        rows: That it has, those left out not counted.
        weight: How often each is shown in an epoch, on average.
    """

    rows: int
    weight: float

    @property
    def shown(self) -> int:
        """Rows shown in an epoch; at least one of a folder that has any."""
        return max(1, round(self.rows * self.weight)) if self.rows else 0


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


def mixed_order(epoch: int, seed: int, parts: Sequence[Part]) -> np.ndarray[Any, Any]:
    """Return the order of an epoch over the rows of all parts, one part's numbers after another's.

    Args:
        epoch: From 0.
        seed: Any integer.
        parts: In order.

    Returns:
        int64 of shape (sum of ``shown``,).

    Example:
        >>> halves = [mixed_order(epoch, 42, [Part(6, 0.5)]).tolist() for epoch in (0, 1)]
        >>> sorted(halves[0] + halves[1])
        [0, 1, 2, 3, 4, 5]
    """
    import numpy as np

    drawn, first = list[Any](), 0
    for number, part in enumerate(parts):
        drawn.append(first + _drawn(epoch, f"{seed}/{number}", part))
        first += part.rows
    rows = np.concatenate([np.zeros(0, dtype=np.int64), *drawn])
    shuffled: np.ndarray[Any, Any] = rows[permutation(epoch, seed, len(rows))]
    return shuffled


def _drawn(epoch: int, seed: str, part: Part) -> np.ndarray[Any, Any]:
    """Return the stretch of an endless row of shuffles that an epoch shows."""
    import numpy as np

    if not part.rows:
        return np.zeros(0, dtype=np.int64)
    start, stop = epoch * part.shown, (epoch + 1) * part.shown
    shuffles = range(start // part.rows, -(-stop // part.rows))
    rows = np.concatenate([permutation(shuffle, seed, part.rows) for shuffle in shuffles])
    begun = start - shuffles.start * part.rows
    shown: np.ndarray[Any, Any] = rows[begun : begun + part.shown]
    return shown
