"""The walk over a WebP: the RIFF length, every chunk, the frames.

Source:
    RFC 9649: 2.3 to 2.7 (RIFF, chunks, animation). RFC 6386, 9.1 (the frame tag of VP8).
"""

from __future__ import annotations

from collections.abc import Iterator

from vlm_datakit.images.containers.walk import Broken, Endless, Walk, broken, part

_RIFF_BYTES = 12
_VP8_TAG_BYTES = 10  # frame tag, start code, width and height
_MAX_CHUNKS = 100_000


def walk(data: bytes) -> Walk:
    r"""Walk a WebP; bytes behind its end are let be.

    Example:
        >>> walk(b"RIFF\x04\0\0\0WEBP").fault
        'no picture in it'
    """
    try:
        names = [_checked(name, body) for name, body in _chunks(data)]
    except Broken as fault:
        return broken(fault)
    frames = names.count(b"ANMF")
    if not frames and not {b"VP8 ", b"VP8L"} & set(names):
        return Walk("no picture in it")
    return Walk(frames=max(1, frames))


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


def _checked(name: bytes, body: memoryview) -> bytes:
    if name == b"VP8 ":
        if len(body) < _VP8_TAG_BYTES:
            raise Broken("a picture of 0 pixels")
        first_partition = int.from_bytes(body[:3], "little") >> 5
        if _VP8_TAG_BYTES + first_partition > len(body):
            raise Broken("the pixels end behind their chunk")
    return name
