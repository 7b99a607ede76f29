"""The walk over a WebP: the RIFF length, every chunk, the frames.

Source:
    RFC 9649: 2.3 to 2.7 (RIFF, chunks, canvas, animation), 3.4 (VP8L). RFC 6386, 9.1 (VP8).
"""

from __future__ import annotations

from collections.abc import Iterator

from vlm_datakit.images.containers.walk import Broken, Endless, Walk, broken, part

_RIFF_BYTES = 12
_VP8_TAG_BYTES = 10  # frame tag, start code, width and height
_SIDE = 0x3FFF  # the bits of a width or height in VP8 and VP8L
_MAX_CHUNKS = 100_000


def walk(data: bytes) -> Walk:
    r"""Walk a WebP; bytes behind its end are let be.

    Example:
        >>> walk(b"RIFF\x04\0\0\0WEBP").fault
        'no picture in it'
    """
    names, canvas = list[bytes](), None
    try:
        for name, body in _chunks(data):
            _check(name, body)
            canvas = canvas or _canvas(name, body)
            names.append(name)
    except Broken as fault:
        return broken(fault)._replace(canvas=canvas)
    frames = names.count(b"ANMF")
    if not frames and not {b"VP8 ", b"VP8L"} & set(names):
        return Walk("no picture in it", canvas=canvas)
    return Walk(frames=max(1, frames), canvas=canvas)


def _canvas(name: bytes, body: memoryview) -> tuple[int, int] | None:
    """Return width and height as the chunk states them that comes first and has them."""
    if name == b"VP8X" and len(body) >= 10:
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if name == b"VP8 ":
        sizes = int.from_bytes(body[6:8], "little"), int.from_bytes(body[8:10], "little")
        return sizes[0] & _SIDE, sizes[1] & _SIDE
    if name == b"VP8L" and len(body) >= 5:
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & _SIDE), 1 + (bits >> 14 & _SIDE)
    return None


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    end = 8 + int.from_bytes(part(data, 4, 4), "little")
    part(data, 0, end)
    at = _RIFF_BYTES
    for _ in range(_MAX_CHUNKS):
        if at + 8 > end:
            return
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + size > end:
            raise Broken(f"the chunk at byte {at} ends behind the file")
        yield name, part(data, at + 8, size)
        at += 8 + size + size % 2
    raise Endless(f"over {_MAX_CHUNKS:,} chunks")


def _check(name: bytes, body: memoryview) -> None:
    if name == b"VP8 ":
        if len(body) < _VP8_TAG_BYTES:
            raise Broken("a picture of 0 pixels")
        first_partition = int.from_bytes(body[:3], "little") >> 5
        if _VP8_TAG_BYTES + first_partition > len(body):
            raise Broken("the pixels end behind their chunk")
