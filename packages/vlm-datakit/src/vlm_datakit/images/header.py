"""What a picture is before a pixel is decoded: type, upright size, mode, frames.

Limits are judged here, so that a bomb costs its header and nothing else; so is whether the
container is whole (`vlm_datakit.images.containers.walk`), before Pillow sees it.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, NamedTuple

import PIL.Image

from vlm_datakit.errors import Reason, RowError
from vlm_datakit.images.containers import gif, jpeg, jpeg2000, png, webp
from vlm_datakit.images.containers.walk import Frame, Walk
from vlm_datakit.images.heif import HEIF, open_heif
from vlm_datakit.images.magic import HEAD_BYTES, media_type
from vlm_datakit.plan import MIB, Limits

#: Pillow's names of the formats we open; never EPS, PSD, PDF or SVG.
ALLOWED = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000")
_WALKS: dict[str, Callable[[bytes], Walk]] = {
    "image/jpeg": jpeg.walk,
    "image/png": png.walk,
    "image/webp": webp.walk,
    "image/gif": gif.walk,
    "image/jp2": jpeg2000.walk,
}
_ADDRESS = re.compile(r" <[^<>]* at 0x[0-9a-f]+>")  # differs from run to run
_SMALLER_THAN_A_BOMB = 89_000_000  # pixels; Pillow looks twice at larger ones
_ORIENTATION = 0x0112  # Exif 2.3, table 4
_TURNED = frozenset({5, 6, 7, 8})  # orientations that swap width and height
# Bytes a pixel that libwebp takes when a file is opened, still or moving.
_OPENED, _OPENED_MOVING = 4, 16
_BMP_CODING_AT = 30  # offset of biCompression in a BITMAPINFOHEADER file
# Pillow unpacks run lengths of BMP in Python: 1 MiB takes a second or two.
_MAX_RUN_LENGTH_BYTES = MIB


class Header(NamedTuple):
    """What the head of a file tells; sizes upright, ``mode`` in Pillow's names."""

    media_type: str
    width_px: int
    height_px: int
    orientation: int = 1
    mode: str = "RGB"
    has_more_frames: bool = False
    has_transparency: bool = False
    is_deep: bool = False  # more than 8 bits a channel
    is_progressive: bool = False
    is_whole: bool = False  # proved by the container; False: only decoding tells
    has_broken_tags: bool = False  # readers that turn it by its tag fail on the others


def parse_header(data: bytes, limits: Limits, where: str) -> Header:
    """Read the head of an image file, judge it, and walk the container to its end.

    Args:
        data: The whole file; no pixel is decoded.
        limits: Largest bytes, pixels, side and aspect.
        where: JSON path of the value, for the error.

    Raises:
        RowError: ``image-type-unsupported`` if the magic bytes are of no allowed
            format, or of HEIC without its extra; ``image-too-large`` beyond a limit;
            ``image-unreadable`` if the head is broken or the container is not whole.
    """
    kind = _kind(data)
    if kind is None:
        raise RowError(Reason.IMAGE_TYPE_UNSUPPORTED, where, f"{len(data)} bytes, no image type")
    if len(data) > limits.max_image_bytes:
        raise RowError(Reason.IMAGE_TOO_LARGE, where, f"{len(data)} bytes")
    if kind == "image/bmp":
        _check_coding(data, where)
    walked = _WALKS[kind](data) if kind in _WALKS else Walk(is_proof=False)
    if walked.frame is not None:
        width, height = walked.frame[:2]
        if width * height <= _SMALLER_THAN_A_BOMB:
            judge_size(width, height, limits, where)
            return _told(kind, walked.frame, walked.is_proof)
    if walked.is_endless:
        raise RowError(Reason.IMAGE_UNREADABLE, where, f"{walked.fault}")
    if walked.canvas is not None:
        judge_size(*walked.canvas, limits, where)
        needed = math.prod(walked.canvas) * (_OPENED if walked.frames == 1 else _OPENED_MOVING)
        check_memory(needed, limits.max_decoded_bytes, where)
    try:
        with opened(walked.head or data, where) as image:
            judge_size(*image.size, limits, where)
            header = _described(image, kind, data, walked)
    except RowError as error:
        if walked.fault and error.reason is Reason.IMAGE_UNREADABLE:  # it says it better
            raise RowError(Reason.IMAGE_UNREADABLE, where, walked.fault) from error
        raise
    if walked.fault:
        raise RowError(Reason.IMAGE_UNREADABLE, where, walked.fault)
    return header


def _kind(data: bytes) -> str | None:
    kind = media_type(data[:HEAD_BYTES])
    if kind == HEIF and b"avif" in data[16 : int.from_bytes(data[:4], "big")]:
        return "image/avif"  # its brand is the container's; what is in it stands behind
    return kind


def judge_size(width: int, height: int, limits: Limits, where: str) -> None:
    """Hold a picture's size to the limits.

    Raises:
        RowError: ``image-too-large``.
    """
    long, short = (width, height or 1) if width > height else (height, width or 1)
    if (
        width * height > limits.max_image_pixels
        or long > limits.max_side_px
        or long > limits.max_aspect * short
    ):
        raise RowError(Reason.IMAGE_TOO_LARGE, where, f"{width} x {height} pixels")


def check_memory(needed: int, max_bytes: int, where: str) -> None:
    """Hold what opening or decoding takes to the limit, before it is taken.

    Raises:
        RowError: ``image-too-large``, with the MiB it would take.
    """
    if needed > max_bytes:
        seen = f"decoding takes {-(-needed // MIB)} MiB"
        raise RowError(Reason.IMAGE_TOO_LARGE, where, seen)


@lru_cache(maxsize=64)
def _told(kind: str, frame: Frame, is_whole: bool) -> Header:  # noqa: FBT001 - of a cache
    """Return what a head says that holds nothing beside its frame."""
    width, height, mode, is_progressive = frame
    return Header(kind, width, height, 1, mode, is_progressive=is_progressive, is_whole=is_whole)


def _check_coding(data: bytes, where: str) -> None:
    is_run_length = data[_BMP_CODING_AT : _BMP_CODING_AT + 1] in b"\1\2"
    if is_run_length and len(data) > _MAX_RUN_LENGTH_BYTES:
        raise RowError(Reason.IMAGE_TOO_LARGE, where, f"{len(data)} bytes of run lengths")


def _described(image: PIL.Image.Image, kind: str, data: bytes, walked: Walk) -> Header:
    # PngImageFile.getexif decodes all pixels; the head it was opened from has none.
    has_tags = walked.head is not None or kind != "image/png"
    exif: Any = PIL.Image.Image.getexif(image) if has_tags else {}
    orientation = int(exif.get(_ORIENTATION, 1) or 1)
    width, height = image.size
    if orientation in _TURNED and image.format != "TIFF":  # Pillow turns a TIFF itself
        width, height = height, width
    # A JPEG with others behind it is one picture: they are its previews.
    is_animated = kind != "image/jpeg" and bool(getattr(image, "is_animated", False))
    is_deep = image.mode.startswith("I") or (kind == "image/png" and data[png.DEPTH_AT] > 8)
    return Header(
        kind,
        width,
        height,
        orientation,
        image.mode,
        walked.frames > 1 or (kind not in _WALKS and is_animated),
        image.has_transparency_data,
        is_deep,
        bool(image.info.get("progressive")),
        walked.is_proof,
        2 <= orientation <= 8 and _is_broken(exif),
    )


def _is_broken(exif: Any) -> bool:
    """Whether tags cannot be written again, as `PIL.ImageOps.exif_transpose` does."""
    try:
        exif.tobytes()
    except Exception:  # whatever a tag of the wrong type leads to
        return True
    return False


@contextmanager
def opened(data: bytes, where: str) -> Iterator[PIL.Image.Image]:
    """Open image bytes through the allow-list, every failure of Pillow's a `RowError`.

    Raises:
        RowError: ``image-type-unsupported`` for HEIC without its extra; else as `refusing`.
    """
    file, is_heif = io.BytesIO(data), _kind(data) == HEIF
    with (
        refusing(where),
        open_heif(file, where) if is_heif else PIL.Image.open(file, "r", ALLOWED) as image,
    ):
        yield image


@contextmanager
def refusing(where: str) -> Iterator[None]:
    """Turn whatever Pillow raises inside into a `RowError`, and its warnings into nothing.

    Its plugins raise nearly anything over hostile bytes, so nearly everything is caught: for
    calls of Pillow's alone.

    Raises:
        RowError: ``image-too-large`` for what Pillow calls a bomb, ``image-unreadable`` for
            all else.
    """
    try:
        with warnings.catch_warnings():
            # Our own limit is judged from the header; Pillow would warn from 89 megapixels.
            warnings.simplefilter("ignore")
            yield
    except RowError:
        raise
    except PIL.Image.DecompressionBombError as error:
        raise RowError(Reason.IMAGE_TOO_LARGE, where, "a decompression bomb") from error
    except Exception as error:
        seen = _ADDRESS.sub("", f"{error}")[:80] or type(error).__name__
        raise RowError(Reason.IMAGE_UNREADABLE, where, seen) from error


def check_rows(data: bytes, where: str) -> None:
    """Hold a PNG to all of its rows, before it is decoded; nothing to do for other types.

    Raises:
        RowError: ``image-unreadable`` if some are missing.
    """
    if _kind(data) == "image/png" and (fault := png.rows_fault(data)):
        raise RowError(Reason.IMAGE_UNREADABLE, where, fault)


def check_decodes(data: bytes, where: str) -> None:
    """Decode the picture to the end, a JPEG at an eighth of its scale.

    Raises:
        RowError: ``image-unreadable`` if it is truncated or corrupt.
    """
    check_rows(data, where)
    with opened(data, where) as image:
        image.draft(None, (max(1, image.width // 8), max(1, image.height // 8)))
        image.load()
