"""Make the pictures of a row smaller until the row fits, and no smaller.

One limit on pixels for all pictures of a row, so that equal ones stay equal, and from the
sizes in the shard alone: whoever counts, trains or evaluates the row comes to the same one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from vlm_trainer.conversation import ImageSize
from vlm_trainer.sizes import PixelRule, fitted_size, image_tokens


@dataclass(frozen=True, slots=True)
class TokenLimit:
    """The longest row that is trained.

    Args:
        tokens: Rows are never cut.
        shrinks: Whether a longer row is shown smaller pictures first.
    """

    tokens: int
    shrinks: bool = False


@lru_cache(maxsize=4096)  # the same cameras and scanners come again and again
def shrunk_rule(sizes: tuple[ImageSize, ...], rule: PixelRule, tokens: int) -> PixelRule | None:
    """Find the ``max_pixels`` under which the pictures of a row take most tokens that fit.

    All limits are tried at which a picture changes its size. A search by halves would miss
    some: a picture a token wide can lose tokens when the limit rises.

    Args:
        sizes: Of the row's pictures, upright.
        rule: Its ``max_pixels`` is the most that is tried; no picture is shown on fewer than
            its ``min_pixels``.
        tokens: Of all the pictures together, at most.

    Returns:
        The rule for this row; None when no limit does.

    Raises:
        RowError: ``image-too-narrow``, as `vlm_trainer.sizes.fitted_size`.

    Example:
        >>> photo = ImageSize(4032, 3024)
        >>> small = shrunk_rule((photo, photo), PixelRule(), 500)
        >>> small.max_pixels, 2 * image_tokens(photo, small)
        (190512, 468)
    """
    alike = Counter(sizes)
    best, most = None, -1
    for limit in sorted({limit for size in alike for limit in _turning_points(size, rule)}):
        smaller = replace(rule, max_pixels=limit)
        taken = sum(count * image_tokens(size, smaller) for size, count in alike.items())
        if most < taken <= tokens and all(_keeps_floor(size, smaller) for size in alike):
            best, most = smaller, taken
    return best


def _turning_points(size: ImageSize, rule: PixelRule) -> Iterator[int]:
    """Yield the limits at which a picture changes its size, and those beside: floats round."""
    lowest, highest = max(rule.min_pixels, rule.factor_px**2), rule.max_pixels
    width, height, factor = size.width_px, size.height_px, rule.factor_px
    points = [lowest, highest, round(height / factor) * round(width / factor) * factor**2]
    for side, other in ((width, height), (height, width)):
        steps = range(1, int(math.sqrt(highest * side / other) / factor) + 2)
        points += [math.ceil((step * factor) ** 2 * other / side) for step in steps]
    beside = (point + away for point in points for away in (-1, 0, 1))
    return (limit for limit in beside if lowest <= limit <= highest)


def _keeps_floor(size: ImageSize, rule: PixelRule) -> bool:
    """Whether a picture is not rounded down to less than ``min_pixels``, as it is at a limit."""
    fitted = fitted_size(size, rule)
    return fitted.width_px * fitted.height_px >= rule.min_pixels
