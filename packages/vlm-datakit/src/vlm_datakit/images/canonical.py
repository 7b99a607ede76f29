"""The one form of a picture on which all readers agree.

Eight-bit RGB or grey JPEG, PNG and WebP of one frame pass byte for byte. Anything else
is decoded once and written anew, because readers differ on it: Pillow's
``convert("RGB")`` turns transparent pixels black and 16-bit scans white.
"""

from __future__ import annotations

import io

import PIL.Image
import PIL.ImageCms
import PIL.ImageOps

from vlm_datakit.errors import Reason, RowError
from vlm_datakit.images.header import Header, opened

_KEPT_TYPES = frozenset({"image/jpeg", "image/png", "image/webp"})
_KEPT_MODES = frozenset({"RGB", "L"})


def causes(header: Header) -> tuple[str, ...]:
    """Name what keeps a file from passing as it is; empty for a clean one.

    Example:
        >>> causes(Header("image/png", 4, 4, 1, "RGBA", 1, True, False))
        ('alpha',)
    """
    found = {
        "alpha": header.has_transparency,
        "depth": header.is_deep or header.mode in ("1", "F"),
        "palette": header.mode in ("P", "PA"),
        "colour": header.mode in ("CMYK", "YCbCr", "LAB", "HSV"),
        "frames": header.frames > 1,
        "container": header.media_type not in _KEPT_TYPES,
    }
    named = tuple(name for name, is_so in found.items() if is_so)
    return named if named or header.mode in _KEPT_MODES else ("depth",)


def canonical(data: bytes, header: Header, where: str) -> tuple[bytes, str]:
    """Return the picture's bytes and media type: the same object when it is clean.

    A rewritten picture is upright, over white, 8-bit RGB or grey: JPEG at quality 95
    without chroma subsampling when a CMYK JPEG came, else PNG.

    Raises:
        RowError: ``image-unreadable`` if it does not decode;
            ``image-type-unsupported`` for 32-bit and float pixels, whose scale nothing in
            the file states, and for 16-bit grey with a transparent value.
    """
    if not causes(header):
        return data, header.media_type
    with opened(data, where) as image:
        flat = flattened(image, where)
    is_photo = header.media_type == "image/jpeg"
    return encoded(flat, is_photo=is_photo), "image/jpeg" if is_photo else "image/png"


def flattened(image: PIL.Image.Image, where: str) -> PIL.Image.Image:
    """Return the picture upright, over white, in mode RGB or L.

    Raises:
        RowError: ``image-type-unsupported`` for 32-bit integer and float pixels, and for
            16-bit grey with a transparent value.
    """
    upright = PIL.ImageOps.exif_transpose(image)
    if upright.mode in ("F", "I"):
        raise RowError(Reason.IMAGE_TYPE_UNSUPPORTED, where, f"pixels of mode {upright.mode}")
    if upright.mode.startswith("I;16"):
        return _from_16_bits(upright, where)
    if upright.has_transparency_data:
        over = upright.convert("RGBA")
        white = PIL.Image.new("RGBA", over.size, "white")
        return PIL.Image.alpha_composite(white, over).convert("RGB")
    if upright.mode == "CMYK" and (profile := upright.info.get("icc_profile")):
        return _through_profile(upright, profile)
    return upright if upright.mode in _KEPT_MODES else upright.convert(_target_mode(upright.mode))


def _from_16_bits(image: PIL.Image.Image, where: str) -> PIL.Image.Image:
    if "transparency" in image.info:
        raise RowError(Reason.IMAGE_TYPE_UNSUPPORTED, where, "16-bit grey with a clear value")
    scaled = image.convert("I").point(lambda value: value * (255 / 65535) + 0.5)
    return scaled.convert("L")  # `point` to L by itself leaves 16-bit pixels, nearly black


def _target_mode(mode: str) -> str:
    return "L" if mode in ("1", "LA") else "RGB"


def _through_profile(image: PIL.Image.Image, profile: bytes) -> PIL.Image.Image:
    target = PIL.ImageCms.createProfile("sRGB")
    try:
        source = PIL.ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = PIL.ImageCms.profileToProfile(image, source, target, outputMode="RGB")
    except (PIL.ImageCms.PyCMSError, OSError):  # a broken profile is no profile
        converted = None
    if converted is None:
        del image.info["icc_profile"]  # or it would be written beside RGB pixels
        converted = image.convert("RGB")
    return converted


def encoded(image: PIL.Image.Image, *, is_photo: bool) -> bytes:
    """Write an RGB or grey picture as PNG (fast, lossless) or as JPEG 95 4:4:4."""
    out = io.BytesIO()
    if is_photo:
        image.save(out, "JPEG", quality=95, subsampling=0)
    else:
        image.save(out, "PNG", compress_level=1)
    return out.getvalue()
