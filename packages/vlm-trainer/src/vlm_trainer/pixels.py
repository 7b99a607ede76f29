"""From the bytes of a picture file to the patches that the vision tower reads.

Equal to the HF processor to 1e-5: patches are cut as bytes and become values once, in their place
in a batch. Shards may come from anybody, so formats and sizes are judged before a pixel is decoded.
The trade-off: Pillow's bicubic filter always, also where torchvision exists.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from vlm_trainer.conversation import ImageSize
from vlm_trainer.errors import Reason, RowError
from vlm_trainer.sizes import PixelRule, fitted_size

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000")  # docs: safety
MAX_IMAGE_PIXELS = 120_000_000  # phones make 108 megapixels
MAX_SIDE_PX = 65_535


@dataclass(frozen=True, slots=True)
class Patches:
    """A picture cut for the vision tower, in bytes: an eighth of the values it becomes.

    Args:
        bytes_PN: uint8, P patches of N = 3 * patch * patch values.
        grid: Time, height and width in patches; their product is P.
        rule: Mean and deviation, and how often the one frame is repeated.
    """

    bytes_PN: np.ndarray[Any, Any]  # noqa: N815 - axis suffix
    grid: tuple[int, int, int]
    rule: PixelRule

    @property
    def values(self) -> int:
        """How many values the model reads of a patch."""
        return int(self.bytes_PN.shape[1]) * self.rule.temporal_patch_size

    @property
    def values_PD(self) -> np.ndarray[Any, Any]:  # noqa: N802 - axis suffix
        """The values of a picture by itself, float32 (P, D)."""
        import numpy as np

        values_PD = np.empty((len(self.bytes_PN), self.values), np.float32)
        self.write_into(values_PD)
        return values_PD

    def write_into(self, values_PD: np.ndarray[Any, Any]) -> None:
        """Write the values into their place in a batch, float32 (P, D)."""
        import numpy as np

        factors_N, offsets_N = _per_value(self.rule.mean, self.rule.std, self.rule.patch_size**2)
        values_PN = self.bytes_PN.astype(np.float32)
        values_PN *= factors_N
        values_PN += offsets_N
        frames, area = self.rule.temporal_patch_size, self.rule.patch_size**2
        values_PD.reshape(-1, 3, frames, area)[:] = values_PN.reshape(-1, 3, 1, area)


def open_image(data: bytes, where: str = "$.images") -> Image.Image:
    """Decode a picture upright and as RGB.

    Accepts the allow-listed formats. The orientation tag is applied, as `datasets` does;
    alpha is laid over white, as the HF processor does.

    Args:
        data: The file.
        where: JSON path of the picture in the row, for the error.

    Raises:
        RowError: ``image-too-large`` above 120 megapixels or 65,535 pixels a side, judged
            from the header; ``image-unreadable`` for anything that does not decode whole.

    Source:
        Pillow's ``ImageOps.exif_transpose``; ``convert_to_rgb`` in transformers.
    """
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
        _check_limits(image.size, where)
        image.load()
        return _as_rgb(ImageOps.exif_transpose(image))
    except RowError:
        raise
    except Image.DecompressionBombError as error:
        raise RowError(Reason.IMAGE_TOO_LARGE, where, str(error)[:40]) from error
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError, struct.error, ...
        raise RowError(Reason.IMAGE_UNREADABLE, where, str(error)[:40]) from error


def cut_patches(image: Image.Image, rule: PixelRule, where: str = "$.images") -> Patches:
    """Resize a picture and cut it into patches.

    Args:
        image: Upright RGB.
        rule: Sizes, mean and deviation of the processor.
        where: JSON path of the picture in the row, for the error.

    Returns:
        Patches in the order of Qwen2-VL: blocks of merge x merge patches that become one
        token lie together.

    Raises:
        RowError: ``image-too-narrow`` when one side is over 200 times the other.

    Source:
        ``Qwen2VLImageProcessorPil`` in transformers/models/qwen2_vl.
    """
    import numpy as np
    from PIL import Image

    fitted = fitted_size(ImageSize(*image.size), rule, where)
    if (fitted.width_px, fitted.height_px) != image.size:
        image = image.resize((fitted.width_px, fitted.height_px), Image.Resampling.BICUBIC)
    grid = (1, image.height // rule.patch_size, image.width // rule.patch_size)
    return Patches(_in_blocks(np.asarray(image), rule), grid, rule)


@cache
def _per_value(
    mean: tuple[float, ...], std: tuple[float, ...], area: int
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return what each byte of a patch is multiplied by, and what is added, float32 (N,)."""
    import numpy as np

    std_C = np.asarray(std, dtype=np.float64)
    factors_C, offsets_C = 1 / (255 * std_C), -np.asarray(mean) / std_C
    # As long as a patch: numpy takes twice as long for three short rows of it.
    return (
        np.repeat(factors_C.astype(np.float32), area),
        np.repeat(offsets_C.astype(np.float32), area),
    )


def _in_blocks(pixels_HWC: np.ndarray[Any, Any], rule: PixelRule) -> np.ndarray[Any, Any]:
    """Return patches channel by channel, merge x merge that become one token together."""
    import numpy as np

    patch, merge = rule.patch_size, rule.merge_size
    rows, columns = pixels_HWC.shape[0] // patch, pixels_HWC.shape[1] // patch
    blocks = pixels_HWC.reshape(
        rows // merge, merge, patch, columns // merge, merge, patch, 3
    ).transpose(0, 3, 1, 4, 6, 2, 5)
    return np.ascontiguousarray(blocks).reshape(rows * columns, 3 * patch * patch)


def _check_limits(size: tuple[int, int], where: str) -> None:
    width, height = size
    if width * height > MAX_IMAGE_PIXELS or max(size) > MAX_SIDE_PX:
        seen = f"{width}x{height} pixels, limit {MAX_IMAGE_PIXELS:,}"
        raise RowError(Reason.IMAGE_TOO_LARGE, where, seen)


def _as_rgb(image: Image.Image) -> Image.Image:
    from PIL import Image

    if "A" not in image.getbands() and image.info.get("transparency") is None:
        return image.convert("RGB")
    over = image.convert("RGBA")
    white = Image.new("RGBA", over.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, over).convert("RGB")
