"""The one form of a picture on which all readers agree.

Eight-bit RGB or grey JPEG, PNG and WebP of one frame pass byte for byte. Anything else
is decoded once and written anew, because readers differ on it: Pillow's
``convert("RGB")`` turns transparent pixels black and 16-bit scans white.
"""

from __future__ import annotations

import io
import math

import PIL.Image

from vlm_datakit.conversation import Image
from vlm_datakit.errors import Reason, RowError
from vlm_datakit.images.containers import png
from vlm_datakit.images.cost import decoding_bytes, stored_bytes
from vlm_datakit.images.flat import FLAT_MODES, flat_mode, flattened
from vlm_datakit.images.header import Header, check_rows, opened
from vlm_datakit.plan import ImagePolicy

_ASKED_FOR = frozenset({"orientation", "shrunk"})  # by a policy: a photo may stay one
_KEPT_TYPES = frozenset({"image/jpeg", "image/png", "image/webp"})
# Orientation, mode, more frames, transparency, depth: those of nearly all pictures.
_USUAL = frozenset([(1, "RGB", False, False, False), (1, "L", False, False, False)])
_CANONICAL = ImagePolicy(form="canonical")


def causes(header: Header, policy: ImagePolicy = _CANONICAL) -> tuple[str, ...]:
    """Name what keeps a file from passing as it is; empty for a clean one.

    Example:
        >>> causes(Header("image/png", 4, 4, mode="RGBA", has_transparency=True))
        ('alpha',)
        >>> causes(Header("image/jpeg", 40, 40), ImagePolicy(shrink_to_pixels=100))
        ('shrunk',)
    """
    shrunk = ("shrunk",) if _is_too_large(header, policy) else ()
    is_usual = header.media_type in _KEPT_TYPES and header[3:8] in _USUAL
    if policy.form == "untouched" or is_usual:
        return shrunk
    found = {
        "alpha": header.has_transparency,
        "depth": header.is_deep or header.mode in ("1", "F"),
        "palette": header.mode in ("P", "PA"),
        "colour": header.mode in ("CMYK", "YCbCr", "LAB", "HSV"),
        "frames": header.has_more_frames,
        "container": header.media_type not in _KEPT_TYPES,
        "orientation": policy.form == "baked" and 2 <= header.orientation <= 8,
        "tags": header.has_broken_tags,
    }
    named = tuple(name for name, is_so in found.items() if is_so)
    if not named and header.mode not in FLAT_MODES:
        named = ("depth",)
    return named + shrunk


def _is_too_large(header: Header, policy: ImagePolicy) -> bool:
    pixels = header.width_px * header.height_px
    return policy.shrink_to_pixels is not None and pixels > policy.shrink_to_pixels


def rewritten(data: bytes, header: Header, policy: ImagePolicy, where: str) -> Image:
    """Return the picture written anew: upright, over white, 8-bit RGB or grey.

    PNG, so that no level is lost; JPEG at quality 95 without chroma subsampling for a plain
    JPEG that is only turned or made smaller (docs/design/0008). With
    ``shrink_to_pixels`` a larger one is made as large as that by Lanczos' filter; a JPEG is
    first halved by its decoder while it stays twice as large.

    Raises:
        RowError: ``image-unreadable`` if it does not decode; ``image-type-unsupported`` as
            `vlm_datakit.images.flat.flattened`.
    """
    found = causes(header, policy)
    check_rows(data, where)
    with opened(data, where) as image:
        _mend_clear_level(image, header, data, where)
        if (scale := _jpeg_scale(header, policy)) > 1:
            image.draft(None, (image.width // scale, image.height // scale))
        flat = flattened(image, where)
        if _is_too_large(header, policy):
            flat = flat.resize(target_size(header, policy), PIL.Image.Resampling.LANCZOS)
    is_photo = header.media_type == "image/jpeg" and _ASKED_FOR.issuperset(found)
    media_type = "image/jpeg" if is_photo else "image/png"
    # Of the pixels, not of the header: a crop inside HEIC, or a tag that stands behind the
    # frames of a PNG, is seen differently by readers of the head and of the pixels.
    return Image(encoded(flat, is_photo=is_photo), media_type, *flat.size, found)


def _mend_clear_level(image: PIL.Image.Image, header: Header, data: bytes, where: str) -> None:
    """Bring the transparent value of a PNG to the scale of its pixels.

    Pillow scales grey of 2 and 4 bits to 8, and RGB of 16 bits down, but not that value.
    """
    if header.media_type != "image/png" or "transparency" not in image.info:
        return
    if header.is_deep:
        raise RowError(Reason.IMAGE_TYPE_UNSUPPORTED, where, "16 bits with a clear value")
    if header.mode == "L" and data[png.DEPTH_AT] < 8:
        image.info["transparency"] *= 255 // ((1 << data[png.DEPTH_AT]) - 1)


def _jpeg_scale(header: Header, policy: ImagePolicy) -> int:
    """Return by how much (1, 2, 4 or 8) a JPEG's decoder itself may scale it down."""
    if header.media_type != "image/jpeg" or not _is_too_large(header, policy):
        return 1
    width, height = target_size(header, policy)
    room = min(header.width_px // (2 * width), header.height_px // (2 * height))
    return next((scale for scale in (8, 4, 2) if scale <= room), 1)


def target_size(header: Header, policy: ImagePolicy) -> tuple[int, int]:
    """Return upright width and height to write, in pixels: smaller only if asked for.

    Example:
        >>> target_size(Header("image/png", 400, 300), ImagePolicy(shrink_to_pixels=30_000))
        (200, 150)
    """
    width, height = header.width_px, header.height_px
    if policy.shrink_to_pixels is None or not _is_too_large(header, policy):
        return width, height
    scale = math.sqrt(policy.shrink_to_pixels / (width * height))
    short = max(1, round(min(width, height) * scale))
    long = min(math.floor(max(width, height) * scale), policy.shrink_to_pixels // short)
    return (long, short) if width >= height else (short, long)


def rewriting_bytes(header: Header, policy: ImagePolicy = _CANONICAL) -> int:
    """Return the memory that writing a picture anew takes: decoded, turned, flattened.

    Example:
        >>> rewriting_bytes(Header("image/png", 10, 10, mode="RGBA", has_transparency=True))
        800
    """
    scale = _jpeg_scale(header, policy)
    pixels = header.width_px * header.height_px // scale**2
    mode = flat_mode(header.mode, has_transparency=header.has_transparency)
    is_turned = 2 <= header.orientation <= 8
    copies = stored_bytes(mode, pixels) if mode != header.mode else 0
    turned = stored_bytes(header.mode, pixels) if is_turned else 0
    return decoding_bytes(header, jpeg_scale=scale) + copies + turned


def encoded(image: PIL.Image.Image, *, is_photo: bool) -> bytes:
    """Write an RGB or grey picture as PNG (fast, lossless) or as JPEG 95 4:4:4.

    Nothing of the file it came from is kept beside its pixels: neither tags, nor a profile,
    nor a comment.
    """
    out = io.BytesIO()
    if is_photo:
        image.save(out, "JPEG", quality=95, subsampling=0, icc_profile=None, comment=b"")
    else:
        image.save(out, "PNG", compress_level=1, icc_profile=None)
    return out.getvalue()
