"""A PNG writer of its own: all colour types, depths and passes, and any chunk anywhere.

Source:
    PNG third edition: 4.5 (Adam7), 7.2 (scanlines), 11.2 and 11.3 (chunks).
"""

from __future__ import annotations

import struct
import zlib

import numpy as np

from .drawings import chunk

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, TRUE, INDEXED, GREY_ALPHA, TRUE_ALPHA = 0, 2, 3, 4, 6
_CHANNELS = {GREY: 1, TRUE: 3, INDEXED: 1, GREY_ALPHA: 2, TRUE_ALPHA: 4}
_PASSES = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2)]
_ADAM7 = [*_PASSES, (1, 0, 2, 1)]  # first row, first column, step down, step right


def head(width: int, height: int, depth: int = 8, colour: int = TRUE, passes: int = 0) -> bytes:
    """Return the header chunk."""
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, passes))


def lines(samples: np.ndarray, depth: int) -> bytes:
    """Return samples (height, width, channels) as scanlines without a filter."""
    flat = samples.reshape(samples.shape[0], -1)
    if depth == 16:
        rows = flat.astype(">u2").view(np.uint8).reshape(samples.shape[0], -1)
    else:
        bits = np.unpackbits(flat.astype(np.uint8)[:, :, None], axis=2)[:, :, 8 - depth :]
        rows = np.packbits(bits.reshape(samples.shape[0], -1), axis=1)
    return b"".join(b"\0" + row.tobytes() for row in rows)


def png(
    samples: np.ndarray,
    colour: int,
    depth: int = 8,
    *,
    before: bytes = b"",
    behind: bytes = b"",
    interlaced: bool = False,
) -> bytes:
    """Return a PNG of samples as they are stored, with chunks before and behind the pixels."""
    stored = samples.reshape(*samples.shape[:2], _CHANNELS[colour])
    passes = _ADAM7 if interlaced else [(0, 0, 1, 1)]
    parts = [stored[top::down, left::right] for top, left, down, right in passes]
    packed = zlib.compress(b"".join(lines(part, depth) for part in parts if part.size))
    return framed(
        head(samples.shape[1], samples.shape[0], depth, colour, int(interlaced)),
        before,
        chunk(b"IDAT", packed),
        behind,
    )


def framed(*chunks: bytes) -> bytes:
    """Return chunks as a file."""
    return SIGNATURE + b"".join(chunks) + chunk(b"IEND")


def zeros(count: int) -> bytes:
    """Return that many zeros as a zlib stream, without ever holding them."""
    step = 1 << 20
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    piece = packer.compress(bytes(step)) + packer.flush(zlib.Z_FULL_FLUSH)
    rest = zlib.compressobj(9, zlib.DEFLATED, -15)
    last = rest.compress(bytes(count % step)) + rest.flush()
    adler = (count % 65_521) << 16 | 1
    return b"\x78\xda" + piece * (count // step) + last + adler.to_bytes(4, "big")


def black(width: int, height: int, depth: int = 8, colour: int = TRUE) -> bytes:
    """Return a whole PNG of zeros: a thousandth of its pixels in bytes."""
    line = 1 + (width * _CHANNELS[colour] * depth + 7) // 8
    palette = chunk(b"PLTE", bytes(3)) if colour == INDEXED else b""
    return framed(head(width, height, depth, colour), palette, chunk(b"IDAT", zeros(line * height)))
