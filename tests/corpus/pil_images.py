"""PIL images as Python callers pass them: of every mode, opened lazily, cut, closed."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageCms
import PIL.ImageFile

from .cases import TOO_LARGE, UNREADABLE, UNSUPPORTED, Accepted, Built, Case, Reason
from .drawings import SIZE, TURNED, UPRIGHT, exif, grey, over_white, rgb, saved, with_alpha
from .jpegs import inks
from .png_writer import GREY, TRUE_ALPHA, black

ANEW = ("container",)


def shown(name: str, make: Callable[[], Any], pixels: Callable[[], Any] = rgb, **more: Any) -> Case:
    """Return a case of an image that shows these pixels."""
    size, off_by = more.get("size", SIZE), more.get("off_by", 0)
    return Case(
        f"pil {name}",
        "pil",
        Accepted(*size, ANEW),
        lambda _: Built(make(), None, pixels(), off_by),
    )


def not_shown(name: str, reason: Reason, make: Callable[[], Any]) -> Case:
    return Case(f"pil {name}", "pil", reason, lambda _: Built(make()))


def image(pixels: Any = None) -> PIL.Image.Image:
    return PIL.Image.fromarray(rgb() if pixels is None else pixels)


def lazy(data: bytes) -> PIL.Image.Image:
    """Open a picture and decode nothing yet."""
    return PIL.Image.open(io.BytesIO(data))


def raw(mode: str, data: bytes) -> PIL.Image.Image:
    return PIL.Image.frombytes(mode, SIZE, data)


def closed(found: PIL.Image.Image) -> PIL.Image.Image:
    found.close()
    return found


def noted(found: PIL.Image.Image, **info: Any) -> PIL.Image.Image:
    """Put notes beside the pixels."""
    found.info.update(info)
    return found


def tagged(orientation: int) -> PIL.Image.Image:
    """Return an image in memory that says how it must be turned."""
    found = image()
    found.getexif()[0x0112] = orientation
    return found


def sought() -> PIL.Image.Image:
    """Return an image of two frames at its second."""
    frames = [image(grey()), image(grey()[::-1].copy())]
    found = lazy(saved(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    found.seek(1)
    return found


def with_clear(pixels: Any) -> Any:
    """Return what is seen when black is clear."""
    is_clear = (pixels == 0) if pixels.ndim == 2 else (pixels == 0).all(axis=2)
    seen = pixels.copy()
    seen[is_clear] = 255
    return seen


def psd() -> bytes:
    """Return a whole Photoshop file."""
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 16, 24, 8, 3)
    return head + bytes(4 + 4 + 4) + b"\0\0" + rgb().transpose(2, 0, 1).tobytes()


def eps() -> bytes:
    return b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 24 16\n%%EndComments\nshowpage\n%%EOF\n"


class Of(PIL.Image.Image):
    """An image of a class of its own."""


def of_its_own() -> PIL.Image.Image:
    found = image()
    found.__class__ = Of
    return found


def words(order: str) -> bytes:
    return (grey().astype(order) * 257).tobytes()


def copied() -> PIL.Image.Image:
    found = image()
    other = found.copy()
    found.close()
    return other


def with_palette_and_alpha() -> PIL.Image.Image:
    found = raw("PA", with_alpha(grey()).tobytes())
    found.putpalette(bytes(value for value in range(256) for _ in range(3)))
    return found


def lab() -> PIL.Image.Image:
    """Return greys in LAB: all colours that it has, a screen has not."""
    transform = PIL.ImageCms.buildTransform(
        PIL.ImageCms.createProfile("sRGB"), PIL.ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    found = PIL.ImageCms.applyTransform(image(grey()).convert("RGB"), transform)
    assert found is not None
    return found


ALPHA = with_alpha(rgb())
GREY_ALPHA = with_alpha(grey())
MODES = [
    shown("of mode RGB", image),
    shown("of mode L", lambda: image(grey()), grey),
    shown("of mode 1", lambda: image(grey() > 99), lambda: (grey() > 99) * 255),
    shown(
        "of mode LA",
        lambda: raw("LA", GREY_ALPHA.tobytes()),
        lambda: over_white(GREY_ALPHA),
        off_by=1,
    ),
    shown(
        "of mode La",
        lambda: raw("LA", GREY_ALPHA.tobytes()).convert("La"),
        lambda: over_white(GREY_ALPHA),
        off_by=2,
    ),
    shown("of mode RGBA", lambda: image(ALPHA), lambda: over_white(ALPHA), off_by=1),
    shown(
        "of mode RGBa", lambda: image(ALPHA).convert("RGBa"), lambda: over_white(ALPHA), off_by=2
    ),
    shown("of mode RGBX", lambda: raw("RGBX", ALPHA.tobytes())),
    shown("of mode P", lambda: image(grey()).convert("P"), grey),
    shown(
        "of mode PA",
        with_palette_and_alpha,
        lambda: over_white(GREY_ALPHA),
        off_by=1,
    ),
    shown("of mode CMYK", lambda: inks(rgb())),
    shown("of mode YCbCr", lambda: image().convert("YCbCr"), off_by=3),
    shown("of mode HSV", lambda: image().convert("HSV"), off_by=9),
    shown("of mode LAB", lab, grey, off_by=3),
    shown("of mode F", lambda: image((grey() / 255).astype(np.float32)), grey),
    shown("of mode I;16", lambda: raw("I;16", words("<u2")), grey),
    shown("of mode I;16L", lambda: raw("I;16L", words("<u2")), grey),
    shown("of mode I;16B", lambda: raw("I;16B", words(">u2")), grey),
    shown("of mode I;16N", lambda: raw("I;16N", words("=u2")), grey),
    not_shown("of mode I", UNSUPPORTED, lambda: image(grey().astype(np.int32))),
    not_shown("of mode F up to 255", UNSUPPORTED, lambda: image(grey().astype(np.float32))),
    not_shown("of mode F with nan", UNSUPPORTED, lambda: image(np.full((4, 4), np.nan, "f4"))),
]
STATES = [
    shown("of a class of its own", of_its_own),
    shown(
        "with a clear grey",
        lambda: noted(image(grey()), transparency=0),
        lambda: with_clear(grey()),
    ),
    shown(
        "with a clear colour",
        lambda: noted(image(), transparency=(0, 0, 0)),
        lambda: with_clear(rgb()),
    ),
    shown(
        "with a clear entry",
        lambda: noted(image(grey()).convert("P"), transparency=0),
        lambda: with_clear(grey()),
    ),
    shown(
        "with notes that are none",
        lambda: noted(image(), icc_profile=b"none", dpi="far", xmp=b"none"),
    ),
    shown("with a broken profile", lambda: noted(inks(rgb()), icc_profile=b"none")),
    *(
        shown(
            f"of orientation {n}",
            lambda n=n: tagged(n),
            lambda n=n: UPRIGHT[n](rgb()),
            size=TURNED if n > 4 else SIZE,
        )
        for n in UPRIGHT
    ),
    shown("of orientation 9", lambda: tagged(9)),
    shown("opened", lambda: lazy(saved(rgb(), "PNG"))),
    shown(
        "opened with an orientation",
        lambda: lazy(saved(rgb(), "PNG", exif=exif(6))),
        lambda: UPRIGHT[6](rgb()),
        size=TURNED,
    ),
    shown(
        "opened tiff with an orientation",
        lambda: lazy(saved(rgb(), "TIFF", exif=exif(8))),
        lambda: UPRIGHT[8](rgb()),
        size=TURNED,
    ),
    shown("opened webp", lambda: lazy(saved(rgb(), "WEBP", lossless=True))),
    shown(
        "opened of 1 bit",
        lambda: lazy(saved(image(grey() > 99), "PNG")),
        lambda: (grey() > 99) * 255,
    ),
    shown(
        "opened of two frames",
        lambda: lazy(
            saved(image(grey()), "GIF", save_all=True, append_images=[image(grey()[::-1].copy())])
        ),
        grey,
    ),
    shown("at its second frame", sought, lambda: grey()[::-1]),
    shown("copied from one that is closed", copied),
    shown(
        "of one pixel",
        lambda: PIL.Image.new("L", (1, 1), 7),
        lambda: np.full((1, 1), 7),
        size=(1, 1),
    ),
    not_shown("opened and cut", UNREADABLE, lambda: lazy(saved(rgb(), "PNG")[:-60])),
    not_shown("opened jpeg and cut", UNREADABLE, lambda: lazy(saved(rgb(), "JPEG")[:-60])),
    not_shown("opened and closed", UNREADABLE, lambda: closed(lazy(saved(rgb(), "PNG")))),
    not_shown("closed", UNREADABLE, lambda: closed(image())),
    not_shown("opened eps", UNSUPPORTED, lambda: lazy(eps())),
    not_shown("opened psd", UNSUPPORTED, lambda: lazy(psd())),
    not_shown("of no size", UNREADABLE, lambda: PIL.Image.new("RGB", (0, 0))),
    not_shown("of no height", UNREADABLE, lambda: PIL.Image.new("RGB", (9, 0))),
    not_shown("one pixel too many", TOO_LARGE, lambda: lazy(black(12_000, 10_001, 8, GREY))),
    not_shown("of a side too long", TOO_LARGE, lambda: PIL.Image.new("L", (65_536, 400))),
    not_shown("too narrow", TOO_LARGE, lambda: PIL.Image.new("L", (1, 201))),
    not_shown(
        "opened and too large to decode",
        TOO_LARGE,
        lambda: lazy(black(9_500, 9_300, 8, TRUE_ALPHA)),
    ),
]


CASES: list[Case] = [*MODES, *STATES]
