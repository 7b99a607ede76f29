"""Files that say of themselves what is not so: lengths, counts, sizes, offsets, versions."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

from . import bmps
from .cases import TOO_LARGE, UNREADABLE, Case, picture, refused
from .drawings import SIZE, TURNED, chunk, exif, grey, noise, rgb, riff, segment
from .jpegs import photo, with_segments
from .newer import avif, heic, jp2
from .png_writer import GREY, INDEXED, SIGNATURE, TRUE, framed, head, png
from .webps import FRAME_PIXEL, GREYS, gif, webp

PIXELS = chunk(b"IDAT", zlib.compress(bytes(73 * 16)))


def patched(data: bytes, at: int, value: bytes) -> bytes:
    """Return a file with other bytes at a place."""
    return data[:at] + value + data[at + len(value) :]


def entry(tag: int, kind: int, count: int, value: int) -> bytes:
    """Return an entry of a TIFF's directory."""
    return struct.pack("<HHII", tag, kind, count, value)


def tiff(*entries: bytes, behind: bytes = bytes(2000), following: int = 0) -> bytes:
    """Return a TIFF of one directory, its pixels behind."""
    count = struct.pack("<H", len(entries))
    directory = count + b"".join(entries) + struct.pack("<I", following)
    return b"II*\0\x08\0\0\0" + directory + behind


def grey_tiff(**changed: tuple[int, int, int]) -> bytes:
    """Return a grey TIFF of zeros; named entries (kind, count, value) are changed or added."""
    tags = {"width": 256, "height": 257, "bits": 258, "coding": 259, "photometric": 262}
    tags |= {"offsets": 273, "channels": 277, "rows": 278, "counts": 279, "next": 0}
    values = {
        "width": (3, 1, 24),
        "height": (3, 1, 16),
        "bits": (3, 1, 8),
        "coding": (3, 1, 1),
        "photometric": (3, 1, 1),
        "offsets": (4, 1, 200),
        "channels": (3, 1, 1),
        "rows": (3, 1, 16),
        "counts": (4, 1, 384),
    } | changed
    following = values.pop("next", (0, 0, 0))[2]
    entries = [entry(tags[name], *value) for name, value in values.items()]
    return tiff(*entries, following=following)


def frame_header(*, bits: int = 8, width: int = 24, height: int = 16, parts: int = 3) -> bytes:
    """Return a JPEG whose frame header says other than its pixels are."""
    data = photo()
    at = data.index(b"\xff\xc0") + 4
    return patched(data, at, struct.pack(">BHHB", bits, height, width, parts))


def box(data: bytes, name: bytes, offset: int, value: bytes) -> bytes:
    """Change bytes of a box, counted from its name."""
    return patched(data, data.index(name) + offset, value)


def one_dot(screen: tuple[int, int], at: tuple[int, int], size: tuple[int, int]) -> bytes:
    """Return a GIF of one frame, anywhere and of any size, with the pixels of one dot."""
    frame = b"\x2c" + struct.pack("<HHHH", *at, *size) + FRAME_PIXEL[9:]
    return b"GIF89a" + struct.pack("<HHBBB", *screen, 0x80, 0, 0) + GREYS + frame + b";"


def vp8(size: int) -> bytes:
    """Return a WebP whose first part of the pixels says another length."""
    data = webp(noise(48, 32))
    tag = int.from_bytes(data[20:23], "little")
    return patched(data, 20, (tag & 31 | size << 5).to_bytes(3, "little"))


def of(name: str, make: Callable[[], bytes]) -> Case:
    """Return a case that is unreadable."""
    return refused(f"lie {name}", UNREADABLE, make)


JPEG = [
    of("jpeg without pixels", lambda: photo()[: photo().index(b"\xff\xda")] + b"\xff\xd9"),
    of("jpeg of 12 bits", lambda: frame_header(bits=12)),
    of("jpeg of 16 bits", lambda: frame_header(bits=16)),
    of("jpeg of no width", lambda: frame_header(width=0)),
    of("jpeg of no height", lambda: frame_header(height=0)),
    of("jpeg of two channels", lambda: frame_header(parts=2)),
    of("jpeg of 255 channels", lambda: frame_header(parts=255)),
    of("jpeg two frames", lambda: with_segments(photo()[photo().index(b"\xff\xc0") :][:19])),
    of("jpeg segment beyond its end", lambda: patched(photo(), 4, b"\xff\xff")),
    of("jpeg segment of length 0", lambda: patched(photo(), 4, b"\0\0")),
    of("jpeg start marker twice", lambda: b"\xff\xd8" + photo()),
    of("jpeg end marker first", lambda: b"\xff\xd8\xff\xd9" + photo()),
    of("jpeg tables alone", lambda: b"\xff\xd8" + segment(0xDB, bytes(65)) + b"\xff\xd9"),
    of("jpeg in layers", lambda: photo().replace(b"\xff\xc0", b"\xff\xc5")),
    of("jpeg of jpeg ls", lambda: photo().replace(b"\xff\xc0", b"\xff\xf7")),
]
PNG = [
    of("png without pixels", lambda: framed(head(*SIZE))),
    of("png pixel without pixels", lambda: framed(head(1, 1, 4, GREY))),
    of("png of no width", lambda: framed(head(0, 16), PIXELS)),
    of("png of no height", lambda: framed(head(24, 0), PIXELS)),
    refused("lie png of negative width", TOO_LARGE, lambda: framed(head(2**32 - 24, 16), PIXELS)),
    of("png of 3 bits", lambda: framed(head(*SIZE, 3, GREY), PIXELS)),
    of("png of 16-bit palette", lambda: framed(head(*SIZE, 16, INDEXED), PIXELS)),
    of("png of colour type 5", lambda: framed(head(*SIZE, 8, 5), PIXELS)),
    of("png in unknown passes", lambda: framed(head(*SIZE, 8, TRUE, 2), PIXELS)),
    of("png palette forgotten", lambda: framed(head(*SIZE, 8, INDEXED), PIXELS)),
    of("png head not first", lambda: framed(chunk(b"tEXt", b"a\0b"), head(*SIZE), PIXELS)),
    of("png head twice", lambda: framed(head(*SIZE), head(48, 32), PIXELS)),
    of("png head of 12 bytes", lambda: framed(chunk(b"IHDR", head(*SIZE)[8:20]), PIXELS)),
    of("png chunk too long", lambda: patched(png(rgb(), TRUE), 33, b"\0\0\xff\xff")),
    of("png chunk of 2 GiB", lambda: patched(png(rgb(), TRUE), 33, b"\x7f\xff\xff\xff")),
    of("png chunk of 4 GiB", lambda: patched(png(rgb(), TRUE), 33, b"\xff\xff\xff\xff")),
    of("png chunk too short", lambda: patched(png(rgb(), TRUE), 33, b"\0\0\0\x05")),
    of("png signature alone", lambda: SIGNATURE + b"\0\0\0\0"),
    of("png without its end", lambda: png(rgb(), TRUE)[:-12]),
]
WEBP = [
    of("webp longer than its file", lambda: patched(webp(), 4, struct.pack("<I", 1 << 20))),
    of("webp shorter than its pixels", lambda: patched(webp(), 4, struct.pack("<I", 40))),
    of("webp of length 0", lambda: patched(webp(), 4, bytes(4))),
    of("webp chunk beyond its end", lambda: patched(webp(), 16, struct.pack("<I", 1 << 20))),
    of("webp tags alone", lambda: riff((b"VP8X", bytes(10)), (b"EXIF", b"II*\0"))),
    of("webp first part too long", lambda: vp8(100_000)),
    of("webp start code wrong", lambda: patched(webp(), 23, b"\0\0\0")),
    of("webp lossless signature wrong", lambda: patched(webp(lossless=True), 20, b"\0")),
    of("webp pixels of 5 bytes", lambda: riff((b"VP8 ", b"12345"))),
]
GIF = [
    of("gif screen alone", lambda: gif()[:13] + b";"),
    of("gif without a frame", lambda: gif()[: 13 + 768] + b";"),
    of("gif of code size 20", lambda: patched(gif(), 13 + 768 + 10, b"\x14")),
    of("gif unknown block first", lambda: patched(gif(), 13 + 768, b"\x99")),
    of("gif of no pixels", lambda: one_dot((0, 0), (0, 0), (0, 0))),
    of("gif of too few pixels", lambda: one_dot((8, 8), (0, 0), (8, 8))),
    refused(
        "lie gif frame larger than its screen",
        TOO_LARGE,
        lambda: one_dot((1, 1), (0, 0), (60_000, 60_000)),
    ),
    refused(
        "lie gif frame far outside its screen",
        TOO_LARGE,
        lambda: one_dot((1, 1), (65_000, 65_000), (1, 1)),
    ),
]
TIFF = [
    of("tiff without a directory", lambda: tiff(following=0)),
    of("tiff directory beyond its end", lambda: b"II*\0\xff\xff\xff\x7f" + bytes(100)),
    of("tiff directory of 65535 entries", lambda: tiff()[:8] + b"\xff\xff" + bytes(100)),
    of("tiff of no width", lambda: grey_tiff(width=(3, 1, 0))),
    of("tiff without a width", lambda: grey_tiff(width=(99, 1, 0))),
    of("tiff strip beyond its end", lambda: grey_tiff(offsets=(4, 1, 1 << 30))),
    of("tiff strip of 4 GiB", lambda: grey_tiff(counts=(4, 1, 2**32 - 1), coding=(3, 1, 5))),
    of("tiff of two million strips", lambda: grey_tiff(offsets=(4, 2_000_000, 200))),
    of("tiff of 2000 channels", lambda: grey_tiff(channels=(3, 1, 2000))),
    of("tiff of 77 bits", lambda: grey_tiff(bits=(3, 1, 77))),
    of("tiff in unknown coding", lambda: grey_tiff(coding=(3, 1, 61_000))),
    of("tiff lzw that is none", lambda: grey_tiff(coding=(3, 1, 5))),
    of("tiff jpeg that is none", lambda: grey_tiff(coding=(3, 1, 7))),
    picture(
        "lie tiff directory behind itself",
        lambda: grey_tiff(next=(0, 0, 8)),
        SIZE,
        "container",
        pixels=grey() * 0,
    ),
]
BMP = [
    of("bmp pixels beyond its end", lambda: patched(bmps.of_os2(), 10, b"\xff\xff\xff\x7f")),
    of("bmp of no width", lambda: bmps.bmp(bytes(1152), 24, (0, 16))),
    of("bmp of no height", lambda: bmps.bmp(bytes(1152), 24, (24, 0))),
    refused("lie bmp of negative width", TOO_LARGE, lambda: bmps.bmp(bytes(1152), 24, (-24, 16))),
    of("bmp of 7 bits", lambda: bmps.bmp(bytes(1152), 7)),
    of("bmp of unknown coding", lambda: bmps.bmp(bytes(1152), 24, coding=9)),
    of("bmp of jpeg", lambda: bmps.bmp(photo(), 0, coding=4)),
    of("bmp of unknown header", lambda: patched(bmps.of_os2(), 14, b"\x99\0\0\0")),
    of("bmp of too few rows", lambda: bmps.bmp(bytes(1000), 24)),
    of(
        "bmp runs that end early", lambda: bmps.bmp(b"\x18\1\0\1", 8, coding=1, palette=bytes(1024))
    ),
    of("bmp runs that are none", lambda: bmps.bmp(b"", 8, coding=1, palette=bytes(1024))),
]
NEWER = [
    of("avif item beyond its end", lambda: box(avif(), b"iloc", 20, b"\x7f")),
    of("avif without its items", lambda: avif().replace(b"iloc", b"free")),
    of("avif of a film", lambda: avif()[:32] + b"\0\0\0\x08mdat"),
    of("heic without its items", lambda: heic(rgb()).replace(b"iloc", b"free")),
    of("heic without pixels", lambda: heic(rgb())[: heic(rgb()).index(b"mdat") + 4]),
    of("jp2 of no width", lambda: box(jp2(no_jp2=True), b"\xff\x51", 6, bytes(4))),
    of("jp2 without a stream", lambda: jp2().replace(b"jp2c", b"free")),
    of("jp2 box of length 0 first", lambda: patched(jp2(), 12, bytes(4))),
    of("jp2 box of length 3", lambda: patched(jp2(), 12, b"\0\0\0\3")),
    of("jp2 of 16384 channels", lambda: box(jp2(no_jp2=True), b"\xff\x51", 38, b"\x40\0")),
]
TAGS = [
    picture(
        "lie exif beyond its end",
        lambda: photo(exif=b"Exif\0\0II*\0\xff\xff\0\0"),
        SIZE,
    ),
    picture(
        "lie exif of an endless text",
        lambda: photo(exif=b"Exif\0\0" + tiff(entry(0x10E, 2, 2**32 - 1, 8), behind=b"")),
        SIZE,
    ),
    picture(
        "lie exif of itself",
        lambda: photo(exif=b"Exif\0\0" + tiff(entry(0x8769, 4, 1, 8), following=8, behind=b"")),
        SIZE,
    ),
    picture(
        "lie exif orientation of text",
        lambda: photo(exif=b"Exif\0\0" + tiff(entry(0x112, 2, 2, 0x36), behind=b"")),
        SIZE,
        "tags",
        pixels=rgb(),
        off_by=48,
    ),
    picture(
        "lie exif orientation of two numbers",
        lambda: photo(exif=b"Exif\0\0" + tiff(entry(0x112, 3, 2, 0x60006), behind=b"")),
        TURNED,
    ),
    picture("lie profile that is none", lambda: photo(icc_profile=b"\xff" * 65_000), SIZE),
    of("exif in a png of text", lambda: png(rgb(), TRUE, before=chunk(b"eXIf", b"?"))),
    of("exif in a webp of text", lambda: webp(exif=b"no directory")),
    of("exif in two bytes", lambda: webp(exif=exif(1).tobytes()[:2])),
]
CASES: list[Case] = [*JPEG, *PNG, *WEBP, *GIF, *TIFF, *BMP, *NEWER, *TAGS]
