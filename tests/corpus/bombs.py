"""Small files that cost much: in pixels, parts, passes, packed text, directories."""

from __future__ import annotations

import functools
import struct
import zlib

import numpy as np
import PIL.Image

from . import bmps
from .cases import TOO_LARGE, UNREADABLE, Built, Case, picture, refused, uri
from .drawings import chunk, noise, rgb, riff, saved, segment
from .jpegs import MIB, flat_blocks, large, photo, with_segments
from .lies import box, entry, frame_header, grey_tiff, patched, tiff
from .newer import avif, heic, jp2
from .png_writer import GREY, INDEXED, TRUE, TRUE_ALPHA, black, framed, head, png
from .webps import FRAME_PIXEL, GREYS, dots, webp

FEW = zlib.compress(bytes(9))


def claim(width: int, height: int) -> bytes:
    """Return a PNG of a header that claims a size, and hardly a pixel."""
    return framed(head(width, height), chunk(b"IDAT", FEW))


def screen(width: int, height: int) -> bytes:
    """Return a GIF of one dot on a screen of any size."""
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + GREYS + FRAME_PIXEL + b";"


def canvas(width: int, height: int) -> bytes:
    """Return a WebP whose canvas claims a size."""
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    plain = webp()
    return riff((b"VP8X", bytes(4) + sides), (b"VP8 ", plain[20:]))


def packed_text(kind: bytes, size: int = 400 * MIB) -> bytes:
    """Return a PNG of a chunk that unpacks to hundreds of MiB."""
    return png(rgb(), TRUE, before=chunk(kind, _TEXT_HEADS[kind] + _zeros(size)))


_TEXT_HEADS = {b"iCCP": b"s\0\0", b"zTXt": b"Comment\0\0", b"iTXt": b"Comment\0\1\0\0\0"}


@functools.cache
def _zeros(size: int) -> bytes:
    packer = zlib.compressobj(9)
    return b"".join([*(packer.compress(bytes(MIB)) for _ in range(size // MIB)), packer.flush()])


def scans(count: int) -> bytes:
    """Return a progressive JPEG of 4 megapixels that is painted over again and again."""
    whole = saved(np.zeros((2000, 2000), np.uint8), "JPEG", progressive=True)
    last = whole.rindex(b"\xff\xda")
    return whole[:-2] + whole[last:-2] * count + whole[-2:]


def directories(count: int, size: int) -> bytes:
    """Return a TIFF directory of entries that each claim the whole file as theirs."""
    entries = [entry(tag, 7, size, 0) for tag in range(1000, 1000 + count)]
    return tiff(*entries, behind=bytes(max(0, size - 14 - 12 * count)))


def tiff_of_entries() -> bytes:
    """Return a picture that follows 60,000 entries, each as large as the file."""
    plain = grey_tiff()
    count = 60_000
    entries = b"".join(entry(tag, 7, 5 * MIB, 0) for tag in range(1000, 1000 + count))
    known = plain[10 : 10 + 9 * 12]
    known = known.replace(entry(273, 4, 1, 200), entry(273, 4, 1, 4 * MIB))
    body = struct.pack("<H", count + 9) + known + entries + bytes(4)
    return (b"II*\0\x08\0\0\0" + body).ljust(5 * MIB, b"\0")


def runs_of_empty_rows(width: int, height: int, *, jumps: bool) -> bytes:
    """Return a BMP of run lengths: a dot in each row, or jumps over all of them."""
    greys = b"".join(bytes([n, n, n, 0]) for n in range(256))
    rows = b"\1\1\0\0" * height
    if jumps:
        rows = (b"\0\2\0" + bytes([200])) * (height // 200) + b"\0\1"
    return bmps.bmp(rows, 8, (width, height), coding=1, palette=greys)


def packed_tiff(width: int, height: int) -> bytes:
    """Return a TIFF of zeros with alpha, packed to a thousandth."""
    image = PIL.Image.new("RGBA", (width, height))
    return saved(image, "TIFF", compression="tiff_adobe_deflate")


def too_large(name: str, make: object) -> Case:
    return refused(f"bomb {name}", TOO_LARGE, make)  # type: ignore[arg-type]


def endless(name: str, make: object) -> Case:
    return refused(f"bomb {name}", UNREADABLE, make)  # type: ignore[arg-type]


CLAIMS = [
    too_large("png of 50000 x 50000", lambda: claim(50_000, 50_000)),
    too_large("png one pixel too many", lambda: claim(12_000, 10_001)),
    too_large("png of a side too long", lambda: claim(65_536, 400)),
    too_large("png of 201 to 1", lambda: claim(201, 1)),
    too_large("png of 1 to 201", lambda: claim(1, 201)),
    too_large("png strip a pixel too long", lambda: claim(2001, 10)),
    too_large("jpeg of 65535 x 65535", lambda: frame_header(width=65_535, height=65_535)),
    too_large("jpeg of 201 to 1", lambda: saved(rgb(201, 1), "JPEG")),
    too_large("jpeg over 120 megapixels", lambda: flat_blocks(12_000, 10_016)),
    too_large("gif of 65535 x 65535", lambda: screen(65_535, 65_535)),
    too_large("gif of 65535 x 1", lambda: screen(65_535, 1)),
    too_large("webp of 16 million squared", lambda: canvas(1 << 24, 1 << 24)),
    too_large("webp of 16383 x 16383", lambda: patched(webp(), 26, b"\xff\x3f\xff\x3f")),
    too_large("bmp of 2 billion squared", lambda: bmps.bmp(bytes(99), 24, (2**31 - 1, 2**31 - 1))),
    too_large("bmp of -2 billion rows", lambda: bmps.bmp(bytes(99), 24, (99, -(2**31)))),
    too_large("tiff of 4 billion", lambda: grey_tiff(width=(4, 1, 2**32 - 1))),
    too_large(
        "tiff of 60000 x 60000", lambda: grey_tiff(width=(3, 1, 60_000), height=(3, 1, 60_000))
    ),
    endless(
        "avif of 60000 x 60000", lambda: box(avif(), b"ispe", 8, struct.pack(">II", 60_000, 60_000))
    ),
    too_large(
        "heic of 60000 x 60000",
        lambda: box(heic(noise(64, 64)), b"ispe", 8, struct.pack(">II", 60_000, 60_000)),
    ),
    too_large(
        "jp2 of 60000 x 60000", lambda: box(jp2(), b"ihdr", 4, struct.pack(">II", 60_000, 60_000))
    ),
    too_large("jp2 bare of 4 billion", lambda: box(jp2(no_jp2=True), b"\xff\x51", 6, b"\xff" * 8)),
]
FILES = [
    too_large("jpeg of a byte over 20 MiB", lambda: large(20 * MIB + 1)),
    too_large("png of 21 MiB", lambda: png(rgb(), TRUE).ljust(21 * MIB, b"\0")),
    Case(
        "bomb uri of a byte over 20 MiB",
        "bomb",
        TOO_LARGE,
        lambda _: Built(uri(large(20 * MIB + 1))),
    ),
]
DECODED = [
    too_large("png of 100 megapixels with alpha", lambda: black(10_000, 10_000, 8, TRUE_ALPHA)),
    too_large("png palette of 100 megapixels", lambda: black(10_000, 10_000, 8, INDEXED)),
    too_large("png palette of 1 bit", lambda: black(10_000, 10_000, 1, INDEXED)),
    too_large("png of 16 bits", lambda: black(10_000, 10_000, 16, TRUE)),
    too_large("tiff of 100 megapixels", lambda: packed_tiff(10_000, 10_000)),
    too_large("gif of 10000 x 10000", lambda: screen(10_000, 10_000)),
    too_large("webp on a canvas of 10000 x 10000", lambda: canvas(10_000, 10_000)),
    too_large(
        "bmp of 5 MiB of run lengths",
        lambda: bmps.bmp(b"\1\1" * (5 * MIB // 2), 8, (2000, 1310), coding=1, palette=bytes(1024)),
    ),
    picture(
        "bomb png of 1 bit, 30 megapixels",
        lambda: black(6_000, 5_000, 1, GREY),
        (6_000, 5_000),
        "depth",
    ),
]
PARTS = [
    endless("jpeg of 1001 segments", lambda: with_segments(segment(0xFE, b"a") * 1_001)),
    endless(
        "jpeg of 1001 exifs",
        lambda: with_segments(segment(0xE1, b"Exif\0\0" + bytes(9_000)) * 1_001),
    ),
    endless("jpeg of 100 scans", lambda: scans(100)),
    endless("jpeg of 10000 scans", lambda: scans(10_000)),
    endless(
        "png of 100001 chunks", lambda: png(rgb(), TRUE, before=chunk(b"tEXt", b"a\0b") * 100_001)
    ),
    endless(
        "webp of 100001 chunks", lambda: riff(*[(b"abcd", b"")] * 100_001, (b"VP8 ", webp()[20:]))
    ),
    endless("png text of 400 MiB", lambda: packed_text(b"zTXt")),
    endless("png text of 400 MiB in unicode", lambda: packed_text(b"iTXt")),
    endless("png profile of 400 MiB", lambda: packed_text(b"iCCP")),
    endless(
        "png of 100 texts of 1 MB",
        lambda: png(rgb(), TRUE, before=chunk(b"zTXt", b"a\0\0" + _zeros(MIB)) * 100),
    ),
    endless("tiff of 2000 entries", lambda: directories(2_000, MIB)),
    picture(
        "bomb exif of 5000 entries",
        lambda: photo(exif=b"Exif\0\0" + directories(5_000, 65_000)),
        (24, 16),
    ),
    picture(
        "bomb png exif of 60000 entries",
        lambda: png(rgb(), TRUE, before=chunk(b"eXIf", directories(60_000, 5 * MIB))),
        (24, 16),
    ),
    picture(
        "bomb webp exif of 60000 entries", lambda: webp(exif=directories(60_000, 5 * MIB)), (24, 16)
    ),
    picture(
        "bomb tiff of 60000 entries",
        tiff_of_entries,
        (24, 16),
        "container",
        pixels=np.zeros((16, 24)),
    ),
    picture(
        "bomb gif of 100000 frames",
        lambda: dots(100_000),
        (1, 1),
        "palette",
        "frames",
        "container",
        pixels=np.zeros((1, 1)),
    ),
]
RUNS = [
    too_large("bmp of jumps", lambda: runs_of_empty_rows(12_000, 10_000, jumps=True)),
    picture(
        "bomb bmp of short rows",
        lambda: runs_of_empty_rows(4_000, 4_000, jumps=False),
        (4_000, 4_000),
        "container",
    ),
]
CASES: list[Case] = [*CLAIMS, *FILES, *PARTS]
