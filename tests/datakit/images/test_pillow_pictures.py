"""Pillow's own test pictures: a thousand files, most of them odd, many of them broken.

What is accepted must show a reader the pixels of the original; what is refused must say
why. ``python3 noxfile.py -s tests`` fetches the files.
"""

from __future__ import annotations

import functools
import io
import os
import time
import warnings
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageCms
import PIL.ImageOps
import pytest

from vlm_datakit.conversation import Image
from vlm_datakit.errors import Reason, RowError
from vlm_datakit.images.kind import classify
from vlm_datakit.plan import ImagePolicy, Limits
from vlm_datakit.runner.stages import opener

KEPT = Path(__file__).parents[3] / ".nox" / f"pillow-pictures-{PIL.__version__}"
FOLDER = Path(os.environ.get("VLM_PILLOW_PICTURES") or KEPT)
NAMES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file())
each_picture = pytest.mark.parametrize("name", NAMES or ["none"])
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not NAMES,
        reason="Pillow's test pictures are not here; `python3 noxfile.py -s tests` fetches them",
    ),
]

OPENED = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000")
REFUSALS = {Reason.IMAGE_TOO_LARGE, Reason.IMAGE_TYPE_UNSUPPORTED, Reason.IMAGE_UNREADABLE}
MAX_CPU_S = 5
# Of 255. Exact, but for two roundings: blending with white, and JPEG written once more.
ROUNDED, JPEG_MEAN, JPEG_MOST = 1, 1.5, 32

# Of 1,060 files some 310 are of types that are not opened, and some 60 are broken.
LEAST_ACCEPTED = 690
# Width, height, why it was written anew (nothing: it passed byte for byte); or the refusal.
WELL_KNOWN: dict[str, tuple[int | str, ...] | Reason] = {
    "hopper.jpg": (128, 128),
    "hopper.webp": (128, 128),
    "hopper_gray.jpg": (128, 128),
    "hopper_orientation_6.jpg": (128, 128),
    "hopper_orientation_8.webp": (128, 128),
    "exif_imagemagick_orientation.png": (512, 512),
    "frozenpond.mpo": (640, 480),
    "icc_profile_big.jpg": (425, 250),
    "pil_sample_cmyk.jpg": (100, 100, "colour"),
    "hopper.Lab.tif": (128, 128, "colour", "container"),
    "g4_orientation_6.tif": (590, 88, "depth", "container"),
    "16bit.cropped.tif": (64, 64, "depth", "container"),
    "16bit.cropped.jp2": (64, 64, "depth", "container"),
    "transparent.png": (200, 150, "alpha"),
    "l_trns.png": (64, 64, "alpha"),
    "tRNS_null_1x1.png": (1, 1, "alpha", "palette"),
    "avif/transparency.avif": (64, 64, "alpha", "container"),
    "iss634.gif": (245, 245, "palette", "frames", "container"),
    "iss634.webp": (245, 245, "alpha", "frames"),
    "apng/mode_16bit.png": (128, 64, "alpha", "depth", "frames"),
    "multipage.tiff": (10, 10, "palette", "frames", "container"),
    "i_trns.png": Reason.IMAGE_TYPE_UNSUPPORTED,
    "16bit.s.tif": Reason.IMAGE_TYPE_UNSUPPORTED,
    "10ct_32bit_128.tiff": Reason.IMAGE_TYPE_UNSUPPORTED,
    "hopper.psd": Reason.IMAGE_TYPE_UNSUPPORTED,
    "truncated_image.png": Reason.IMAGE_UNREADABLE,
    "truncated_jpeg.jpg": Reason.IMAGE_UNREADABLE,
    "truncated_end_chunk.png": Reason.IMAGE_UNREADABLE,
    "not_enough_data.jp2": Reason.IMAGE_UNREADABLE,
    "png_decompression_dos.png": Reason.IMAGE_UNREADABLE,
    "decompression_bomb.gif": Reason.IMAGE_TOO_LARGE,
    "bmp/b/reallybig.bmp": Reason.IMAGE_TOO_LARGE,
}

ROUNDED = 1  # blending with white rounds once more

OPENERS = {
    check: opener(Limits(), ImagePolicy(check=check), ()) for check in ("structure", "decode")
}


def outcome(name: str, check: str = "structure") -> Image | Reason:
    """Open a file as bytes of a row: the picture, or why it is refused."""
    try:
        return OPENERS[check](classify((FOLDER / name).read_bytes() or b"\0", "$.image"))
    except RowError as error:
        return error.reason


@functools.cache
def facts(name: str, check: str = "structure") -> tuple[int | str, ...] | Reason:
    """Return size and causes of an accepted file, or the refusal."""
    found = outcome(name, check)
    if isinstance(found, Reason):
        return found
    assert found.rewritten or found.data == (FOLDER / name).read_bytes()
    return (found.width_px, found.height_px, *found.rewritten)


def as_read(data: bytes) -> np.ndarray:
    """Return what a reader sees: upright, RGB."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # damaged metadata
        with PIL.Image.open(io.BytesIO(data)) as image:
            assert image.mode in ("L", "RGB")
            assert getattr(image, "n_frames", 1) == 1 or image.format == "MPO"  # its previews
            return np.asarray(PIL.ImageOps.exif_transpose(image).convert("RGB"))


def opened(data: bytes) -> PIL.Image.Image:
    """Open an original by Pillow alone, or what it has no decoder for by pillow-heif."""
    try:
        return PIL.Image.open(io.BytesIO(data), formats=OPENED)
    except PIL.UnidentifiedImageError:
        from pillow_heif import HeifImageFile

        image: PIL.Image.Image = HeifImageFile(io.BytesIO(data))
        return image


def as_meant(data: bytes) -> tuple[np.ndarray, bool]:
    """Return the pixels of an original by docs/images.md, and whether any is see-through."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with opened(data) as original:
            bits = getattr(original, "tag_v2", {}).get(258, (16,))[0]  # of a scan, perhaps 12
            image = PIL.ImageOps.exif_transpose(original)
    if image.mode.startswith("I;16"):
        values = np.asarray(image.convert("I"))
        white = 2**bits - 1 if bits > 8 else 2**16 - 1
        grey = (values * 255 / white + 0.5).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2), False
    if image.has_transparency_data:
        values = np.asarray(image.convert("RGBA")).astype(float)
        alpha = values[:, :, 3:] / 255
        return np.rint(values[:, :, :3] * alpha + 255 * (1 - alpha)).astype(np.uint8), True
    if image.mode == "CMYK" and (profile := image.info.get("icc_profile")):
        source = PIL.ImageCms.ImageCmsProfile(io.BytesIO(profile))
        srgb = PIL.ImageCms.createProfile("sRGB")
        return np.asarray(
            PIL.ImageCms.profileToProfile(image, source, srgb, outputMode="RGB")
        ), False
    return np.asarray(image.convert("RGB")), False


@each_picture
def test_a_picture_shows_what_it_showed_or_is_refused_for_a_reason(name: str) -> None:
    started = time.process_time()
    found = outcome(name, "decode")

    assert time.process_time() - started < MAX_CPU_S
    if not isinstance(found, Image):
        assert found in REFUSALS
        return
    (expected, is_blended), seen = as_meant((FOLDER / name).read_bytes()), as_read(found.data)
    assert seen.shape == expected.shape == (found.height_px, found.width_px, 3)
    difference = np.abs(seen.astype(int) - expected)
    assert difference.max() <= (ROUNDED if is_blended else 0)


def test_most_of_what_has_a_known_type_is_accepted() -> None:
    accepted = [name for name in NAMES if not isinstance(facts(name), Reason)]

    assert len(accepted) >= LEAST_ACCEPTED


def test_the_container_alone_tells_of_each_what_decoding_tells() -> None:
    by_container = {name: facts(name, "structure") for name in NAMES}

    assert by_container == {name: facts(name, "decode") for name in NAMES}


@pytest.mark.parametrize("name", WELL_KNOWN)
def test_a_well_known_picture_has_its_known_outcome(name: str) -> None:
    assert facts(name) == WELL_KNOWN[name]
