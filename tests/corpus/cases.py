"""A case: what one row holds, which files lie beside it, and the one outcome it must have."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlm_datakit.errors import Reason

UNREADABLE, TOO_LARGE = Reason.IMAGE_UNREADABLE, Reason.IMAGE_TOO_LARGE
UNSUPPORTED, NOT_BASE64 = Reason.IMAGE_TYPE_UNSUPPORTED, Reason.IMAGE_NOT_BASE64
MISSING, OUTSIDE = Reason.IMAGE_FILE_MISSING, Reason.IMAGE_OUTSIDE_ROOT
NOT_A_FILE, FIELD_MISSING = Reason.IMAGE_NOT_A_FILE, Reason.FIELD_MISSING


@dataclass(frozen=True, slots=True)
class Built:
    """What the builder of a case made, for one run.

    ``value`` stands in the row, ``data`` is the picture behind it. ``pixels`` (height, width
    and, unless grey, 3 colours; upright, over white) are what a picture written anew must
    show, each value off by at most ``off_by``.
    """

    value: Any
    data: bytes | None = None
    pixels: Any = None
    off_by: int = 0


@dataclass(frozen=True, slots=True)
class Accepted:
    """A picture of this upright size; byte for byte unless there are causes to rewrite it."""

    width_px: int
    height_px: int
    causes: tuple[str, ...] = ()

    def __str__(self) -> str:
        how = "rewritten" if self.causes else "byte for byte"
        return f"accepted {self.width_px} x {self.height_px}, {how}"


@dataclass(frozen=True, slots=True)
class Case:
    """One row.

    ``build`` is given the case's own folder, inside the folder of the data file and named as
    the case; ``hidden`` are texts that nothing but the row itself may show.
    """

    name: str
    kind: str
    outcome: Accepted | Reason
    build: Callable[[Path], Built]
    hidden: tuple[str, ...] = ()


def stored(folder: Path, data: bytes, name: str = "picture") -> str:
    """Write a file of a case; return its name as a row beside the data file spells it."""
    (folder / name).write_bytes(data)
    return f"{folder.name}/{name}"


def picture(
    name: str, make: Callable[[], bytes], size: tuple[int, int], *causes: str, **expected: Any
) -> Case:
    """Return a case of a picture file that is accepted; the class is the name's first word.

    Args:
        name: ``jpeg grey`` is a case of the class jpeg.
        make: Makes the file.
        size: Upright width and height.
        causes: Why it is written anew.
        expected: ``pixels`` (an array, or a function that makes it) and ``off_by``.
    """

    def build(folder: Path) -> Built:
        pixels, off_by = expected.get("pixels"), expected.get("off_by", 0)
        data = make()
        meant = pixels() if callable(pixels) else pixels
        return Built(stored(folder, data), data, meant, off_by)

    return Case(name, name.partition(" ")[0], Accepted(*size, causes), build)


def refused(name: str, reason: Reason, make: Callable[[], bytes]) -> Case:
    """Return a case of a file that is refused; the class is the name's first word."""

    def build(folder: Path) -> Built:
        data = make()
        return Built(stored(folder, data), data)

    return Case(name, name.partition(" ")[0], reason, build)


def uri(data: bytes, head: str = "data:image/png;base64,") -> str:
    """Return a data URI."""
    return head + base64.b64encode(data).decode()
