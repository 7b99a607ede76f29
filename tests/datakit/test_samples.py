"""Sample rows are really drawn, true, and the same for the same seed."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable

import PIL.Image

from vlm_datakit.checks import check
from vlm_datakit.conversation import Image
from vlm_datakit.samples import make_samples
from vlm_datakit.turns import spoken

FORM_KEYS = ["number", "name", "item", "total", "paid"]


def test_equal_seeds_give_equal_rows_and_others_others() -> None:
    assert list(make_samples(6, seed=3)) == list(make_samples(6, seed=3))
    assert list(make_samples(6, seed=3)) != list(make_samples(6, seed=4))


def test_more_rows_start_with_the_same_rows() -> None:
    assert list(make_samples(2)) == list(itertools.islice(make_samples(9), 2))


def test_rows_hold_to_the_checks_and_have_ids_of_their_own() -> None:
    rows = list(make_samples(12))

    assert [check(row) for row in rows] == [()] * 12
    assert [row.id for row in rows[:2]] == ["sample-0000", "sample-0001"]
    assert len({row.images[0].data for row in rows}) == 12


def test_answers_of_forms_are_json_texts_of_strings() -> None:
    forms = [
        json.loads(spoken(row.messages[1])) for row in itertools.islice(make_samples(8), 1, 8, 2)
    ]

    assert [list(form) for form in forms] == [FORM_KEYS] * 4
    assert {type(value) for form in forms for value in form.values()} == {str}


def test_pictures_are_clean_and_as_large_as_they_say(as_image: Callable[[bytes], Image]) -> None:
    images = [row.images[0] for row in make_samples(6)]

    assert [as_image(image.data) for image in images] == images
    assert {image.media_type for image in images} == {"image/png", "image/jpeg"}


def test_shapes_are_drawn_in_their_colour(pixels: Callable[[bytes], PIL.Image.Image]) -> None:
    (row,) = make_samples(1)

    colours = pixels(row.images[0].data).getcolors()

    assert spoken(row.messages[1]) == "4 blue squares"
    drawn = 4 * 57 * 57
    assert dict(colours or []) == {drawn: (31, 119, 180), 224 * 224 - drawn: (255, 255, 255)}


def test_no_rows_are_no_rows() -> None:
    assert list(make_samples(0)) == []
