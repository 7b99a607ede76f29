"""Pictures made small enough to be looked at in a terminal."""

from __future__ import annotations

import io
from typing import NamedTuple

import PIL.Image

from vlm_datakit.errors import RowError
from vlm_datakit.images.flat import flattened
from vlm_datakit.images.header import refusing


class Pixels(NamedTuple):
    """A small picture: ``data`` are its pixels, three bytes each, line by line from the top."""

    width: int
    height: int
    data: bytes


def thumbnail(data: bytes, width: int, height: int) -> Pixels | None:
    """Return a picture upright, over white, and no larger than a box; None if it does not decode.

    One that is smaller stays as it is.

    Args:
        data: The bytes of its file.
        width: Of the box, in pixels.
        height: Of the box.
    """
    side = max(width, height)
    try:
        with refusing("$"), PIL.Image.open(io.BytesIO(data)) as image:
            image.draft("RGB", (side, side))  # JPEG alone: decoded small, many times faster
            flat = flattened(image, "$").convert("RGB")
            flat.thumbnail((width, height))
    except RowError:
        return None
    return Pixels(*flat.size, flat.tobytes())
