"""What a picture is before a pixel is decoded: type, upright size, mode, frames.

Limits are judged here, so that a bomb costs its header and nothing else.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import PIL.Image

from vlm_datakit.errors import Reason, RowError
from vlm_datakit.images.magic import HEAD_BYTES, media_type
from vlm_datakit.plan import Limits

#: Pillow's names of the formats we open; never EPS, PSD, PDF or SVG.
ALLOWED = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000")
_ORIENTATION = 0x0112  # Exif 2.3, table 4
_TURNED = frozenset({5, 6, 7, 8})  # orientations that swap width and height
_JP2_END = b"\xff\xd9"
_PNG_DEPTH_AT = 24  # offset of the bit depth, RFC 2083 section 4.1.1
_PNG_TAGS = (b"eXIf", b"Raw profile type exif", b"XML:com.adobe.xmp")  # where Pillow looks


@dataclass(frozen=True, slots=True)
class Header:
    """What the head of a file tells; sizes upright, ``mode`` in Pillow's names."""

    media_type: str
    width_px: int
    height_px: int
    orientation: int
    mode: str
    frames: int
    has_transparency: bool
    is_deep: bool  # more than 8 bits a channel


def parse_header(data: bytes, limits: Limits, where: str) -> Header:
    """Read the head of an image file and judge it against the limits.

    Args:
        data: The whole file; only its head is looked at.
        limits: Largest bytes, pixels, side and aspect.
        where: JSON path of the value, for the error.

    Raises:
        RowError: ``image-type-unsupported`` if the magic bytes are of no allowed
            format, or of HEIC; ``image-too-large`` beyond a limit; ``image-unreadable``
            if the head is broken.
    """
    kind = media_type(data[:HEAD_BYTES])
    if kind is None:
        raise RowError(Reason.IMAGE_TYPE_UNSUPPORTED, where, f"{len(data)} bytes, no image type")
    if len(data) > limits.max_image_bytes:
        raise RowError(Reason.IMAGE_TOO_LARGE, where, f"{len(data)} bytes")
    if kind == "image/jp2" and not _is_whole_jp2(data):
        raise RowError(Reason.IMAGE_UNREADABLE, where, f"{len(data)} bytes, without an end")
    with opened(data, where) as image:
        width, height = image.size
        _judge(width, height, limits, where)
        return _described(image, kind, data)


def _is_whole_jp2(data: bytes) -> bool:
    """Whether the codestream ends with its marker; the decoder fills in what a cut took away.

    Source:
        ISO/IEC 15444-1, annexes A.4.4 (end of codestream) and I.4 (boxes).
    """
    if data.startswith(b"\xff\x4f"):
        return data.endswith(_JP2_END)
    at = 0
    while at + 16 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        end = at + size if size else len(data)
        if kind == b"jp2c":
            return end <= len(data) and data[:end].endswith(_JP2_END)
        at = max(end, at + 8)
    return False


def _judge(width: int, height: int, limits: Limits, where: str) -> None:
    long, short = max(width, height), max(1, min(width, height))
    if (
        width * height > limits.max_image_pixels
        or long > limits.max_side_px
        or long > limits.max_aspect * short
    ):
        raise RowError(Reason.IMAGE_TOO_LARGE, where, f"{width} x {height} pixels")


def _described(image: PIL.Image.Image, kind: str, data: bytes) -> Header:
    orientation = _orientation(image, data)
    width, height = image.size
    if orientation in _TURNED and image.format != "TIFF":  # Pillow turns a TIFF itself
        width, height = height, width
    # An MPO is a JPEG with previews behind it; every reader shows the first.
    frames = 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))
    is_deep = image.mode.startswith("I") or (kind == "image/png" and data[_PNG_DEPTH_AT] > 8)
    return Header(
        kind,
        width,
        height,
        orientation,
        image.mode,
        frames,
        image.has_transparency_data,
        is_deep,
    )


def _orientation(image: PIL.Image.Image, data: bytes) -> int:
    # Pillow decodes a PNG to its end in search of a tag: only where there may be one.
    if image.format == "PNG" and not any(name in data for name in _PNG_TAGS):
        return 1
    return int(image.getexif().get(_ORIENTATION, 1) or 1)


@contextmanager
def opened(data: bytes, where: str) -> Iterator[PIL.Image.Image]:
    """Open image bytes through the allow-list, every failure of Pillow's a `RowError`.

    Raises:
        RowError: ``image-too-large`` for what Pillow calls a bomb, ``image-unreadable``
            for whatever else it raises: its plugins raise nearly anything over hostile
            bytes, so nearly everything is caught, around its calls alone.
    """
    try:
        with warnings.catch_warnings():
            # Our own limit is judged from the header; Pillow would warn from 89 megapixels.
            warnings.simplefilter("ignore")
            with PIL.Image.open(io.BytesIO(data), formats=ALLOWED) as image:
                yield image
    except RowError:
        raise
    except PIL.Image.DecompressionBombError as error:
        raise RowError(Reason.IMAGE_TOO_LARGE, where, "a decompression bomb") from error
    except PIL.UnidentifiedImageError as error:
        is_heic = media_type(data[:HEAD_BYTES]) == "image/heic"  # Pillow alone has no decoder
        reason = Reason.IMAGE_TYPE_UNSUPPORTED if is_heic else Reason.IMAGE_UNREADABLE
        raise RowError(reason, where, f"{len(data)} bytes") from error
    except Exception as error:
        raise RowError(Reason.IMAGE_UNREADABLE, where, f"{error}"[:80]) from error


def check_decodes(data: bytes, where: str) -> None:
    """Decode the picture to the end, a JPEG at an eighth of its scale.

    Raises:
        RowError: ``image-unreadable`` if it is truncated or corrupt.
    """
    with opened(data, where) as image:
        image.draft(None, (max(1, image.width // 8), max(1, image.height // 8)))
        image.load()
