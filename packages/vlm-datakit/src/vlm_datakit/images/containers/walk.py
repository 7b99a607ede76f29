"""What a walk over a picture's container finds, without decoding a pixel.

A decoder may stop quietly where a file was cut; a container says itself where it ends. The
walks go at memory speed and in a bounded number of steps, and come before Pillow, some of
whose readers take quadratic time over many small parts.
"""

from __future__ import annotations

from typing import NamedTuple


class Broken(Exception):  # noqa: N818 - never leaves a walk: it becomes a fault
    """The container is not whole; says in words what is wrong."""


class Endless(Broken):
    """The container has more parts than any real file; no decoder may see it."""


class Frame(NamedTuple):
    """What a head says where it holds nothing else that readers heed; mode in Pillow's names."""

    width_px: int
    height_px: int
    mode: str
    is_progressive: bool = False


class Walk(NamedTuple):
    """What a walk found.

    ``fault`` says what keeps the file from being whole, None if it is. ``is_proof`` is
    whether a whole container is proof enough: False where the pixels are coded in a way
    that not all decoders know, so that only decoding tells. ``head`` is what to open in the
    file's place to read its head, where that is cheaper; with a ``frame`` nothing has to be
    opened. ``canvas`` is width and height where
    a decoder takes the memory of all pixels as soon as it opens a file.
    """

    fault: str | None = None
    frames: int = 1
    is_proof: bool = True
    is_endless: bool = False
    head: bytes | None = None
    canvas: tuple[int, int] | None = None
    frame: Frame | None = None


def broken(fault: Broken) -> Walk:
    """Return the walk that ended in a fault."""
    return Walk(f"{fault}", is_endless=isinstance(fault, Endless))


def part(data: bytes, at: int, size: int) -> memoryview:
    """Return a part of a file without copying it.

    Raises:
        Broken: if the file ends before.
    """
    if at + size > len(data):
        raise Broken(f"cut short: {len(data)} bytes, and a part ends at {at + size}")
    return memoryview(data)[at : at + size]
