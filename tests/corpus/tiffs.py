"""TIFF files that are pictures: scanners, faxes, cameras, printers, measurements."""

from __future__ import annotations

import io
from functools import partial
from typing import Any

import numpy as np
import PIL.Image
import tifffile

from .cases import UNREADABLE, UNSUPPORTED, Case, picture, refused
from .drawings import (
    SIZE,
    UPRIGHT,
    exif,
    grey,
    noise,
    over_white,
    rgb,
    saved,
    with_alpha,
)

BLACK_OR_WHITE = (grey() > 127).astype(np.uint8) * 255
UNIT = (grey() / 255).astype(np.float32)


def tiff(image: Any = None, **options: Any) -> bytes:
    """Return a TIFF as Pillow writes it."""
    return saved(rgb() if image is None else image, "TIFF", **options)


def measured(pixels: np.ndarray, **options: Any) -> bytes:
    """Return a TIFF as tifffile writes it, which knows the rarer kinds."""
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, metadata=None, **options)
    return file.getvalue()


def bilevel(**options: Any) -> bytes:
    """Return a fax."""
    return tiff(PIL.Image.fromarray(BLACK_OR_WHITE).convert("1"), **options)


def pages(*images: Any) -> bytes:
    """Return a TIFF of several pages."""
    first, *others = map(PIL.Image.fromarray, images)
    return saved(first, "TIFF", save_all=True, append_images=others)


def converted(mode: str) -> PIL.Image.Image:
    """Return the slopes in another mode."""
    return PIL.Image.fromarray(rgb()).convert(mode)


def indexed() -> PIL.Image.Image:
    """Return greys through a palette that turns them round."""
    image = PIL.Image.fromarray(grey())
    image.putpalette(bytes(value for n in range(256) for value in (255 - n, n, 0)))
    return image


def turned_scan(orientation: int) -> bytes:
    """Return a scan with an orientation of its own."""
    return tiff(exif=exif(orientation))


def case(name: str, make: Any, pixels: Any, *causes: str, off_by: int = 0) -> Case:
    """Return a case of this class."""
    size = (np.asarray(pixels).shape[1], np.asarray(pixels).shape[0])
    return picture(f"tiff {name}", make, size, *causes, "container", pixels=pixels, off_by=off_by)


INVERTED = np.stack([255 - grey(), grey(), np.zeros_like(grey())], axis=2)
WITH_ALPHA = over_white(with_alpha(rgb()))
KINDS = [
    case("rgb", tiff, rgb()),
    case("grey", lambda: tiff(grey()), grey()),
    case("palette", lambda: tiff(indexed()), INVERTED, "palette"),
    case("rgba", lambda: tiff(with_alpha(rgb())), WITH_ALPHA, "alpha", off_by=1),
    case("of 1 bit", bilevel, BLACK_OR_WHITE, "depth"),
    case("fax", lambda: bilevel(compression="group4"), BLACK_OR_WHITE, "depth"),
    case("fax of group 3", lambda: bilevel(compression="group3"), BLACK_OR_WHITE, "depth"),
    case("lzw", lambda: tiff(compression="tiff_lzw"), rgb()),
    case("deflate", lambda: tiff(compression="tiff_adobe_deflate"), rgb()),
    case("packbits", lambda: tiff(compression="packbits"), rgb()),
    case("jpeg inside", lambda: tiff(compression="jpeg", quality=100), rgb(), off_by=24),
    case("cmyk", lambda: tiff(converted("CMYK")), rgb(), "colour", off_by=2),
    case("lab", lambda: tiff(converted("LAB")), rgb(), "colour", off_by=24),
    case("of 16 bits", lambda: tiff(deep()), grey(), "depth", off_by=1),
    case(
        "of 16 bits, big-endian",
        lambda: measured(deep(), byteorder=">"),
        grey(),
        "depth",
        off_by=1,
    ),
    case("rgb of 16 bits", lambda: measured(deep(rgb()), photometric="rgb"), rgb(), off_by=1),
    case("floats to 1", lambda: tiff(UNIT), grey(), "depth", off_by=1),
    case("white is 0", lambda: measured(255 - grey(), photometric="miniswhite"), grey()),
    case("big-endian", lambda: measured(rgb(), byteorder=">", photometric="rgb"), rgb()),
    case(
        "tiles",
        lambda: measured(np.tile(rgb(), (3, 3, 1)), tile=(16, 16), photometric="rgb"),
        np.tile(rgb(), (3, 3, 1)),
    ),
    case(
        "planes",
        lambda: measured(
            np.moveaxis(rgb(), 2, 0).copy(), planarconfig="separate", photometric="rgb"
        ),
        rgb(),
    ),
    case("big", lambda: measured(rgb(), bigtiff=True, photometric="rgb"), rgb()),
    case("strips", lambda: tiff(strip_size=24 * 3), rgb()),
    case("pages", lambda: pages(rgb(), noise(9, 9)), rgb(), "frames"),
    case("bytes behind the end", lambda: tiff() + b"PK", rgb()),
    case("one pixel", lambda: tiff(rgb(1, 1)), rgb(1, 1)),
    case("strip of 200 to 1", lambda: tiff(rgb(2000, 10)), rgb(2000, 10)),
    *(
        case(f"exif {n}", partial(turned_scan, n), np.ascontiguousarray(UPRIGHT[n](rgb())))
        for n in range(1, 9)
    ),
]


def deep(pixels: np.ndarray | None = None) -> np.ndarray:
    """Return slopes of 16 bits."""
    return (grey() if pixels is None else pixels).astype(np.uint16) * 257


REFUSED = [
    refused("tiff floats beyond 1", UNSUPPORTED, lambda: tiff(UNIT * 255)),
    refused("tiff floats that are none", UNSUPPORTED, lambda: tiff(UNIT * np.nan)),
    refused("tiff of 32 bits", UNSUPPORTED, lambda: tiff(PIL.Image.new("I", SIZE))),
    refused("tiff floats of 64 bits", UNREADABLE, lambda: measured(UNIT.astype(np.float64))),
    refused("tiff complex numbers", UNREADABLE, lambda: measured(UNIT.astype(np.complex64))),
]
CASES: list[Case] = [*KINDS, *REFUSED]
