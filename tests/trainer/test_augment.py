"""A changed picture: mild, of the same size, and the same each time."""

from __future__ import annotations

import io

import hypothesis.strategies as st
import numpy as np
import PIL.Image
from hypothesis import given

from vlm_trainer.augment import Change, changed, draw_change

NUMBERS = st.integers(0, 2**40)


@given(NUMBERS, NUMBERS, NUMBERS, st.integers(0, 9))
def test_changes_stay_within_their_limits(seed: int, epoch: int, row: int, image: int) -> None:
    change = draw_change(seed, epoch, row, image)

    assert abs(change.degrees) <= 10
    assert 0.8 <= change.brightness <= 1.2
    assert 0.8 <= change.contrast <= 1.2
    assert change == draw_change(seed, epoch, row, image)


def test_changes_are_spread_evenly() -> None:
    drawn = [draw_change(42, 0, row, 0) for row in range(2_000)]

    for values in ([c.degrees / 10 for c in drawn], [(c.contrast - 1) / 0.2 for c in drawn]):
        assert abs(np.mean(values)) < 0.05
        assert np.percentile(values, 10) < -0.7
        assert np.percentile(values, 90) > 0.7
    assert abs(np.corrcoef([c.degrees for c in drawn], [c.contrast for c in drawn])[0, 1]) < 0.1


def test_a_picture_keeps_its_size_and_what_it_shows(photos: list[bytes]) -> None:
    with PIL.Image.open(io.BytesIO(photos[0])) as opened:
        photo = opened.convert("RGB")

    result = changed(photo, draw_change(42, 0, 7, 0))

    assert result.size == photo.size
    assert result.tobytes() == changed(photo, draw_change(42, 0, 7, 0)).tobytes()
    assert result.tobytes() != photo.tobytes()
    middle = (slice(60, 100), slice(70, 110))
    one, other = (np.asarray(image, dtype=float)[middle].mean() for image in (photo, result))
    assert abs(one - other) < 40


def test_no_change_changes_nothing_and_corners_take_the_colour_of_the_edge() -> None:
    white = PIL.Image.new("RGB", (40, 30), (250, 240, 230))

    assert changed(white, Change(0, 1, 1)).tobytes() == white.tobytes()
    assert changed(white, Change(10, 1, 1)).tobytes() == white.tobytes()
