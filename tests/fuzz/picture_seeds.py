"""Small whole pictures of every kind, made with Pillow on the spot: what mutations start from."""

from __future__ import annotations

import io
import itertools
import re
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import PIL.Image
import PIL.ImageCms
import PIL.PngImagePlugin
import pillow_heif

HEAD_BYTES = 400  # where sizes are looked for
SPANS_MAX = 64


@dataclass(frozen=True, slots=True)
class Seed:
    """A picture file and what a mutator aims at.

    ``spans`` are its chunks, segments, boxes or tags; ``sizes`` the places (offset, bytes,
    byte order) where its width or height seems to stand.
    """

    name: str
    data: bytes
    spans: tuple[tuple[int, int], ...]
    sizes: tuple[tuple[int, int, str], ...]


def drawn(mode: str, width: int = 23, height: int = 17) -> PIL.Image.Image:
    """Return a picture with slopes and edges, see-through in part where the mode can."""
    bands = [
        PIL.Image.linear_gradient("L").resize((width, height)).rotate(90 * turn)
        for turn in range(4)
    ]
    if mode in ("1", "L", "P", "I", "F"):
        return bands[1].convert(mode)
    if mode == "I;16":
        return bands[1].convert("I").point(lambda value: value * 257).convert("I;16")
    if mode == "LA":
        return PIL.Image.merge(mode, bands[:2])
    if mode in ("RGBA", "CMYK"):
        return PIL.Image.merge(mode, bands)
    rgb = PIL.Image.merge("RGB", bands[:3])
    return rgb if mode == "RGB" else rgb.convert(mode)


def saved(image: PIL.Image.Image, kind: str, **options: Any) -> bytes:
    """Return what Pillow writes."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def turned(orientation: int) -> PIL.Image.Exif:
    """Return Exif with that orientation and a text."""
    tags = PIL.Image.Exif()
    tags[0x0112] = orientation
    tags[0x010E] = "words"
    return tags


def jpegs() -> Iterator[tuple[str, bytes]]:
    rgb, profile = drawn("RGB"), PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB"))
    write = partial(saved, rgb, "JPEG")
    yield "jpeg", write()
    yield "jpeg-grey", saved(drawn("L", 16, 9), "JPEG")
    yield "jpeg-cmyk", saved(drawn("CMYK"), "JPEG")
    yield "jpeg-progressive", write(progressive=True)
    yield "jpeg-progressive-grey", saved(drawn("L"), "JPEG", progressive=True)
    yield "jpeg-444", write(subsampling=0, quality=95, optimize=True)
    yield "jpeg-restarts", write(restart_marker_blocks=1)
    yield "jpeg-profile", write(icc_profile=profile.tobytes(), comment=b"words")
    yield "jpeg-xmp", write(xmp=b"<x:xmpmeta/>", dpi=(72, 72))
    yield "jpeg-mpo", saved(rgb, "MPO", save_all=True, append_images=[drawn("RGB", 9, 8)])
    for orientation in range(1, 9):
        yield f"jpeg-exif-{orientation}", write(exif=turned(orientation))


def pngs() -> Iterator[tuple[str, bytes]]:
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        yield f"png-{mode}", saved(drawn(mode), "PNG")
    rgb = drawn("RGB")
    info = PIL.PngImagePlugin.PngInfo()
    info.add_text("words", "many")
    info.add_text("packed", "many words " * 9, zip=True)
    info.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta tiff:Orientation='6'/>")
    profile = PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB")).tobytes()
    yield "png-texts", saved(rgb, "PNG", pnginfo=info, dpi=(72, 72))
    yield "png-exif", saved(rgb, "PNG", exif=turned(6))
    yield "png-profile", saved(rgb, "PNG", icc_profile=profile)
    yield "png-clear-rgb", saved(rgb, "PNG", transparency=(0, 0, 0))
    yield "png-clear-grey", saved(drawn("L"), "PNG", transparency=0)
    yield "png-clear-p", saved(drawn("P"), "PNG", transparency=bytes(range(0, 250, 10)))
    yield "png-2-bits", saved(drawn("L").quantize(4), "PNG", bits=2)
    yield "png-one-pixel", saved(drawn("RGB", 1, 1), "PNG")
    frames = [drawn(mode).convert("RGBA") for mode in ("RGBA", "L", "1")]
    yield "png-animated", saved(frames[0], "PNG", save_all=True, append_images=frames[1:])
    yield (
        "png-animated-default",
        saved(frames[0], "PNG", save_all=True, append_images=frames[1:], default_image=True),
    )
    yield "png-interlaced", raw_png((8, 8, 8, 2, 0, 0, 1), interlaced_rows())
    yield "png-16-rgb", raw_png((9, 8, 16, 2, 0, 0, 0), bytes(8 * (1 + 9 * 6)))
    yield "png-16-la", raw_png((9, 8, 16, 4, 0, 0, 0), bytes(range(8 * (1 + 9 * 4) % 256)) * 2)


def raw_png(head: tuple[int, ...], rows: bytes) -> bytes:
    """Return a PNG of kinds that Pillow does not write."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", *head)), (b"IDAT", zlib.compress(rows))]
    chunks = [
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in [*parts, (b"IEND", b"")]
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def interlaced_rows() -> bytes:
    """Return the rows of an 8 x 8 RGB picture in the seven passes of Adam7."""
    passes = [(1, 1), (1, 1), (2, 1), (2, 2), (4, 2), (4, 4), (8, 4)]
    return b"".join(bytes([0, *range(3 * across)]) * down for across, down in passes)


def webps() -> Iterator[tuple[str, bytes]]:
    rgb, clear = drawn("RGB"), drawn("RGBA")
    yield "webp", saved(rgb, "WEBP")
    yield "webp-lossless", saved(rgb, "WEBP", lossless=True)
    yield "webp-clear", saved(clear, "WEBP")
    yield "webp-clear-lossless", saved(clear, "WEBP", lossless=True)
    yield "webp-exif", saved(rgb, "WEBP", exif=turned(8), xmp=b"<x:xmpmeta/>")
    frames = [drawn("L").convert("RGB"), drawn("1").convert("RGB")]
    yield "webp-animated", saved(rgb, "WEBP", save_all=True, append_images=frames)
    yield "webp-animated-lossless", saved(clear, "WEBP", save_all=True, append_images=frames)


def tiffs() -> Iterator[tuple[str, bytes]]:
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "LAB", "YCbCr", "I;16", "I", "F"):
        yield f"tiff-{mode}", saved(drawn(mode), "TIFF")
    rgb = drawn("RGB")
    for coding in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "lzma", "zstd"):
        yield f"tiff-{coding}", saved(rgb, "TIFF", compression=coding)
    for coding in ("group3", "group4", "tiff_ccitt"):
        yield f"tiff-{coding}", saved(drawn("1"), "TIFF", compression=coding)
    yield "tiff-strips", saved(rgb, "TIFF", tiffinfo={278: 4}, compression="tiff_lzw")
    yield "tiff-turned", saved(rgb, "TIFF", exif=turned(6))
    yield "tiff-pages", saved(rgb, "TIFF", save_all=True, append_images=[drawn("L")])
    yield "tiff-big", saved(rgb, "TIFF", big_tiff=True)
    yield "tiff-mm", big_endian_tiff()


def big_endian_tiff() -> bytes:
    """Return an 8 x 8 grey TIFF of the other byte order."""
    tags = [(256, 3, 8), (257, 3, 8), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 110)]
    tags += [(277, 3, 1), (279, 4, 64)]
    entries = [
        struct.pack(">HHI", tag, kind, 1) + struct.pack(">HH" if kind == 3 else ">I", *value)
        for tag, kind, number in tags
        for value in [(number, 0) if kind == 3 else (number,)]
    ]
    head = b"MM\0*" + struct.pack(">IH", 8, len(tags)) + b"".join(entries) + bytes(4)
    return head.ljust(110, b"\0") + bytes(range(64))


def others() -> Iterator[tuple[str, bytes]]:
    rgb, grey = drawn("RGB"), drawn("L")
    frames = [grey.quantize(16), drawn("1").convert("P")]
    yield "gif", saved(rgb.quantize(64), "GIF")
    yield "gif-clear", saved(drawn("RGBA").quantize(32), "GIF", transparency=0)
    yield "gif-animated", saved(frames[0], "GIF", save_all=True, append_images=frames, loop=0)
    yield "gif-interlaced", saved(grey, "GIF", interlace=1, comment=b"words")
    for mode in ("1", "L", "P", "RGB", "RGBA"):
        yield f"bmp-{mode}", saved(drawn(mode), "BMP")
    yield "bmp-run-lengths", run_length_bmp()
    for mode in ("L", "RGB", "RGBA"):
        yield f"avif-{mode}", saved(drawn(mode, 16, 16), "AVIF", speed=10)
    yield "avif-exif", saved(rgb, "AVIF", exif=turned(6), speed=10)
    yield "avif-animated", saved(rgb, "AVIF", save_all=True, append_images=[rgb], speed=10)
    for mode in ("L", "LA", "RGB", "RGBA", "I;16"):
        yield f"jp2-{mode}", saved(drawn(mode, 16, 16), "JPEG2000")
    yield "jp2-bare", saved(rgb, "JPEG2000", no_jp2=True)
    yield "jp2-tiles", saved(rgb, "JPEG2000", tile_size=(8, 8), irreversible=True)


def heics() -> Iterator[tuple[str, bytes]]:
    for mode in ("L", "RGB", "RGBA"):
        yield f"heic-{mode}", heic(drawn(mode, 16, 16))
    yield "heic-odd", heic(drawn("RGB"))
    yield "heic-turned", heic(drawn("RGB"), exif=turned(6).tobytes())
    two = pillow_heif.from_pillow(drawn("RGB"))
    two.add_from_pillow(drawn("L"))
    file = io.BytesIO()
    two.save(file)
    yield "heic-two", file.getvalue()


def heic(image: PIL.Image.Image, **options: Any) -> bytes:
    """Return what pillow-heif writes, without making it one of Pillow's plugins."""
    file = io.BytesIO()
    pillow_heif.from_pillow(image).save(file, quality=60, **options)
    return file.getvalue()


def run_length_bmp() -> bytes:
    """Return an 8 x 8 BMP of run lengths, with a jump and an end."""
    runs = b"".join(bytes([8, row, 0, 0]) for row in range(6)) + b"\0\2\1\1\3\7\0\1"
    palette = b"".join(bytes([n, n, n, 0]) for n in range(256))
    head = struct.pack("<IIIHHIIIIII", 40, 8, 8, 1, 8, 1, len(runs), 0, 0, 256, 0)
    start = 14 + len(head) + len(palette)
    return struct.pack("<2sIII", b"BM", start + len(runs), 0, start) + head + palette + runs


def made() -> list[Seed]:
    """Return all seeds, always in the same order."""
    kinds: Iterable[Iterator[tuple[str, bytes]]] = (
        *(jpegs(), pngs(), webps(), tiffs(), others(), heics()),
    )
    return [
        Seed(name, data, tuple(spans_of(data))[:SPANS_MAX], tuple(sizes_of(data)))
        for kind in kinds
        for name, data in kind
    ]


def opened(data: bytes) -> PIL.Image.Image:
    """Open a picture as a reader does that has pillow-heif."""
    try:
        return PIL.Image.open(io.BytesIO(data))
    except PIL.UnidentifiedImageError:
        image: PIL.Image.Image = pillow_heif.HeifImageFile(io.BytesIO(data))
        return image


def spans_of(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield where the parts of a file begin and end, as its kind has parts."""
    if data.startswith(b"\xff\xd8"):
        starts = [m.start() for m in re.finditer(rb"\xff[\xc0-\xfe]", data)] + [len(data)]
        yield from itertools.pairwise(starts)
    elif data.startswith(b"\x89PNG"):
        yield from walked(data, 8, ">I4x", 12)
    elif data.startswith(b"RIFF"):
        yield from walked(data, 12, "<4xI", 8)
    elif data[4:8] in (b"ftyp", b"jP  "):
        yield from walked(data, 0, ">I4x", 0)
        inner = data.find(b"meta") + 8 if b"meta" in data else data.find(b"jp2h") + 4
        yield from walked(data, inner, ">I4x", 0)
    elif data[:2] in (b"II", b"MM"):
        order = "<" if data[:2] == b"II" else ">"
        at = struct.unpack_from(f"{order}I", data, 4)[0]
        count = struct.unpack_from(f"{order}H", data, at)[0] if at < len(data) - 2 else 0
        yield from [(at + 2 + 12 * n, at + 14 + 12 * n) for n in range(count)]
    else:
        cuts = [0, 2, 6, 10, 13, 14, 18, 26, 30, 54, len(data)]
        yield from itertools.pairwise(cuts)


def walked(data: bytes, at: int, head: str, extra: int) -> Iterator[tuple[int, int]]:
    """Yield chunks that begin with a length; ``extra`` is what the length leaves out."""
    while at + 8 <= len(data):
        size = struct.unpack_from(head, data, at)[0] + extra
        size += size % 2 if head.startswith("<") else 0
        if size < 8 or at + size > len(data):
            return
        yield at, at + size
        at += size


def sizes_of(data: bytes) -> Iterator[tuple[int, int, str]]:
    """Yield places in the head where width, height or either less one seems to stand."""
    with opened(data) as image:
        numbers = {*image.size, *(side - 1 for side in image.size)} - {0}
    for number in sorted(numbers):
        for width in (2, 3, 4):
            for order in ("little", "big"):
                spelled = number.to_bytes(width, order)
                at = data.find(spelled, 0, HEAD_BYTES)
                while at >= 0:
                    yield at, width, order
                    at = data.find(spelled, at + 1, HEAD_BYTES)
