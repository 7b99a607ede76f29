"""Whoever decodes a shard sees the same pixels, for every kind of picture a row may bring."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageChops
import PIL.ImageCms
import PIL.ImageOps
import pytest
from skimage import data as photos

new = PIL.Image.new
NO_DIFFERENCE = ((0, 0),) * 3


def photo() -> PIL.Image.Image:
    """Return a real photograph, 60 x 44, colours all over."""
    return PIL.Image.fromarray(photos.astronaut()).resize((60, 44))


def see_through() -> PIL.Image.Image:
    """Return the photograph with a gradient of transparency over it."""
    picture = photo().convert("RGBA")
    picture.putalpha(PIL.Image.linear_gradient("L").resize(picture.size))
    return picture


def deep() -> PIL.Image.Image:
    """Return a 16-bit scan."""
    greys = np.asarray(photo().convert("L")).astype(np.uint16) * 257
    return PIL.Image.fromarray(greys)


def floats() -> PIL.Image.Image:
    """Return a scan of floats from 0 to 1."""
    return PIL.Image.fromarray(np.asarray(photo().convert("L")).astype(np.float32) / 255)


def clear_palette() -> PIL.Image.Image:
    """Return a picture of 16 colours, the first of them transparent."""
    return photo().quantize(16)


def saved(picture: PIL.Image.Image, kind: str, orientation: int = 1, **options: Any) -> bytes:
    if orientation > 1:
        exif = PIL.Image.Exif()
        exif[0x0112] = orientation
        options["exif"] = exif
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def heic() -> bytes:
    """Return the photograph as HEIC."""
    import pillow_heif

    file = io.BytesIO()
    pillow_heif.from_pillow(photo()).save(file, quality=90)
    return file.getvalue()


def still(picture: PIL.Image.Image, kind: str, **options: Any) -> bytes:
    turned = picture.transpose(PIL.Image.Transpose.ROTATE_180)
    return saved(picture, kind, save_all=True, append_images=[turned], **options)


KINDS: dict[str, Callable[[], bytes]] = {
    "JPEG": lambda: saved(photo(), "JPEG"),
    "JPEG, grey": lambda: saved(photo().convert("L"), "JPEG"),
    "JPEG, progressive": lambda: saved(photo(), "JPEG", progressive=True),
    "JPEG, CMYK": lambda: saved(photo().convert("CMYK"), "JPEG", quality=95),
    "JPEG with previews": lambda: still(photo(), "MPO"),
    **{
        f"JPEG, orientation {n}": lambda n=n: saved(photo(), "JPEG", n)  # type: ignore[misc]
        for n in range(2, 9)
    },
    "PNG": lambda: saved(photo(), "PNG"),
    "PNG, grey": lambda: saved(photo().convert("L"), "PNG"),
    "PNG, bilevel": lambda: saved(photo().convert("1"), "PNG"),
    "PNG, 16 bits": lambda: saved(deep(), "PNG"),
    "PNG, palette": lambda: saved(photo().quantize(16), "PNG"),
    "PNG, palette with a clear colour": lambda: saved(clear_palette(), "PNG", transparency=0),
    "PNG, alpha": lambda: saved(see_through(), "PNG"),
    "PNG, grey and alpha": lambda: saved(see_through().convert("LA"), "PNG"),
    "PNG, orientation 6": lambda: saved(photo(), "PNG", 6),
    "PNG, animated": lambda: still(photo(), "PNG"),
    "WebP": lambda: saved(photo(), "WEBP"),
    "WebP, lossless": lambda: saved(photo(), "WEBP", lossless=True),
    "WebP, alpha": lambda: saved(see_through(), "WEBP", lossless=True),
    "WebP, orientation 6": lambda: saved(photo(), "WEBP", 6),
    "WebP, animated": lambda: still(photo(), "WEBP", lossless=True),
    "GIF": lambda: saved(photo(), "GIF"),
    "GIF, animated": lambda: still(photo(), "GIF"),
    "BMP": lambda: saved(photo(), "BMP"),
    "TIFF": lambda: saved(photo(), "TIFF"),
    "TIFF, orientation 6": lambda: saved(photo(), "TIFF", 6),
    "TIFF, 16 bits": lambda: saved(deep(), "TIFF"),
    "TIFF, floats": lambda: saved(floats(), "TIFF"),
    "TIFF, fax": lambda: saved(photo().convert("1"), "TIFF", compression="group4"),
    "TIFF, CMYK": lambda: saved(photo().convert("CMYK"), "TIFF"),
    "TIFF, pages": lambda: still(photo(), "TIFF"),
    "AVIF": lambda: saved(photo(), "AVIF"),
    "JPEG 2000": lambda: saved(photo(), "JPEG2000"),
    "HEIC": heic,
}


def as_seen(data: bytes) -> PIL.Image.Image:
    """Return the pixels of an original as a viewer shows them: an independent reference."""
    import pillow_heif

    is_heic = data[4:12] == b"ftypheic"
    opened = pillow_heif.HeifImageFile if is_heic else PIL.Image.open  # type: ignore[attr-defined]
    image: PIL.Image.Image = PIL.ImageOps.exif_transpose(opened(io.BytesIO(data)))
    if image.mode.startswith("I;16"):
        return PIL.Image.fromarray((np.asarray(image) / 257 + 0.5).astype(np.uint8))
    if image.mode == "F":
        return PIL.Image.fromarray((np.asarray(image) * 255 + 0.5).astype(np.uint8))
    if image.has_transparency_data:
        white = new("RGBA", image.size, "white")
        white.alpha_composite(image.convert("RGBA"))
        return white.convert("RGB")
    return image if image.mode == "L" else image.convert("RGB")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An import of one row a kind, in their order."""
    from vlm_datakit import ImportRequest, import_dataset

    folder = tmp_path_factory.mktemp("kinds")
    lines = []
    for number, make in enumerate(KINDS.values()):
        (folder / f"{number}.bin").write_bytes(make())
        lines.append(f'{{"text": "?", "image": "{number}.bin", "response": "!"}}\n')
    (folder / "in.jsonl").write_text("".join(lines))
    import_dataset(ImportRequest((str(folder / "in.jsonl"),)), folder / "out")
    return folder / "out"


def by_datasets(out: Path) -> Iterator[PIL.Image.Image]:
    import datasets

    datasets.disable_progress_bars()
    cache = str(out.parent / "cache")
    for row in datasets.load_dataset(str(out), cache_dir=cache)["train"]:
        yield row["images"][0]


def by_open_shards(out: Path) -> Iterator[PIL.Image.Image]:
    from vlm_datakit import open_shards

    for conversation in open_shards(out, "train"):
        yield PIL.ImageOps.exif_transpose(PIL.Image.open(io.BytesIO(conversation.images[0].data)))


def by_the_trainer(out: Path) -> Iterator[PIL.Image.Image]:
    from vlm_trainer.data import ShardSet, find_split
    from vlm_trainer.pixels import open_image

    rows = ShardSet(find_split(out, "train"))
    for index in range(len(rows)):
        yield open_image(rows.get(index).images[0])


@pytest.mark.parametrize("reader", [by_datasets, by_open_shards, by_the_trainer])
def test_every_reader_sees_what_a_viewer_shows(
    out: Path, reader: Callable[[Path], Iterator[PIL.Image.Image]]
) -> None:
    differences = {}
    for (kind, make), found in zip(KINDS.items(), reader(out), strict=True):
        expected = as_seen(make()).convert("RGB")
        difference = PIL.ImageChops.difference(expected, found.convert("RGB"))
        differences[kind] = difference.getextrema()

    assert {kind: found for kind, found in differences.items() if found != NO_DIFFERENCE} == {}


def test_readers_see_the_same_to_the_last_level(out: Path) -> None:
    readers = (by_datasets(out), by_open_shards(out), by_the_trainer(out))

    for pictures in zip(*readers, strict=True):
        assert len({picture.convert("RGB").tobytes() for picture in pictures}) == 1


def test_trl_feeds_the_model_what_the_trainer_does(out: Path) -> None:
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import (
        Qwen2VLImageProcessorPil,
    )

    from vlm_trainer.pixels import cut_patches
    from vlm_trainer.sizes import PixelRule

    rule = PixelRule(min_pixels=784, max_pixels=3136)
    processor = Qwen2VLImageProcessorPil(min_pixels=784, max_pixels=3136)

    for of_trl, of_trainer in zip(by_datasets(out), by_the_trainer(out), strict=True):
        theirs = np.asarray(processor(images=[of_trl])["pixel_values"])
        ours = cut_patches(of_trainer, rule).values_PD
        assert np.abs(theirs - ours).max() < 1e-5


def test_sizes_are_upright_for_every_kind(out: Path) -> None:
    from vlm_datakit import open_shards

    for image, found in zip(open_shards(out, "train"), by_datasets(out), strict=True):
        assert (image.images[0].width_px, image.images[0].height_px) == found.size
