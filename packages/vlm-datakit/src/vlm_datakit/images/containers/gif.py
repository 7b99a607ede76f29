"""The walk over a GIF: every block to the end of its data.

Source:
    GIF89a specification: 18 to 26 (screen, images, data sub-blocks, extensions, trailer).
"""

from __future__ import annotations

from vlm_datakit.images.containers.walk import Broken, Walk, broken, part

_SCREEN_BYTES, _IMAGE_BYTES = 13, 10
_IMAGE, _EXTENSION, _TRAILER = 0x2C, 0x21, 0x3B


def walk(data: bytes) -> Walk:
    """Walk a GIF. Many lack the trailer; then the last whole block is their end.

    Example:
        >>> walk(b"GIF89a" + bytes(7)).fault
        'no picture in it'
    """
    try:
        frames = _frames(data)
    except Broken as fault:
        return broken(fault)
    return Walk(frames=frames) if frames else Walk("no picture in it")


def _frames(data: bytes) -> int:
    screen = part(data, 0, _SCREEN_BYTES)
    at, frames = _SCREEN_BYTES + _colours(screen[10]), 0
    while at < len(data) and data[at] != _TRAILER:
        if data[at] == _IMAGE:
            frames += 1
            image = part(data, at, _IMAGE_BYTES)
            at = _end_of_blocks(data, at + _IMAGE_BYTES + _colours(image[9]) + 1)
        elif data[at] == _EXTENSION:
            at = _end_of_blocks(data, at + 2)
        elif frames:
            break  # what readers take for the end as well
        else:
            raise Broken(f"no block begins at byte {at}")
    return frames


def _colours(flags: int) -> int:
    """Return the bytes of a colour table, from the flags that announce it."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _end_of_blocks(data: bytes, at: int) -> int:
    while True:
        size = part(data, at, 1)[0]
        at += size + 1
        if not size:
            return at
