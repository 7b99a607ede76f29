"""Any pixels as upright 8-bit grey or RGB over white: what a person would see.

Works in bands of rows, so that little more than the picture and its result is in memory.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import PIL.Image

from vlm_datakit.errors import Reason, RowError

FLAT_MODES = frozenset({"RGB", "L"})
_BAND_PIXELS = 1 << 20
_WHITE_16 = 65_535
_ORIENTATION = 0x0112  # Exif 2.3, table 4
_PLAIN = {"La": "LA", "RGBa": "RGBA"}  # colours multiplied by alpha: nothing else takes them
_BITS = 258  # BitsPerSample, TIFF 6.0
_TURNS = {
    2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    3: PIL.Image.Transpose.ROTATE_180,
    4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    5: PIL.Image.Transpose.TRANSPOSE,
    6: PIL.Image.Transpose.ROTATE_270,
    7: PIL.Image.Transpose.TRANSVERSE,
    8: PIL.Image.Transpose.ROTATE_90,
}

Flatten = Callable[[PIL.Image.Image], PIL.Image.Image]


def flat_mode(mode: str, *, has_transparency: bool = False) -> str:
    """Return the mode that pixels of a mode become: grey stays grey unless it is see-through.

    Example:
        >>> flat_mode("1"), flat_mode("LA", has_transparency=True), flat_mode("CMYK")
        ('L', 'RGB', 'RGB')
    """
    is_grey = mode in ("1", "L", "F") or mode.startswith("I;16")
    return "L" if is_grey and not has_transparency else "RGB"


def flattened(image: PIL.Image.Image, where: str) -> PIL.Image.Image:
    """Return the picture upright, over white, in mode RGB or L.

    Transparent pixels are laid over white, 16-bit values divided by 257 (those of a 12-bit
    TIFF by 16.06), floats from 0 to 1
    multiplied by 255, CMYK converted through its profile if it has a good one.

    Raises:
        RowError: ``image-type-unsupported`` for 32-bit integers, for floats outside 0 to 1
            (nothing in a file says what their white is), and for 16-bit grey with a
            transparent value.
    """
    upright = _upright(image)
    if upright.mode in _PLAIN:
        upright = upright.convert(_PLAIN[upright.mode])
    flatten = _flatten(upright, where)
    if flatten is None:
        return upright
    mode = flat_mode(upright.mode, has_transparency=upright.has_transparency_data)
    flat = PIL.Image.new(mode, upright.size)
    for top, band in _bands(upright):
        flat.paste(flatten(band), (0, top))
    return flat


def _upright(image: PIL.Image.Image) -> PIL.Image.Image:
    image.load()  # a TIFF is turned here
    turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    return image if turn is None else image.transpose(turn)


def _flatten(image: PIL.Image.Image, where: str) -> Flatten | None:
    """Return what makes a band of this picture flat, None if it is flat already."""
    if image.mode == "I":
        raise RowError(Reason.IMAGE_TYPE_UNSUPPORTED, where, "32-bit pixels, white unknown")
    if image.mode == "F":
        return lambda band: _from_floats(band, where)
    if image.mode.startswith("I;16"):
        if "transparency" in image.info:
            raise RowError(Reason.IMAGE_TYPE_UNSUPPORTED, where, "16 bits with a clear value")
        white = _white(image)
        return lambda band: _from_16_bits(band, white)
    if image.has_transparency_data:
        return _over_white
    if image.mode == "CMYK" and (profile := image.info.get("icc_profile")):
        return _through_profile(image, profile)
    if image.mode in FLAT_MODES:
        return None
    mode = flat_mode(image.mode)
    return lambda band: band.convert(mode)


def _bands(image: PIL.Image.Image) -> Iterator[tuple[int, PIL.Image.Image]]:
    rows = max(1, _BAND_PIXELS // max(1, image.width))
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(image.height, top + rows)))
        if "transparency" in image.info:
            band.info["transparency"] = image.info["transparency"]
        yield top, band


def _over_white(band: PIL.Image.Image) -> PIL.Image.Image:
    over = band.convert("RGBA")
    white = PIL.Image.new("RGBA", over.size, "white")
    return PIL.Image.alpha_composite(white, over).convert("RGB")


def _white(image: PIL.Image.Image) -> int:
    """Return the value of white: a TIFF may say that fewer than 16 bits are used."""
    bits = getattr(image, "tag_v2", {}).get(_BITS, (16,))[0]
    return (1 << bits) - 1 if 8 < bits < 16 else _WHITE_16


def _from_16_bits(band: PIL.Image.Image, white: int) -> PIL.Image.Image:
    scaled = band.convert("I").point(lambda value: value * (255 / white) + 0.5)
    return scaled.convert("L")  # `point` to L by itself leaves 16-bit pixels, nearly black


def _from_floats(band: PIL.Image.Image, where: str) -> PIL.Image.Image:
    import numpy as np

    return PIL.Image.fromarray(bytes_of_floats(np.asarray(band), where))


def bytes_of_floats(values: Any, where: str) -> Any:
    """Return an array of floats from 0 (black) to 1 (white) as 8-bit values.

    Raises:
        RowError: ``image-type-unsupported`` for a value outside 0 to 1, or none (NaN): its
            range is never guessed.
    """
    import numpy as np

    least, most = float(values.min()), float(values.max())
    if not (least >= 0 and most <= 1):
        seen = f"floats from {least:g} to {most:g}, expected 0 to 1"
        raise RowError(Reason.IMAGE_TYPE_UNSUPPORTED, where, seen)
    return (values * 255 + 0.5).astype(np.uint8)


def _through_profile(image: PIL.Image.Image, profile: bytes) -> Flatten:
    import PIL.ImageCms

    target = PIL.ImageCms.createProfile("sRGB")
    try:
        source = PIL.ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = PIL.ImageCms.buildTransform(source, target, image.mode, "RGB")
    except (PIL.ImageCms.PyCMSError, OSError):  # a broken profile is no profile
        return lambda band: band.convert("RGB")
    return transform.apply
