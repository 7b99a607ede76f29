"""Pictures a little turned, brighter or flatter: the same each time for the same epoch and row.

The size stays, so that token counts known before the training stay true.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

MOST_DEGREES = 10.0
MOST_CHANGE = 0.2  # of brightness and of contrast


@dataclass(frozen=True, slots=True)
class Change:
    """What is done to one picture.

    Args:
        degrees: Counter-clockwise.
        brightness: Factor.
        contrast: Factor.
    """

    degrees: float
    brightness: float
    contrast: float


def draw_change(seed: int, epoch: int, row: int, image: int) -> Change:
    """Draw what is done to a picture, evenly within the limits, from a hash of where it stands.

    Example:
        >>> draw_change(42, 0, 7, 0) == draw_change(42, 0, 7, 0) != draw_change(42, 1, 7, 0)
        True
    """
    place = f"augment/{seed}/{epoch}/{row}/{image}".encode()
    digest = hashlib.blake2b(place, digest_size=24).digest()
    drawn = [int.from_bytes(digest[at : at + 8], "little") / 2**63 - 1 for at in (0, 8, 16)]
    turned, brighter, flatter = drawn
    return Change(MOST_DEGREES * turned, 1 + MOST_CHANGE * brighter, 1 + MOST_CHANGE * flatter)


def altered(seed: int, epoch: int, row: int, number: int, image: Image.Image) -> Image.Image:
    """Return a picture as a showing of its row has it.

    Args:
        seed: Of the run.
        epoch: How often the rows of its folder had been shown before.
        row: Its number in the shards.
        number: Of the picture in its row.
        image: Upright RGB.
    """
    return changed(image, draw_change(seed, epoch, row, number))


def changed(image: Image.Image, change: Change) -> Image.Image:
    """Return a changed copy of a picture, of the same size.

    Args:
        image: Upright RGB. What turning uncovers gets the mean colour of its edge.
        change: See `draw_change`.
    """
    from PIL import Image, ImageEnhance

    turned = image.rotate(
        change.degrees, resample=Image.Resampling.BICUBIC, fillcolor=_edge_colour(image)
    )
    brighter = ImageEnhance.Brightness(turned).enhance(change.brightness)
    return ImageEnhance.Contrast(brighter).enhance(change.contrast)


def _edge_colour(image: Image.Image) -> tuple[int, ...]:
    import numpy as np

    pixels = np.asarray(image)
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return tuple(int(value) for value in edge.mean(axis=0).round())
