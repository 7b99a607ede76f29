"""WebP and GIF files that are pictures: lossy, lossless, see-through, moving, tagged."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import PIL.Image

from .cases import Case, picture
from .drawings import SIZE, TURNED, WHITE, exif, grey, over_white, rgb, riff, saved, with_alpha, xmp
from .jpegs import profile

INDEXES = (np.arange(16 * 24).reshape(16, 24) * 7 % 256).astype(np.uint8)
PALETTE = np.array([[n, n * 5 % 256, 255 - n] for n in range(256)], np.uint8)
SHOWN = PALETTE[INDEXES]
FRAME_PIXEL = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\2\2\x44\1\0"  # one pixel, black
GREYS = bytes(value for n in (0, 255) for value in (n, n, n))


def webp(pixels: Any = None, **options: Any) -> bytes:
    """Return a WebP of slopes."""
    return saved(rgb() if pixels is None else pixels, "WEBP", **options)


def moving_webp(**options: Any) -> bytes:
    """Return a WebP of two frames, slopes first."""
    second = PIL.Image.new("RGB", SIZE)
    return webp(save_all=True, append_images=[second], duration=100, lossless=True, **options)


def extended() -> bytes:
    """Return a WebP with chunks that no reader knows, and a lone odd byte."""
    plain = webp()
    picture_chunk = (plain[12:16], plain[20 : 20 + int.from_bytes(plain[16:20], "little")])
    flags = struct.pack("<I", 0) + (23).to_bytes(3, "little") + (15).to_bytes(3, "little")
    return riff((b"VP8X", flags), (b"abcd", b"odd"), picture_chunk, (b"efgh", b"x"))


def indexed(indexes: np.ndarray = INDEXES) -> PIL.Image.Image:
    """Return a picture of a palette."""
    image = PIL.Image.fromarray(indexes)
    image.putpalette(PALETTE.tobytes())
    return image


def gif(image: PIL.Image.Image | None = None, **options: Any) -> bytes:
    """Return a GIF whose palette is kept as it is."""
    return saved(image or indexed(), "GIF", optimize=False, **options)


def moving_gif(**options: Any) -> bytes:
    """Return a GIF of three frames."""
    others = [indexed(INDEXES[::-1]), indexed(INDEXES[:, ::-1])]
    return gif(save_all=True, append_images=others, duration=100, **options)


def with_local_palette() -> bytes:
    """Move the palette of a GIF from the screen to its only frame."""
    data = gif(interlace=0)
    screen, table, rest = data[:13], data[13 : 13 + 768], data[13 + 768 :]
    at = rest.index(b"\x2c")
    frame = rest[at : at + 9] + bytes([rest[at + 9] | 0x87])
    screen = screen[:10] + bytes([screen[10] & 0x78]) + screen[11:]
    return screen + rest[:at] + frame + table + rest[at + 10 :]


def page_inside() -> bytes:
    """Return a GIF that a browser may take for a page."""
    data = gif()
    at = 13 + 768
    page = b"<html><script>alert(1)</script>"
    comment = b"\x21\xfe" + bytes([len(page)]) + page + b"\0"
    return data[:at] + comment + data[at:]


def dots(frames: int) -> bytes:
    """Return a GIF of that many frames of one pixel."""
    return b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + GREYS + FRAME_PIXEL * frames + b";"


def clear_gif() -> Case:
    """Return a case of a GIF with a clear index."""
    shown = SHOWN.copy()
    shown[INDEXES == 7] = WHITE
    return picture(
        "gif with a clear index",
        lambda: gif(transparency=7),
        SIZE,
        *("alpha", "palette", "container"),
        pixels=shown,
    )


WEBP = [
    picture("webp lossy", webp, SIZE),
    picture("webp lossless", lambda: webp(lossless=True), SIZE),
    picture("webp grey", lambda: webp(grey()), SIZE),
    picture("webp quality 1", lambda: webp(quality=1), SIZE),
    picture(
        "webp with alpha",
        lambda: webp(with_alpha(rgb()), lossless=True, exact=True),
        SIZE,
        *("alpha",),
        pixels=over_white(with_alpha(rgb())),
        off_by=1,
    ),
    picture(
        "webp lossy with alpha",
        lambda: webp(with_alpha(rgb()), quality=100, exact=True),
        SIZE,
        *("alpha",),
        pixels=over_white(with_alpha(rgb())),
        off_by=24,
    ),
    picture("webp moving", moving_webp, SIZE, "alpha", "frames", pixels=rgb()),
    *(
        picture(f"webp exif {n}", lambda n=n: webp(exif=exif(n)), TURNED if n > 4 else SIZE)
        for n in (1, 3, 6, 8)
    ),
    picture("webp xmp", lambda: webp(xmp=xmp(8)), TURNED),
    picture("webp profile", lambda: webp(icc_profile=profile()), SIZE),
    picture("webp chunks unknown", extended, SIZE),
    picture("webp bytes behind the end", lambda: webp() + b"trailer", SIZE),
    picture("webp one pixel", lambda: webp(rgb(1, 1)), (1, 1)),
    picture("webp strip of 200 to 1", lambda: webp(rgb(2000, 10)), (2000, 10)),
    picture("webp longest side", lambda: webp(np.zeros((82, 16_383, 3), np.uint8)), (16_383, 82)),
]
GIF_CAUSES = ("palette", "container")
GIF = [
    picture("gif", gif, SIZE, *GIF_CAUSES, pixels=SHOWN),
    picture("gif of 1987", lambda: b"GIF87a" + gif()[6:], SIZE, *GIF_CAUSES, pixels=SHOWN),
    picture("gif grey", lambda: gif(PIL.Image.fromarray(grey())), SIZE, "container", pixels=grey()),
    picture("gif in passes", lambda: gif(interlace=1), SIZE, *GIF_CAUSES, pixels=SHOWN),
    clear_gif(),
    picture("gif moving", moving_gif, SIZE, "palette", "frames", "container", pixels=SHOWN),
    picture(
        "gif moving for ever",
        lambda: moving_gif(loop=0),
        SIZE,
        *("palette", "frames", "container"),
        pixels=SHOWN,
    ),
    picture("gif without its trailer", lambda: gif()[:-1], SIZE, *GIF_CAUSES, pixels=SHOWN),
    picture(
        "gif bytes behind the end",
        lambda: gif() + b"PK",
        SIZE,
        "palette",
        "container",
        pixels=SHOWN,
    ),
    picture("gif palette of its frame", with_local_palette, SIZE, *GIF_CAUSES, pixels=SHOWN),
    picture("gif that is a page", page_inside, SIZE, *GIF_CAUSES, pixels=SHOWN),
    picture("gif comment", lambda: gif(comment=b"no " * 300), SIZE, *GIF_CAUSES, pixels=SHOWN),
    picture(
        "gif one pixel", lambda: dots(1), (1, 1), "palette", "container", pixels=np.zeros((1, 1))
    ),
]
HUGE = [
    picture(
        "huge gif of a million frames",
        lambda: dots(1_000_000),
        (1, 1),
        *("palette", "frames", "container"),
        pixels=np.zeros((1, 1)),
    )
]
CASES: list[Case] = [*WEBP, *GIF]
