"""AVIF, HEIC and JPEG 2000 files that are pictures."""

from __future__ import annotations

import io
from functools import partial
from typing import Any

import numpy as np
import PIL.Image
from pillow_heif import from_pillow

from .cases import UNREADABLE, Case, picture, refused
from .drawings import SIZE, UPRIGHT, exif, grey, over_white, rgb, saved, with_alpha

PLENTY = 24  # by how much the codes for brightness and colour may be off


def avif(image: Any = None, **options: Any) -> bytes:
    """Return an AVIF of slopes."""
    settings = {"quality": 100, "speed": 10, "subsampling": "4:4:4", **options}
    return saved(rgb() if image is None else image, "AVIF", **settings)


def branded(brand: bytes) -> bytes:
    """Return an AVIF whose major brand is that of its container."""
    data = avif()
    return data[:8] + brand + data[12:]


def heic(pixels: np.ndarray, **options: Any) -> bytes:
    """Return a phone's HEIC."""
    file = io.BytesIO()
    from_pillow(PIL.Image.fromarray(pixels)).save(file, quality=100, chroma=444, **options)
    return file.getvalue()


def jp2(image: Any = None, **options: Any) -> bytes:
    """Return a JPEG 2000 without loss."""
    return saved(rgb() if image is None else image, "JPEG2000", **options)


def moving() -> bytes:
    """Return an AVIF of two frames."""
    return avif(save_all=True, append_images=[PIL.Image.new("RGB", SIZE)])


def case(name: str, make: Any, pixels: Any, *causes: str, off_by: int = 0) -> Case:
    """Return a case of this class; the class is the name's first word."""
    size = (pixels.shape[1], pixels.shape[0])
    return picture(name, make, size, *causes, "container", pixels=pixels, off_by=off_by)


WITH_ALPHA = over_white(with_alpha(rgb()))
AVIF = [
    case("avif", avif, rgb(), off_by=PLENTY),
    case("avif grey", lambda: avif(grey()), grey(), off_by=PLENTY),
    case("avif with alpha", lambda: avif(with_alpha(rgb())), WITH_ALPHA, "alpha", off_by=PLENTY),
    case("avif moving", moving, rgb(), "frames", off_by=PLENTY),
    case("avif named mif1", lambda: branded(b"mif1"), rgb(), off_by=PLENTY),
    refused("avif named a film", UNREADABLE, lambda: branded(b"avis")),
    case("avif in parts of 420", lambda: avif(subsampling="4:2:0"), rgb(), off_by=4 * PLENTY),
    case("avif one pixel", lambda: avif(rgb(1, 1)), rgb(1, 1), off_by=PLENTY),
    *(
        case(
            f"avif exif {n}",
            lambda n=n: avif(exif=exif(n)),
            np.ascontiguousarray(UPRIGHT[n](rgb())),
            off_by=PLENTY,
        )
        for n in (2, 3, 6, 8)
    ),
]
HEIC = [
    case("heic", partial(heic, rgb()), rgb(), off_by=PLENTY),
    case("heic with alpha", lambda: heic(with_alpha(rgb())), WITH_ALPHA, "alpha", off_by=PLENTY),
    case(
        "heic turned",
        lambda: heic(rgb(), exif=exif(6).tobytes()),
        np.ascontiguousarray(UPRIGHT[6](rgb())),
        off_by=PLENTY,
    ),
]
JP2 = [
    case("jp2", jp2, rgb()),
    case("jp2 bare", lambda: jp2(no_jp2=True), rgb()),
    case("jp2 grey", lambda: jp2(grey()), grey()),
    case("jp2 grey bare", lambda: jp2(grey(), no_jp2=True), grey()),
    case("jp2 with alpha", lambda: jp2(with_alpha(rgb())), WITH_ALPHA, "alpha", off_by=1),
    case(
        "jp2 of 16 bits",
        lambda: jp2(grey().astype(np.uint16) * 257),
        grey(),
        "depth",
        off_by=1,
    ),
    case(
        "jp2 with loss",
        lambda: jp2(irreversible=True, quality_mode="rates", quality_layers=[2]),
        rgb(),
        off_by=PLENTY,
    ),
    case("jp2 tiles", lambda: jp2(tile_size=(16, 16)), rgb()),
    case("jp2 one pixel", lambda: jp2(rgb(1, 1), num_resolutions=1), rgb(1, 1)),
]
CASES: list[Case] = [*AVIF, *HEIC, *JP2]
