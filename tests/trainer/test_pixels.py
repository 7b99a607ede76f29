"""Pictures become the patches that the HF processor makes, and hostile ones do not."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from vlm_trainer.errors import Reason, RowError
from vlm_trainer.pixels import cut_patches, open_image
from vlm_trainer.sizes import PixelRule

RULE = PixelRule(min_pixels=784, max_pixels=100_352)


def hf_patches(image: Image.Image) -> Any:
    processor = Qwen2VLImageProcessorPil(min_pixels=RULE.min_pixels, max_pixels=RULE.max_pixels)
    return processor(images=[image], return_tensors="np")


@settings(max_examples=40)
@given(st.integers(1, 700), st.integers(1, 700), st.integers(0, 2**32 - 1))
def test_patches_equal_those_of_the_hf_processor(width: int, height: int, seed: int) -> None:
    if max(width, height) / min(width, height) > 200:
        return
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    expected = hf_patches(image)

    patches = cut_patches(image, RULE)

    assert patches.grid == tuple(expected["image_grid_thw"][0])
    assert patches.values_PD.shape == expected["pixel_values"].shape
    assert np.abs(patches.values_PD - expected["pixel_values"]).max() < 1e-5


def test_a_picture_is_kept_in_bytes_until_it_has_a_place_in_a_batch() -> None:
    cut = cut_patches(Image.new("RGB", (56, 84), (255, 0, 0)), PixelRule())

    assert (cut.bytes_PN.dtype, cut.bytes_PN.shape, cut.grid) == (np.uint8, (24, 588), (1, 6, 4))
    assert 8 * cut.bytes_PN.nbytes == cut.values_PD.nbytes
    assert cut.values_PD.shape == (24, cut.values) == (24, 1176)


def test_real_photographs_equal_those_of_the_hf_processor(photos: list[bytes]) -> None:
    for photo in photos:
        image = open_image(photo)

        difference = cut_patches(image, RULE).values_PD - hf_patches(image)["pixel_values"]

        assert np.abs(difference).max() < 1e-5


def test_a_picture_lies_upright(jpeg_bytes: Callable[..., bytes]) -> None:
    assert open_image(jpeg_bytes(8, 16, orientation=6)).size == (16, 8)


def test_transparency_lies_over_white(png_bytes: Callable[..., bytes]) -> None:
    image = open_image(png_bytes(color=(0, 0, 0, 0), mode="RGBA"))

    assert (image.mode, image.getpixel((0, 0))) == ("RGB", (255, 255, 255))


def header_of(width: int, height: int) -> bytes:
    """A PNG whose header says a size that its few bytes cannot hold."""
    file = io.BytesIO()
    Image.new("1", (1, 1)).save(file, "PNG")
    content = bytearray(file.getvalue())
    content[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    import zlib

    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    return bytes(content)


def in_format(name: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, name)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(header_of(20_000, 6_001), Reason.IMAGE_TOO_LARGE, id="over 120 megapixels"),
        pytest.param(header_of(65_536, 1), Reason.IMAGE_TOO_LARGE, id="too wide"),
        pytest.param(header_of(60_000, 60_000), Reason.IMAGE_TOO_LARGE, id="a bomb"),
        pytest.param(b"", Reason.IMAGE_UNREADABLE, id="empty"),
        pytest.param(b"%PDF-1.4", Reason.IMAGE_UNREADABLE, id="no picture"),
        pytest.param(in_format("EPS"), Reason.IMAGE_UNREADABLE, id="a format not allowed"),
        pytest.param(in_format("JPEG")[:-200], Reason.IMAGE_UNREADABLE, id="cut short"),
    ],
)
def test_a_hostile_or_broken_picture_is_refused(content: bytes, reason: Reason) -> None:
    with pytest.raises(RowError) as caught:
        open_image(content, "$.images[0]")

    assert (caught.value.reason, caught.value.where) == (reason, "$.images[0]")
