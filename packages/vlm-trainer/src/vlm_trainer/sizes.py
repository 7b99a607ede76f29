"""How large a picture becomes for the model, from its header alone.

The rule is Qwen2-VL's: both sides a multiple of patch times merge, the area within
``min_pixels`` and ``max_pixels``. No pixel is decoded here and nothing is imported.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from vlm_trainer.conversation import ImageSize
from vlm_trainer.errors import Reason, RowError

MAX_ASPECT = 200  # smart_resize in transformers raises above it


@dataclass(frozen=True, slots=True)
class PixelRule:
    """The numbers of an image processor that decide size and values of patches."""

    min_pixels: int = 3136
    max_pixels: int = 1_003_520
    patch_size: int = 14
    merge_size: int = 2
    temporal_patch_size: int = 2
    mean: tuple[float, ...] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, ...] = (0.26862954, 0.26130258, 0.27577711)

    @property
    def factor_px(self) -> int:
        """Side of the square that one image token covers, in pixels."""
        return self.patch_size * self.merge_size


def fitted_size(size: ImageSize, rule: PixelRule, where: str = "$.images") -> ImageSize:
    """Return the size a picture is resized to.

    Args:
        size: Upright size in pixels.
        rule: Limits and patch sizes of the processor.
        where: JSON path of the picture, for the error.

    Raises:
        RowError: ``image-too-narrow`` when one side is over 200 times the other, or zero.

    Source:
        ``smart_resize`` in transformers/models/qwen2_vl/image_processing_qwen2_vl.py.

    Example:
        >>> fitted_size(ImageSize(4000, 3000), PixelRule())
        ImageSize(width_px=1148, height_px=840)
    """
    width, height, factor = size.width_px, size.height_px, rule.factor_px
    if min(width, height) < 1 or max(width, height) / min(width, height) > MAX_ASPECT:
        raise RowError(Reason.IMAGE_TOO_NARROW, where, f"{width}x{height} pixels")
    fitted_h, fitted_w = round(height / factor) * factor, round(width / factor) * factor
    if fitted_h * fitted_w > rule.max_pixels:
        shrink = math.sqrt((height * width) / rule.max_pixels)
        fitted_h = max(factor, math.floor(height / shrink / factor) * factor)
        fitted_w = max(factor, math.floor(width / shrink / factor) * factor)
    elif fitted_h * fitted_w < rule.min_pixels:
        grow = math.sqrt(rule.min_pixels / (height * width))
        fitted_h = math.ceil(height * grow / factor) * factor
        fitted_w = math.ceil(width * grow / factor) * factor
    return ImageSize(fitted_w, fitted_h)


def image_tokens(size: ImageSize, rule: PixelRule, where: str = "$.images") -> int:
    """Return how many ``<|image_pad|>`` tokens a picture of this size takes.

    Raises:
        RowError: ``image-too-narrow``, as `fitted_size`.

    Example:
        >>> image_tokens(ImageSize(56, 56), PixelRule())
        4
    """
    fitted = fitted_size(size, rule, where)
    return (fitted.width_px // rule.factor_px) * (fitted.height_px // rule.factor_px)
