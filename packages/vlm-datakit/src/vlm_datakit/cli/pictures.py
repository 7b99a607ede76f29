"""Pictures in a terminal: two pixels to a character, by half blocks in two colours."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from vlm_datakit.images.thumbnail import Pixels

_UPPER, _RESET = "\u2580", "\x1b[0m"
_GAP = 2
_MOST_COLUMNS, _MOST_LINES, _LEAST_COLUMNS = 64, 24, 8
#: How many pictures of a row are drawn, side by side.
MOST_ABREAST = 4
Colour = tuple[int, int, int]
# The levels of the 6 x 6 x 6 cube, and the 24 greys behind it, that xterm brought up.
_LEVELS = (0, 95, 135, 175, 215, 255)
_GREYS = range(8, 239, 10)


class Canvas(NamedTuple):
    """What a terminal can show: columns and lines for a row's pictures, and its colours."""

    columns: int
    lines: int
    has_true_colour: bool

    def box(self, count: int) -> tuple[int, int]:
        """Return the pixels that each of so many pictures side by side may have."""
        abreast = min(count, MOST_ABREAST)
        width = (self.columns - _GAP * (abreast - 1)) // abreast
        return max(_LEAST_COLUMNS, width), 2 * self.lines


def canvas() -> Canvas | None:
    """Return what standard output can show; None where colours are not wanted or not understood."""
    encoding = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "")
    if not sys.stdout.isatty() or encoding != "utf8":
        return None
    return canvas_of(os.environ, shutil.get_terminal_size())


def canvas_of(environment: Mapping[str, str], size: tuple[int, int]) -> Canvas | None:
    """Return what a terminal of so many columns and lines can show, as its variables tell.

    Example:
        >>> canvas_of({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, (80, 24))
        Canvas(columns=64, lines=12, has_true_colour=True)
        >>> canvas_of({"TERM": "xterm", "NO_COLOR": "1"}, (80, 24)) is None
        True
    """
    if environment.get("NO_COLOR") or environment.get("TERM", "dumb") in ("", "dumb"):
        return None
    columns, lines = size
    is_true = environment.get("COLORTERM", "") in ("truecolor", "24bit")
    wide = min(columns - 4, _MOST_COLUMNS)
    if wide < _LEAST_COLUMNS:
        return None
    return Canvas(wide, max(2, min(lines // 2, _MOST_LINES)), is_true)


def drawn(pixels: Pixels, *, has_true_colour: bool) -> list[str]:
    r"""Return a picture as lines of characters, each of two pixels, one above the other.

    A last line of a single pixel leaves what is below it as the terminal has it.

    Args:
        pixels: The picture.
        has_true_colour: Else the nearest of 256 colours are taken.

    Example:
        >>> from vlm_datakit.images.thumbnail import Pixels
        >>> drawn(Pixels(1, 2, bytes([255, 0, 0, 0, 0, 255])), has_true_colour=True)
        ['\x1b[38;2;255;0;0m\x1b[48;2;0;0;255m▀\x1b[0m']
    """
    rows = [_row(pixels, y) for y in range(pixels.height)]
    pairs = zip_longest(rows[::2], rows[1::2])
    return [_line(above, below, has_true_colour=has_true_colour) for above, below in pairs]


def abreast(pictures: Sequence[tuple[int, Sequence[str]]]) -> list[str]:
    """Put pictures side by side.

    Args:
        pictures: Of each, how many columns it takes, and its lines.

    Example:
        >>> abreast([(2, ["ab", "cd"]), (1, ["e"])])
        ['ab  e', 'cd   ']
    """
    blank = [" " * width for width, _ in pictures]
    rows = zip_longest(*(lines for _, lines in pictures))
    gap = " " * _GAP
    return [
        gap.join(line or spaces for line, spaces in zip(row, blank, strict=True)) for row in rows
    ]


def _row(pixels: Pixels, y: int) -> list[Colour]:
    start = 3 * pixels.width * y
    line = pixels.data[start : start + 3 * pixels.width]
    return [(line[x], line[x + 1], line[x + 2]) for x in range(0, len(line), 3)]


def _line(above: list[Colour], below: list[Colour] | None, *, has_true_colour: bool) -> str:
    """Return a line; a colour is said where it changes."""
    spell = _true if has_true_colour else _of_256
    text, last = "", ("", "")
    for x, colour in enumerate(above):
        now = (f"38;{spell(colour)}", f"48;{spell(below[x])}" if below is not None else "")
        text += "".join(
            f"\x1b[{new}m" for new, old in zip(now, last, strict=True) if new and new != old
        )
        text, last = text + _UPPER, now
    return text + _RESET


def _true(colour: Colour) -> str:
    return "2;{};{};{}".format(*colour)


def _of_256(colour: Colour) -> str:
    """Return the nearest colour of the cube, or of the greys."""
    red, green, blue = (_nearest(_LEVELS, value) for value in colour)
    grey = _nearest(_GREYS, sum(colour) / 3)
    of_cube = _distance(colour, (_LEVELS[red], _LEVELS[green], _LEVELS[blue]))
    if _distance(colour, (_GREYS[grey],) * 3) < of_cube:
        return f"5;{232 + grey}"
    return f"5;{16 + 36 * red + 6 * green + blue}"


def _nearest(levels: Sequence[int], value: float) -> int:
    return min(range(len(levels)), key=lambda n: abs(levels[n] - value))


def _distance(one: Colour, other: Colour) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))
