"""Arrays as Python callers pass them: 8-bit values and floats from 0 to 1, nothing guessed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .cases import TOO_LARGE, UNSUPPORTED, Accepted, Built, Case, Reason
from .drawings import SIZE, TURNED, grey, over_white, rgb, with_alpha

ANEW = ("container",)  # an array becomes a PNG
FLOATS = rgb() / 255


def shown(name: str, make: Callable[[], Any], pixels: Callable[[], Any] = rgb, **more: Any) -> Case:
    """Return a case of an array that shows these pixels."""
    size, off_by = more.get("size", SIZE), more.get("off_by", 0)
    return Case(
        f"array {name}",
        "array",
        Accepted(*size, ANEW),
        lambda _: Built(make(), None, pixels(), off_by),
    )


def not_shown(name: str, make: Callable[[], Any], reason: Reason = UNSUPPORTED) -> Case:
    return Case(f"array {name}", "array", reason, lambda _: Built(make()))


def changed(value: float, at: tuple[int, ...] = (3, 3, 1)) -> np.ndarray:
    """Return good floats with one that is not."""
    floats = FLOATS.copy()
    floats[at] = value
    return floats


def frozen() -> np.ndarray:
    pixels = rgb()
    pixels.flags.writeable = False
    return pixels


class Unlike(np.ndarray):
    """An array of a class of its own."""


GOOD = [
    shown("of colours", rgb),
    shown("of greys", grey, grey),
    shown("of one channel", lambda: grey()[:, :, None], grey),
    shown("with alpha", lambda: with_alpha(rgb()), lambda: over_white(with_alpha(rgb())), off_by=1),
    shown("of doubles", lambda: FLOATS),
    shown("of floats", lambda: FLOATS.astype(np.float32)),
    shown("of half floats", lambda: FLOATS.astype(np.float16)),
    shown("of floats of the other order", lambda: FLOATS.astype(">f4")),
    shown("of grey floats", lambda: grey() / 255, grey),
    shown("of grey floats of one channel", lambda: grey()[:, :, None] / 255, grey),
    shown(
        "of floats with alpha",
        lambda: with_alpha(rgb()) / 255,
        lambda: over_white(with_alpha(rgb())),
        off_by=1,
    ),
    shown("of the floats 0 and 1", lambda: (rgb() > 99) * 1.0, lambda: (rgb() > 99) * 255),
    shown("of floats below zero by sign", lambda: rgb() * -0.0, lambda: rgb() * 0),
    shown("in fortran's order", lambda: np.asfortranarray(rgb())),
    shown("read-only", frozen),
    shown("upside down", lambda: rgb()[::-1], lambda: rgb()[::-1]),
    shown("mirrored in its channels", lambda: rgb()[:, :, ::-1], lambda: rgb()[:, :, ::-1]),
    shown("in steps", lambda: np.repeat(rgb(), 2, axis=1)[:, ::2]),
    shown("cut out of a larger one", lambda: np.pad(rgb(), ((3, 3), (3, 3), (0, 0)))[3:-3, 3:-3]),
    shown(
        "turned", lambda: rgb().transpose(1, 0, 2), lambda: rgb().transpose(1, 0, 2), size=TURNED
    ),
    shown("channels moved behind", lambda: np.moveaxis(rgb().transpose(2, 0, 1).copy(), 0, 2)),
    shown(
        "spread from one pixel",
        lambda: np.broadcast_to(np.array([1, 2, 3], np.uint8), (16, 24, 3)),
        lambda: np.full((16, 24, 3), (1, 2, 3)),
    ),
    shown("of a class of its own", lambda: rgb().view(Unlike)),
    shown("on bytes", lambda: np.frombuffer(rgb().tobytes(), np.uint8).reshape(16, 24, 3)),
    shown(
        "of one pixel",
        lambda: np.array([[[1, 2, 3]]], np.uint8),
        lambda: np.array([[[1, 2, 3]]]),
        size=(1, 1),
    ),
]
BAD = [
    not_shown("of bools", lambda: rgb() > 9),
    not_shown("of grey bools", lambda: grey() > 9),
    not_shown("of signed bytes", lambda: (rgb() // 2).astype(np.int8)),
    not_shown("of ints", lambda: rgb().astype(int)),
    not_shown("of ints of 32 bits", lambda: rgb().astype(np.int32)),
    not_shown("of words", lambda: rgb().astype(np.uint16) * 257),
    not_shown("of grey words", lambda: grey().astype(np.uint16) * 257),
    not_shown("of complex numbers", lambda: FLOATS.astype(complex)),
    not_shown("of objects", lambda: rgb().astype(object)),
    not_shown("of texts", lambda: rgb().astype(str)),
    not_shown("of dates", lambda: grey().astype("datetime64[s]")),
    not_shown("of fields", lambda: np.zeros((16, 24), "u1,u1,u1")),
    not_shown("of floats up to 255", lambda: rgb().astype(float)),
    not_shown("of floats a little over 1", lambda: changed(1.0001)),
    not_shown("of floats a little under 0", lambda: changed(-0.0001)),
    not_shown("of floats from -1 to 1", lambda: FLOATS * 2 - 1),
    not_shown("of one float that is none", lambda: changed(np.nan)),
    not_shown("of one endless float", lambda: changed(np.inf)),
    not_shown("of one endless float below", lambda: changed(-np.inf)),
    not_shown("of nothing but nan", lambda: np.full((16, 24), np.nan)),
    not_shown("channels first", lambda: rgb().transpose(2, 0, 1)),
    not_shown("of two channels", lambda: rgb()[:, :, :2]),
    not_shown("of five channels", lambda: np.zeros((16, 24, 5), np.uint8)),
    not_shown("of a batch", lambda: rgb()[None]),
    not_shown("of a line", lambda: np.zeros(24, np.uint8)),
    not_shown("of no dimension", lambda: np.array(7, np.uint8)),
    not_shown("a number", lambda: np.uint8(7)),
    not_shown("of nothing", lambda: np.zeros(0, np.uint8)),
    not_shown("without rows", lambda: np.zeros((0, 24, 3), np.uint8)),
    not_shown("without columns", lambda: np.zeros((16, 0, 3), np.uint8)),
    not_shown("without channels", lambda: np.zeros((16, 24, 0), np.uint8)),
    not_shown("of an object", lambda: np.array(None, object)),
    not_shown("of a side too long", lambda: spread(65_536, 400), TOO_LARGE),
    not_shown("one pixel too many", lambda: spread(12_000, 10_001), TOO_LARGE),
    not_shown("of 2 to the 60 pixels", lambda: spread(1 << 30, 1 << 30), TOO_LARGE),
    not_shown("too narrow", lambda: spread(201, 1), TOO_LARGE),
]


def spread(width: int, height: int) -> np.ndarray:
    """Return an array of that shape, made of one byte."""
    return np.broadcast_to(np.uint8(0), (height, width))


CASES: list[Case] = [*GOOD, *BAD]
