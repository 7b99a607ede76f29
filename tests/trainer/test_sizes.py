"""Sizes are those of transformers, to the pixel."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import (
    Qwen2VLImageProcessorPil,
    smart_resize,
)

from vlm_trainer.conversation import ImageSize
from vlm_trainer.errors import Reason, RowError
from vlm_trainer.sizes import PixelRule, fitted_size, image_tokens

sides = st.integers(1, 6000)


@given(sides, sides, st.integers(1, 40), st.integers(0, 3000))
def test_a_size_is_fitted_as_transformers_does(
    width: int, height: int, fewest: int, more: int
) -> None:
    rule = PixelRule(min_pixels=fewest * 784, max_pixels=(fewest + more) * 784)
    try:
        expected = smart_resize(
            height, width, 28, min_pixels=rule.min_pixels, max_pixels=rule.max_pixels
        )
    except ValueError:  # over 200 times longer than wide
        with pytest.raises(RowError):
            fitted_size(ImageSize(width, height), rule)
        return

    fitted = fitted_size(ImageSize(width, height), rule)

    assert (fitted.height_px, fitted.width_px) == expected
    assert image_tokens(ImageSize(width, height), rule) == expected[0] * expected[1] // 784


@given(sides, sides, st.integers(1, 1280), st.integers(0, 3000))
def test_tokens_are_those_that_the_hf_processor_says(
    width: int, height: int, fewest: int, more: int
) -> None:
    rule = PixelRule(min_pixels=fewest * 784, max_pixels=(fewest + more) * 784)
    if max(width, height) > 200 * min(width, height):
        return
    processor = Qwen2VLImageProcessorPil(min_pixels=rule.min_pixels, max_pixels=rule.max_pixels)

    patches = processor.get_number_of_image_patches(height, width)

    assert image_tokens(ImageSize(width, height), rule) * 4 == patches


@pytest.mark.parametrize(
    ("width", "height"),
    [
        pytest.param(201, 1, id="a line"),
        pytest.param(0, 10, id="no width"),
    ],
)
def test_a_picture_with_no_shape_is_refused(width: int, height: int) -> None:
    with pytest.raises(RowError) as caught:
        fitted_size(ImageSize(width, height), PixelRule(), "$.images[2]")

    assert caught.value.reason is Reason.IMAGE_TOO_NARROW
    assert caught.value.where == "$.images[2]"
    assert caught.value.seen == f"{width}x{height} pixels"


def test_a_photo_is_shown_on_a_million_pixels_by_default() -> None:
    assert image_tokens(ImageSize(4000, 3000), PixelRule()) == 1230
    assert image_tokens(ImageSize(28, 28), PixelRule()) == 4
