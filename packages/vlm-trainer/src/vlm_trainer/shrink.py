"""Make the pictures of a row smaller until the row fits, and no smaller.

One limit on pixels for all pictures of a row, from the sizes in the shard alone: whoever
counts, trains or evaluates the row comes to the same one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

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


def shrunk_rule(sizes: Sequence[ImageSize], rule: PixelRule, tokens: int) -> PixelRule | None:
    """Find the largest ``max_pixels`` under which the pictures of a row take so few tokens.

    Tokens never fall as ``max_pixels`` rises, so the search is by halves.

    Args:
        sizes: Of the row's pictures, upright.
        rule: Its ``max_pixels`` is the most that is tried; no picture is shown on fewer than
            its ``min_pixels``.
        tokens: Of all the pictures together, at most.

    Returns:
        The rule for this row; None when it would take a picture below ``min_pixels``.

    Raises:
        RowError: ``image-too-narrow``, as `vlm_trainer.sizes.fitted_size`.

    Example:
        >>> photo = ImageSize(4032, 3024)
        >>> small = shrunk_rule([photo, photo], PixelRule(), 500)
        >>> small.max_pixels, 2 * image_tokens(photo, small)
        (203839, 494)
    """
    low, high = max(rule.min_pixels, rule.factor_px**2), rule.max_pixels
    while low < high:
        middle = (low + high + 1) // 2
        if _tokens(sizes, replace(rule, max_pixels=middle)) <= tokens:
            low = middle
        else:
            high = middle - 1
    smaller = replace(rule, max_pixels=low)
    fits = _tokens(sizes, smaller) <= tokens
    return smaller if fits and all(_keeps_floor(size, smaller) for size in sizes) else None


def _tokens(sizes: Sequence[ImageSize], rule: PixelRule) -> int:
    return sum(image_tokens(size, rule) for size in sizes)


def _keeps_floor(size: ImageSize, rule: PixelRule) -> bool:
    """Whether a picture is not rounded down to less than ``min_pixels``, as it is at a limit."""
    fitted = fitted_size(size, rule)
    return fitted.width_px * fitted.height_px >= rule.min_pixels
