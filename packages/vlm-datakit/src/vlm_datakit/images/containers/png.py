"""The walk over a PNG: from chunk to chunk, every checksum recomputed, to IEND.

Source:
    PNG third edition: 5.3 (chunks), 11.2 (IHDR, IDAT, IEND), 11.3.6 (acTL).
    RFC 1951: deflate makes at most 1,032 bytes of one.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from vlm_datakit.images.containers.walk import Broken, Endless, Frame, Walk, broken, part

_HEAD = struct.Struct(">I4s")
_SIGNATURE_BYTES = 8
DEPTH_AT = 24  # offset of the bit depth in a file
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
_MOST_INFLATED = 1_032
_PIECE_BYTES = 1 << 16
# Adam7: first column and row of each pass, and the steps to the next.
_PASSES = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
# A 20 MiB file in pieces of 8 KiB has 2,560; Pillow takes microseconds for each.
_MAX_CHUNKS = 100_000
# Pillow decodes all pixels in search of an orientation behind them.
_TAGS = frozenset({b"eXIf", b"tEXt", b"zTXt", b"iTXt"})
# Chunks that change neither mode nor turn, with the size that Pillow 13.0 reads of them.
_SILENT = {b"IHDR": 13, b"IDAT": None, b"IEND": 0, b"gAMA": 4, b"pHYs": 9, b"sRGB": 1}
_MODES = {(8, 0): "L", (8, 2): "RGB"}  # by depth and colour type
_PIXELS = frozenset({b"IDAT", b"fdAT", b"fcTL", b"acTL"})


class _Chunk(NamedTuple):
    name: bytes
    body: memoryview
    whole: memoryview  # with length, name and checksum


def walk(data: bytes) -> Walk:
    r"""Walk a PNG; bytes behind its end are let be.

    Example:
        >>> walk(b"\x89PNG\r\n\x1a\n").fault
        'cut short: 8 bytes, and a part ends at 16'
    """
    try:
        chunks = list(_chunks(data))
        _check_pixels(chunks)
    except Broken as fault:
        return broken(fault)
    animations = [chunk.body for chunk in chunks if chunk.name == b"acTL"]
    frames = int.from_bytes(animations[0][:4], "big") if animations else 1
    has_tags = any(chunk.name in _TAGS for chunk in chunks)
    head = _without_pixels(data, chunks) if has_tags else None
    return Walk(frames=max(1, frames), head=head, frame=_ordinary(chunks))


def _ordinary(chunks: list[_Chunk]) -> Frame | None:
    """Return what the header chunk says if nothing but pixels and scales stands behind it."""
    for name, body, _ in chunks:
        if name not in _SILENT or _SILENT[name] not in (None, len(body)):
            return None
    width, height, depth, colour = struct.unpack_from(">IIBB", chunks[0].body)
    if not (width and height and (depth, colour) in _MODES):
        return None
    return Frame(width, height, _MODES[depth, colour])


def rows_fault(data: bytes) -> str | None:
    """Inflate the pixels of a whole PNG and say what they lack; decoders leave it black.

    Source:
        PNG third edition: 8.1 (interlacing), 9 (a filter byte before each row).
    """
    try:
        chunks = list(_chunks(data))
        inflated = _inflated(chunk.body for chunk in chunks if chunk.name == b"IDAT")
    except (Broken, zlib.error) as fault:
        return f"{fault}"
    expected = _raw_bytes(chunks[0].body)
    return None if inflated >= expected else f"{inflated:,} of {expected:,} bytes of pixels"


def _inflated(bodies: Iterable[memoryview]) -> int:
    inflate = zlib.decompressobj()
    total = 0
    for body in bodies:
        packed: bytes | memoryview = body
        while packed:
            total += len(inflate.decompress(packed, _PIECE_BYTES))
            packed = inflate.unconsumed_tail
    return total


def _raw_bytes(head: memoryview) -> int:
    """Return what the pixels take unpacked, filter bytes included."""
    width, height = int.from_bytes(head[:4], "big"), int.from_bytes(head[4:8], "big")
    bits = _CHANNELS[head[9]] * head[8]
    total = 0
    for left, top, step_x, step_y in _PASSES if head[12] else ((0, 0, 1, 1),):
        columns, rows = -((left - width) // step_x), -((top - height) // step_y)
        if columns > 0 and rows > 0:
            total += rows * (1 + (columns * bits + 7) // 8)
    return total


def _chunks(data: bytes) -> Iterator[_Chunk]:
    at = _SIGNATURE_BYTES
    for _ in range(_MAX_CHUNKS):
        size, name = _HEAD.unpack(part(data, at, _HEAD.size))
        body = part(data, at + _HEAD.size, size)
        end = at + _HEAD.size + size
        checksum = int.from_bytes(part(data, end, 4), "big")
        if checksum != zlib.crc32(memoryview(data)[at + 4 : end]):
            raise Broken(f"the checksum of the chunk at byte {at} is wrong")
        yield _Chunk(name, body, memoryview(data)[at : end + 4])
        if name == b"IEND":
            return
        at = end + 4
    raise Endless(f"over {_MAX_CHUNKS:,} chunks")


def _check_pixels(chunks: list[_Chunk]) -> None:
    """Hold the compressed pixels to the least that so many can take.

    Raises:
        Broken: without a proper IHDR in front, or with less than that.
    """
    names = [chunk.name for chunk in chunks]
    if b"fdAT" in names and b"IDAT" not in names[: names.index(b"fdAT")]:
        raise Broken("its frames stand before its pixels")
    head = chunks[0].body
    if names[0] != b"IHDR" or len(head) != 13 or head[9] not in _CHANNELS:
        raise Broken("it does not begin with a header chunk")
    if names.count(b"IHDR") > 1 or head[10] or head[11] or head[12] > 1:
        raise Broken("a header of no known method, or more than one")
    width, height = int.from_bytes(head[:4], "big"), int.from_bytes(head[4:8], "big")
    unpacked = width * height * _CHANNELS[head[9]] * head[8] // 8
    packed = sum(len(chunk.body) for chunk in chunks if chunk.name == b"IDAT")
    if not packed or packed * _MOST_INFLATED < unpacked:
        raise Broken(f"pixels are missing: {packed} bytes for {width} x {height}")


def _without_pixels(data: bytes, chunks: list[_Chunk]) -> bytes:
    kept = [chunk.whole for chunk in chunks if chunk.name not in _PIXELS]
    return b"".join([data[:_SIGNATURE_BYTES], *kept])
