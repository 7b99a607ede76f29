"""BMP files that are pictures: all depths, masks, run lengths, upside down.

Source:
    Microsoft's BITMAPCOREHEADER, BITMAPINFOHEADER and BITMAPV4HEADER.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from .cases import Case, picture
from .drawings import SIZE, over_white, rgb, with_alpha

PALETTE = np.array([[n * 16, 255 - n, n * 5] for n in range(16)], np.uint8)
INDEXES = (np.arange(16 * 24).reshape(16, 24) * 7 % 16).astype(np.uint8)
RGB, RLE8, RLE4, FIELDS = 0, 1, 2, 3


def bmp(
    pixels: bytes,
    bits: int,
    size: tuple[int, int] = SIZE,
    *,
    coding: int = RGB,
    palette: bytes = b"",
    masks: bytes = b"",
) -> bytes:
    """Return a BMP of pixel bytes as they are stored; a height below 0 is upside down."""
    info = struct.pack("<IiiHHIIiiII", 40, *size, 1, bits, coding, len(pixels), 0, 0, 0, 0)
    if len(masks) > 12:  # with alpha: the fourth version of the header
        info = struct.pack("<I", 108) + info[4:] + masks + b"sRGB"[::-1] + bytes(48)
        masks = b""
    start = 14 + len(info) + len(masks) + len(palette)
    head = struct.pack("<2sIII", b"BM", start + len(pixels), 0, start)
    return head + info + masks + palette + pixels


def stored(samples: np.ndarray, bits: int = 8) -> bytes:
    """Return samples from the last row up, each row padded to 4 bytes."""
    flat = samples.reshape(samples.shape[0], -1)[::-1]
    if bits < 8:
        expanded = np.unpackbits(flat[:, :, None], axis=2)[:, :, 8 - bits :]
        flat = np.packbits(expanded.reshape(flat.shape[0], -1), axis=1)
    width = -(-flat.shape[1] // 4) * 4
    return b"".join(row.tobytes().ljust(width, b"\0") for row in flat)


def table(colours: np.ndarray) -> bytes:
    """Return a palette: blue, green, red and nothing."""
    return np.concatenate([colours[:, ::-1], np.zeros((len(colours), 1), np.uint8)], 1).tobytes()


def indexed(bits: int) -> bytes:
    """Return indexed pixels of 1, 4 or 8 bits, with a full palette."""
    colours = np.zeros((2**bits, 3), np.uint8)
    colours[: min(16, 2**bits)] = PALETTE[: 2**bits]
    return bmp(stored(INDEXES & (2**bits - 1), bits), bits, palette=table(colours))


def runs(samples: np.ndarray) -> bytes:
    """Code 8-bit samples as runs, with runs of literals, from the last row up."""
    out = b""
    for row in samples[::-1]:
        values = row.tobytes()
        literal = values[:5]
        out += bytes([0, 5]) + literal + b"\0"
        out += b"".join(bytes([1, value]) for value in values[5:]) + b"\0\0"
    return out + b"\0\1"


def runs_of_4_bits() -> bytes:
    """Code 4-bit samples as runs of two values in turn."""
    out = b""
    for row in INDEXES[::-1]:
        pairs = zip(row[::2], row[1::2], strict=True)
        out += b"".join(bytes([2, int(a) << 4 | int(b)]) for a, b in pairs) + b"\0\0"
    return out + b"\0\1"


def high_colour(bits_of_green: int) -> bytes:
    """Return 16-bit pixels: five bits of red and blue, five or six of green."""
    red, green, blue = (rgb()[:, :, n].astype(np.uint16) for n in range(3))
    shift = 5 + bits_of_green
    packed = (red >> 3) << shift | (green >> 8 - bits_of_green) << 5 | blue >> 3
    pixels = stored(packed.astype("<u2").view(np.uint8))
    if bits_of_green == 5:
        return bmp(pixels, 16)
    return bmp(pixels, 16, coding=FIELDS, masks=struct.pack("<III", 0xF800, 0x07E0, 0x1F))


def with_masks() -> bytes:
    """Return 32-bit pixels with alpha, as the fourth header has it."""
    pixels = with_alpha(rgb())[:, :, [2, 1, 0, 3]]
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    return bmp(stored(pixels), 32, coding=FIELDS, masks=masks)


def of_32_bits() -> bytes:
    """Return 32-bit pixels whose fourth byte means nothing."""
    return bmp(stored(with_alpha(rgb())[:, :, [2, 1, 0, 3]]), 32)


def of_os2() -> bytes:
    """Return a BMP with the short header of OS/2."""
    info = struct.pack("<IHHHH", 12, *SIZE, 1, 24)
    pixels = stored(rgb()[:, :, ::-1])
    return struct.pack("<2sIII", b"BM", 26 + len(pixels), 0, 26) + info + pixels


def case(name: str, make: Any, pixels: Any, *causes: str, off_by: int = 0) -> Case:
    """Return a case of this class."""
    return picture(f"bmp {name}", make, SIZE, *causes, "container", pixels=pixels, off_by=off_by)


CASES: list[Case] = [
    case("of 24 bits", lambda: bmp(stored(rgb()[:, :, ::-1]), 24), rgb()),
    case("upside down", lambda: bmp(stored(rgb()[::-1, :, ::-1]), 24, (24, -16)), rgb()),
    case("of 32 bits", of_32_bits, rgb()),
    case("with alpha", with_masks, over_white(with_alpha(rgb())), "alpha", off_by=1),
    case("of 16 bits, 555", lambda: high_colour(5), rgb(), off_by=8),
    case("of 16 bits, 565", lambda: high_colour(6), rgb(), off_by=8),
    case("of 1 bit", lambda: indexed(1), PALETTE[INDEXES % 2], "palette"),
    case("of 4 bits", lambda: indexed(4), PALETTE[INDEXES], "palette"),
    case("of 8 bits", lambda: indexed(8), PALETTE[INDEXES], "palette"),
    case(
        "run lengths",
        lambda: bmp(runs(INDEXES), 8, coding=RLE8, palette=table(PALETTE).ljust(1024, b"\0")),
        PALETTE[INDEXES],
        "palette",
    ),
    case(
        "run lengths of 4 bits",
        lambda: bmp(runs_of_4_bits(), 4, coding=RLE4, palette=table(PALETTE)),
        PALETTE[INDEXES],
        "palette",
    ),
    case("of os 2", of_os2, rgb()),
    case("bytes behind the end", lambda: bmp(stored(rgb()[:, :, ::-1]), 24) + b"PK", rgb()),
    picture(
        "bmp one pixel",
        lambda: bmp(stored(rgb(1, 1)), 24, (1, 1)),
        (1, 1),
        "container",
        pixels=rgb(1, 1),
    ),
]
