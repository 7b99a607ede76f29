"""Pictures cut short, cut and mended, and damaged: none of them may pass half grey."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator

import PIL.Image

from .bmps import bmp
from .bmps import stored as bmp_rows
from .cases import UNREADABLE, Case, picture, refused
from .drawings import chunk, exif, noise, riff, saved
from .newer import heic
from .png_writer import TRUE, framed, head, png

NOISE = noise(48, 32)
#: Whole files whose every part counts. Widths are such that no row has padding at its end.
WHOLE: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: saved(NOISE, "JPEG"),
    "jpeg progressive": lambda: saved(NOISE, "JPEG", progressive=True),
    "jpeg exif": lambda: saved(NOISE, "JPEG", exif=exif(6)),
    "jpeg restarts": lambda: saved(NOISE, "JPEG", restart_marker_rows=1),
    "png": lambda: png(NOISE, TRUE),
    "png in passes": lambda: png(NOISE, TRUE, interlaced=True),
    "webp": lambda: saved(NOISE, "WEBP"),
    "webp lossless": lambda: saved(NOISE, "WEBP", lossless=True),
    "webp moving": lambda: saved(NOISE, "WEBP", save_all=True, append_images=[_other()]),
    "gif": lambda: saved(NOISE[:, :, 0], "GIF"),
    "gif moving": lambda: saved(NOISE[:, :, 0], "GIF", save_all=True, append_images=[_other()]),
    "bmp": lambda: bmp(bmp_rows(NOISE), 24, (48, 32)),
    "tiff": lambda: saved(NOISE, "TIFF"),
    "tiff lzw": lambda: saved(NOISE, "TIFF", compression="tiff_lzw"),
    "avif": lambda: saved(NOISE, "AVIF", speed=10),
    "heic": lambda: heic(NOISE),
    "jp2": lambda: saved(NOISE, "JPEG2000"),
    "jp2 bare": lambda: saved(NOISE, "JPEG2000", no_jp2=True),
}


def _other() -> PIL.Image.Image:
    return PIL.Image.fromarray(NOISE[::-1].copy())


def cuts(kind: str, make: Callable[[], bytes]) -> Iterator[Case]:
    """Yield cases of one kind: cut in its head, its middle, near its end, by its last bytes."""
    places: dict[str, Callable[[int], int]] = {
        "in its head": lambda size: min(20, size),
        "in its first tenth": lambda size: size // 10,
        "in half": lambda size: size // 2,
        "in its last tenth": lambda size: size - size // 10,
        "by two bytes": lambda size: size - 2,
    }
    for words, place in places.items():
        yield refused(f"cut {kind} {words}", UNREADABLE, lambda p=place: make()[: p(len(make()))])


def mended_jpeg(share: float, **options: object) -> bytes:
    """Return the first part of a JPEG, with an end marker put behind it."""
    whole = saved(NOISE, "JPEG", **options)
    cut = whole[: int(len(whole) * share)]
    return (cut[:-1] if cut.endswith(b"\xff") else cut) + b"\xff\xd9"


def mended_png(share: float) -> bytes:
    """Return a PNG of a part of its packed pixels, every length and checksum right."""
    packed = zlib.compress(b"".join(b"\0" + row.tobytes() for row in NOISE))
    return framed(head(48, 32), chunk(b"IDAT", packed[: int(len(packed) * share)]))


def mended_webp(*, lossless: bool) -> bytes:
    """Return half a WebP whose lengths say that this is all."""
    whole = saved(NOISE, "WEBP", lossless=lossless)
    return riff((whole[12:16], whole[20 : 20 + (len(whole) - 20) // 2]))


def mended_gif() -> bytes:
    """Return half the coded pixels of a GIF, ended as they should be."""
    whole = saved(NOISE[:, :, 0], "GIF")
    at = whole.index(b"\x2c") + 11  # the first block of pixels
    at += 768 if whole[10] & 0x80 == 0 else 0
    return whole[: at + 1 + whole[at]] + b"\0;"


def with_pixels(packed: bytes) -> bytes:
    """Return a PNG of these packed pixels."""
    return framed(head(48, 32), chunk(b"IDAT", packed))


def flipped(make: Callable[[], bytes], place: Callable[[bytes], int]) -> bytes:
    """Return a file with one bit changed."""
    data = bytearray(make())
    data[place(bytes(data))] ^= 4
    return bytes(data)


def whole_png() -> bytes:
    return png(NOISE, TRUE, before=chunk(b"tEXt", b"Title\0words"))


def mended_jpegs(words: str) -> list[Case]:
    """Return JPEG files that were cut and given an end marker.

    Refused are those whose pixels take fewer bytes than they can: two bits a block, one in a
    progressive file. The others libjpeg itself takes for whole, and so they are accepted
    whatever is checked; docs/images.md states this limit.
    """
    files: dict[str, Callable[[], bytes]] = {
        "cut in half": lambda: mended_jpeg(0.5),
        "progressive cut in half": lambda: mended_jpeg(0.5, progressive=True),
        "cut by a tenth": lambda: mended_jpeg(0.9),
    }
    short: dict[str, Callable[[], bytes]] = {
        "cut at a twentieth": lambda: mended_jpeg(0.2, quality=5),
        "cut to its first pixels": lambda: scan_of(2),
        "progressive cut to its first pixels": lambda: scan_of(0, progressive=True),
        "cut to no pixels": lambda: scan_of(0),
    }
    return [
        *(picture(f"mended jpeg {name}{words}", make, (48, 32)) for name, make in files.items()),
        *(refused(f"mended jpeg {name}{words}", UNREADABLE, make) for name, make in short.items()),
    ]


def scan_of(size: int, **options: object) -> bytes:
    """Return a JPEG whose first scan has so many bytes, and then ends."""
    whole = saved(NOISE, "JPEG", **options)
    start = whole.index(b"\xff\xda")
    start += 2 + int.from_bytes(whole[start + 2 : start + 4], "big")
    return whole[: start + size].removesuffix(b"\xff") + b"\xff\xd9"


MENDED = [
    *mended_jpegs(""),
    refused("mended png cut at a hundredth", UNREADABLE, lambda: mended_png(0.0005)),
    refused("mended png cut in half", UNREADABLE, lambda: mended_png(0.5)),
    refused("mended png pixels that are none", UNREADABLE, lambda: with_pixels(bytes(2000))),
    refused(
        "mended png too few rows",
        UNREADABLE,
        lambda: with_pixels(zlib.compress(bytes(145 * 16))),
    ),
    refused("mended webp cut in half", UNREADABLE, lambda: mended_webp(lossless=False)),
    refused("mended webp lossless cut in half", UNREADABLE, lambda: mended_webp(lossless=True)),
    refused("mended gif cut in half", UNREADABLE, mended_gif),
]
MENDED_JPEGS = mended_jpegs(" of right structure")
DAMAGED = [
    *(
        refused(
            f"damaged png in {name.decode()}",
            UNREADABLE,
            lambda n=name: flipped(whole_png, lambda data: data.index(n) + 5),
        )
        for name in (b"IHDR", b"tEXt", b"IDAT", b"IEND")
    ),
    refused(
        "damaged png end", UNREADABLE, lambda: flipped(whole_png, lambda data: data.index(b"IEND"))
    ),
    refused(
        "damaged jp2 in its head",
        UNREADABLE,
        lambda: flipped(WHOLE["jp2"], lambda data: data.index(b"ihdr") + 1),
    ),
    refused(
        "damaged avif in its head",
        UNREADABLE,
        lambda: flipped(WHOLE["avif"], lambda data: data.index(b"iloc") + 1),
    ),
]
CASES: list[Case] = [
    *(case for kind, make in WHOLE.items() for case in cuts(kind, make)),
    *DAMAGED,
]
