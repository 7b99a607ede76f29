"""Real photos, drawings and scans, from the packages that bring them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import PIL.Image

from .cases import Accepted, Built, Case
from .drawings import over_white

#: Package, file below it, width, height, why it is written anew.
FILES: tuple[tuple[str, str, int, int, tuple[str, ...]], ...] = (
    ("sklearn", "datasets/images/china.jpg", 640, 427, ()),
    ("sklearn", "datasets/images/flower.jpg", 640, 427, ()),
    ("skimage", "data/rocket.jpg", 640, 427, ()),
    ("skimage", "data/retina.jpg", 1411, 1411, ()),
    ("skimage", "data/hubble_deep_field.jpg", 1000, 872, ()),
    ("skimage", "data/astronaut.png", 512, 512, ()),
    ("skimage", "data/chelsea.png", 451, 300, ()),
    ("skimage", "data/coffee.png", 600, 400, ()),
    ("skimage", "data/camera.png", 512, 512, ()),
    ("skimage", "data/cell.png", 550, 660, ()),
    ("skimage", "data/coins.png", 384, 303, ()),
    ("skimage", "data/page.png", 384, 191, ()),
    ("skimage", "data/text.png", 448, 172, ()),
    ("skimage", "data/motorcycle_left.png", 741, 500, ()),
    ("skimage", "data/chessboard_GRAY.png", 200, 200, ()),
    ("skimage", "data/horse.png", 400, 328, ("alpha",)),
    ("skimage", "data/logo.png", 500, 500, ("alpha",)),
    ("skimage", "data/multipage.tif", 10, 15, ("frames", "container")),
    ("skimage", "data/no_time_for_that_tiny.gif", 14, 25, ("palette", "frames", "container")),
)


def photo(package: str, name: str, width: int, height: int, causes: tuple[str, ...]) -> Case:
    """Return a case of a file as a package brings it."""

    def build(folder: Path) -> Built:
        spec = importlib.util.find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        data = (Path(spec.origin).parent / name).read_bytes()
        target = folder / Path(name).name
        target.write_bytes(data)
        return Built(f"{folder.name}/{target.name}", data, _shown(target) if causes else None, 1)

    return Case(f"photo {Path(name).name}", "photo", Accepted(width, height, causes), build)


def _shown(path: Path) -> np.ndarray:
    with PIL.Image.open(path) as image:
        return over_white(np.asarray(image.convert("RGBA")))


CASES: list[Case] = [photo(*facts) for facts in FILES]
