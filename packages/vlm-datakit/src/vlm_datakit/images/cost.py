"""What decoding a picture takes in memory, told from its header.

A picture is decoded only where it must be, one at a time; this says beforehand whether that
stays in bounds. Measured with Pillow 13 over 4000 x 4000 pixels, see docs/log.md.
"""

from __future__ import annotations

from vlm_datakit.images.header import Header

# Bytes a pixel in Pillow's own memory; all other modes take 4.
_STORED = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}
# What the decoder holds beside it: planes, canvases, wavelets.
_BESIDE = {
    "image/avif": 12,
    "image/bmp": 2,  # run lengths, unpacked in Python
    "image/heic": 12,
    "image/jp2": 16,
    "image/tiff": 1,
    "image/webp": 13,
}
_PROGRESSIVE = {"L": 2, "RGB": 6, "CMYK": 8}  # coefficients of 2 bytes, no subsampling


def stored_bytes(mode: str, pixels: int) -> int:
    """Return what Pillow holds for so many pixels of a mode.

    Example:
        >>> stored_bytes("L", 100), stored_bytes("RGB", 100)
        (100, 400)
    """
    return _STORED.get(mode, 4) * pixels


def decoding_bytes(header: Header, *, jpeg_scale: int = 1) -> int:
    """Return the bytes that decoding takes at most, the finished picture included.

    Args:
        header: Of the picture.
        jpeg_scale: By how much the decoder of a JPEG makes it smaller: 1, 2, 4 or 8.

    Example:
        >>> decoding_bytes(Header("image/png", 10, 10))
        400
    """
    pixels = header.width_px * header.height_px
    beside = _BESIDE.get(header.media_type, 0) * pixels
    if header.is_progressive:
        beside += _PROGRESSIVE.get(header.mode, 8) * pixels
    scale = jpeg_scale if header.media_type == "image/jpeg" else 1
    return beside + stored_bytes(header.mode, pixels // scale**2)
