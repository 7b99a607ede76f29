"""PNG files that are pictures: every colour type and depth, passes, tags, animations."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import PIL.Image

from .cases import UNSUPPORTED, Case, picture, refused
from .drawings import (
    SIZE,
    TURNED,
    WHITE,
    chunk,
    exif,
    grey,
    over_white,
    rgb,
    saved,
    with_alpha,
    xmp,
)
from .jpegs import profile
from .png_writer import GREY, GREY_ALPHA, INDEXED, TRUE, TRUE_ALPHA, black, framed, head, png

PALETTE = np.array([[n * 17 % 256, 255 - n, n * 3 % 256] for n in range(256)], np.uint8)
EXIF_6 = chunk(b"eXIf", exif(6).tobytes().removeprefix(b"Exif\0\0"))
TURNED_BY_6 = rgb().swapaxes(0, 1)[:, ::-1]


def levels(depth: int) -> np.ndarray:
    """Return grey samples of a depth, from 0 to its largest."""
    y, x = np.mgrid[0:16, 0:24]
    return (x + y) * (2**depth - 1) // 38


def of_levels(depth: int) -> np.ndarray:
    """Return what grey samples of a depth show."""
    return np.rint(levels(depth) * 255 / (2**depth - 1)).astype(np.uint8)


def deep(pixels: np.ndarray) -> np.ndarray:
    """Return 8-bit samples as 16-bit ones that are not multiples of 257."""
    return pixels.astype(int) * 257 - (pixels > 0) * 20


def cleared(pixels: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Return pixels with white where they are clear."""
    out = pixels.copy()
    out[where] = WHITE
    return out


def indexed(depth: int, **options: Any) -> Case:
    """Return a case of indexed pixels, all of a palette used."""
    samples = levels(depth)
    table = chunk(b"PLTE", PALETTE[: 2**depth].tobytes())
    return picture(
        f"png palette of {depth} bits{' in passes' * bool(options)}",
        lambda: png(samples, INDEXED, depth, before=table, **options),
        SIZE,
        "palette",
        pixels=PALETTE[samples],
    )


def clear_index(alphas: bytes) -> Case:
    """Return a case of a palette whose first entries are see-through."""
    alpha = np.frombuffer(alphas.ljust(16, b"\xff"), np.uint8)
    both = np.concatenate([PALETTE[:16], alpha[:, None]], axis=1)
    before = chunk(b"PLTE", PALETTE[:16].tobytes()) + chunk(b"tRNS", alphas)
    return picture(
        f"png palette with {len(alphas)} alphas",
        lambda: png(levels(4), INDEXED, 4, before=before),
        SIZE,
        *("alpha", "palette"),
        pixels=over_white(both[levels(4)]),
        off_by=1,
    )


def clear_grey(depth: int) -> Case:
    """Return a case of grey pixels, one of whose levels is clear."""
    level = 2**depth // 3
    before = chunk(b"tRNS", struct.pack(">H", level))
    causes = ("alpha", "depth") if depth == 1 else ("alpha",)
    return picture(
        f"png clear level of {depth} bits",
        lambda: png(levels(depth), GREY, depth, before=before),
        SIZE,
        *causes,
        pixels=cleared(of_levels(depth), levels(depth) == level),
    )


def clear_colour() -> Case:
    """Return a case of colours, one of which is clear."""
    colour = rgb()[3, 5]
    before = chunk(b"tRNS", struct.pack(">HHH", *map(int, colour)))
    return picture(
        "png clear colour",
        lambda: png(rgb(), TRUE, before=before),
        SIZE,
        "alpha",
        pixels=cleared(rgb(), (rgb() == colour).all(axis=2)),
    )


def clear_deep_colour() -> bytes:
    """Return 16-bit colours, one of which is clear; at 8 bits nobody can tell it any more."""
    colour = map(int, deep(rgb())[3, 5])
    return png(deep(rgb()), TRUE, 16, before=chunk(b"tRNS", struct.pack(">HHH", *colour)))


def animated(frames: int, *, first_is_shown: bool = True) -> bytes:
    """Return an animated PNG, written by hand; its default picture may be no frame."""

    def control(number: int) -> bytes:
        return chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, *SIZE, 0, 0, 1, 10, 0, 0))

    plain = png(rgb(), TRUE)
    pixels = plain[plain.index(b"IDAT") + 4 : -16]
    parts, number = [control(0)] if first_is_shown else [], int(first_is_shown)
    behind = []
    for _ in range(frames - first_is_shown):
        behind += [
            control(number),
            chunk(b"fdAT", struct.pack(">I", number + 1) + zlib.compress(bytes(73 * 16))),
        ]
        number += 2
    acts = chunk(b"acTL", struct.pack(">II", frames, 0))
    return framed(head(*SIZE), acts, *parts, chunk(b"IDAT", pixels), *behind)


def raw_profile(kind: bytes) -> bytes:
    """Return Exif as ImageMagick writes it: digits in packed text."""
    data = exif(6).tobytes()
    words = b"\nexif\n%8d\n%s\n" % (len(data), data.hex().encode())
    return chunk(kind, b"Raw profile type exif\0\0" + zlib.compress(words))


def tagged(make: Callable[[], bytes], *, behind: bool = False) -> bytes:
    """Return a PNG of slopes with a chunk before or behind its pixels."""
    place = {"behind": make()} if behind else {"before": make()}
    return png(rgb(), TRUE, **place)


def many_pixels_parts() -> bytes:
    """Return pixels in chunks of one byte, empty ones between."""
    whole = png(rgb(), TRUE)
    pixels = whole[whole.index(b"IDAT") + 4 : -16]
    parts = b"".join(chunk(b"IDAT", pixels[n : n + 1]) + chunk(b"IDAT") for n in range(len(pixels)))
    return framed(head(*SIZE), parts)


DEPTHS = [
    picture(
        "png grey of 1 bit", lambda: png(levels(1), GREY, 1), SIZE, "depth", pixels=of_levels(1)
    ),
    picture("png grey of 2 bits", lambda: png(levels(2), GREY, 2), SIZE),
    picture("png grey of 4 bits", lambda: png(levels(4), GREY, 4), SIZE),
    picture("png grey", lambda: png(grey(), GREY), SIZE),
    picture("png grey in passes", lambda: png(grey(), GREY, interlaced=True), SIZE),
    picture(
        "png grey of 16 bits",
        lambda: png(deep(grey()), GREY, 16),
        SIZE,
        *("depth",),
        pixels=np.rint(deep(grey()) / 257),
        off_by=1,
    ),
    picture("png rgb", lambda: png(rgb(), TRUE), SIZE),
    picture("png rgb in passes", lambda: png(rgb(), TRUE, interlaced=True), SIZE),
    picture(
        "png rgb of 16 bits",
        lambda: png(deep(rgb()), TRUE, 16),
        SIZE,
        *("depth",),
        pixels=np.rint(deep(rgb()) / 257),
        off_by=1,
    ),
    *(indexed(depth) for depth in (1, 2, 4, 8)),
    indexed(8, interlaced=True),
    picture(
        "png grey alpha",
        lambda: png(with_alpha(grey()), GREY_ALPHA),
        SIZE,
        *("alpha",),
        pixels=over_white(with_alpha(grey())),
        off_by=1,
    ),
    picture(
        "png grey alpha of 16 bits",
        lambda: png(deep(with_alpha(grey())), GREY_ALPHA, 16),
        SIZE,
        *("alpha", "depth"),
        pixels=over_white(with_alpha(grey())),
        off_by=2,
    ),
    picture(
        "png rgba",
        lambda: png(with_alpha(rgb()), TRUE_ALPHA),
        SIZE,
        *("alpha",),
        pixels=over_white(with_alpha(rgb())),
        off_by=1,
    ),
    picture(
        "png rgba in passes",
        lambda: png(with_alpha(rgb()), TRUE_ALPHA, interlaced=True),
        SIZE,
        *("alpha",),
        pixels=over_white(with_alpha(rgb())),
        off_by=1,
    ),
    picture(
        "png rgba of 16 bits",
        lambda: png(deep(with_alpha(rgb())), TRUE_ALPHA, 16),
        SIZE,
        *("alpha", "depth"),
        pixels=over_white(with_alpha(rgb())),
        off_by=2,
    ),
]
CLEAR = [
    *(clear_grey(depth) for depth in (1, 2, 4, 8)),
    clear_colour(),
    *(clear_index(alphas) for alphas in (b"\0", b"\0\x80\xff\x40", bytes(range(0, 256, 16)))),
    refused(
        "png clear level of 16 bits",
        UNSUPPORTED,
        lambda: png(deep(grey()), GREY, 16, before=chunk(b"tRNS", b"\0\0")),
    ),
    refused("png clear colour of 16 bits", UNSUPPORTED, clear_deep_colour),
]
TAGS = [
    picture("png exif before", lambda: tagged(lambda: EXIF_6), TURNED),
    picture("png exif behind", lambda: tagged(lambda: EXIF_6, behind=True), TURNED),
    picture("png exif in packed digits", lambda: tagged(lambda: raw_profile(b"zTXt")), TURNED),
    picture(
        "png exif in digits behind",
        lambda: tagged(lambda: raw_profile(b"zTXt"), behind=True),
        TURNED,
    ),
    picture(
        "png xmp",
        lambda: tagged(lambda: chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(6))),
        TURNED,
    ),
    picture(
        "png profile",
        lambda: tagged(lambda: chunk(b"iCCP", b"s\0\0" + zlib.compress(profile()))),
        SIZE,
    ),
    picture(
        "png rgba turned",
        lambda: png(with_alpha(rgb()), TRUE_ALPHA, before=EXIF_6),
        TURNED,
        *("alpha",),
        pixels=over_white(with_alpha(rgb())).swapaxes(0, 1)[:, ::-1],
        off_by=1,
    ),
    picture("png unknown chunks", lambda: tagged(lambda: chunk(b"abCd", b"?") * 50), SIZE),
    picture("png text", lambda: tagged(lambda: chunk(b"tEXt", b"Comment\0\xe9" * 9)), SIZE),
    picture("png bytes behind the end", lambda: png(rgb(), TRUE) + b"PK\3\4 and a page", SIZE),
    picture("png pixels byte by byte", many_pixels_parts, SIZE),
]
FRAMES = [
    picture("png animated", lambda: animated(3), SIZE, "frames", pixels=rgb()),
    picture("png animated, one frame", lambda: animated(1), SIZE),
    picture(
        "png animated behind its picture",
        lambda: animated(2, first_is_shown=False),
        SIZE,
        *("frames",),
        pixels=rgb(),
    ),
    picture(
        "png animated by pillow",
        lambda: saved(rgb(), "PNG", save_all=True, append_images=[PIL.Image.new("RGB", SIZE)]),
        SIZE,
        *("frames",),
        pixels=rgb(),
    ),
]
SIZES = [
    picture("png one pixel", lambda: png(rgb(1, 1), TRUE), (1, 1)),
    picture("png strip of 200 to 1", lambda: png(grey(200, 1), GREY), (200, 1)),
    picture("png strip upright", lambda: png(rgb(10, 2000), TRUE), (10, 2000)),
    picture("png longest side", lambda: black(65_535, 328, 8, GREY), (65_535, 328)),
]
HUGE = [
    picture("huge png of 120 megapixels", lambda: black(12_000, 10_000), (12_000, 10_000)),
    picture(
        "huge png upright with exif",
        lambda: black(12_000, 10_000)[:-12] + EXIF_6 + chunk(b"IEND"),
        (10_000, 12_000),
    ),
]
CASES: list[Case] = [*DEPTHS, *CLEAR, *TAGS, *FRAMES, *SIZES]
