"""Pictures are made as much smaller as a row needs, no more, and never below the floor."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlm_trainer.conversation import ImageSize
from vlm_trainer.shrink import shrunk_rule
from vlm_trainer.sizes import PixelRule, fitted_size, image_tokens

sides = st.integers(20, 3000)
pictures = st.lists(st.builds(ImageSize, sides, sides), min_size=1, max_size=3).map(tuple)


def tokens(sizes: tuple[ImageSize, ...], rule: PixelRule) -> int:
    return sum(image_tokens(size, rule) for size in sizes)


def shows(sizes: tuple[ImageSize, ...], rule: PixelRule) -> bool:
    """Whether no picture is shown on less than the floor."""
    fitted = [fitted_size(size, rule) for size in sizes]
    return all(size.width_px * size.height_px >= rule.min_pixels for size in fitted)


@given(pictures, st.integers(784, 20_000), st.integers(0, 60_000), st.integers(0, 200), st.data())
def test_the_largest_pictures_that_fit_are_shown(
    sizes: tuple[ImageSize, ...], floor: int, more: int, budget: int, data: st.DataObject
) -> None:
    rule = PixelRule(min_pixels=floor, max_pixels=floor + more)

    found = shrunk_rule(sizes, rule, budget)

    best = tokens(sizes, found) if found else -1
    assert best <= budget
    assert found is None or shows(sizes, found)
    limits = data.draw(st.lists(st.integers(floor, floor + more), max_size=200))
    others = [PixelRule(min_pixels=floor, max_pixels=limit) for limit in limits]
    fitting = [other for other in others if shows(sizes, other) and tokens(sizes, other) <= budget]
    assert all(tokens(sizes, other) <= best for other in fitting)


@pytest.mark.parametrize(
    ("floor", "budget", "shown"),
    [
        pytest.param(3136, 1000, (1036, 756), id="a little"),
        pytest.param(3136, 100, (308, 224), id="a lot"),
        pytest.param(3136, 4, (56, 56), id="to the floor"),
        pytest.param(3136, 3, None, id="not below the floor"),
        pytest.param(70_000, 87, None, id="rounding does not go below the floor either"),
        pytest.param(3136, -20, None, id="the text alone is too long"),
    ],
)
def test_a_photo_is_shrunk_to_a_budget(
    floor: int, budget: int, shown: tuple[int, int] | None
) -> None:
    photo, rule = ImageSize(4032, 3024), PixelRule(min_pixels=floor)

    found = shrunk_rule((photo,), rule, budget)

    fitted = fitted_size(photo, found) if found else None
    assert (fitted and (fitted.width_px, fitted.height_px)) == shown


def test_small_pictures_stay_as_they_are_beside_a_large_one() -> None:
    photo, stamp = ImageSize(4032, 3024), ImageSize(112, 112)

    found = shrunk_rule((photo, stamp), PixelRule(), 516)

    assert found is not None
    assert image_tokens(stamp, found) == 16
    assert 490 <= image_tokens(photo, found) <= 500
