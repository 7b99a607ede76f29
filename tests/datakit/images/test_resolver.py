"""From what a row said to an opened picture, whatever form it came in."""

from __future__ import annotations

import base64
import io
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from vlm_datakit.conversation import Image, ImageForm, ImageSource
from vlm_datakit.errors import Reason, RowError
from vlm_datakit.images.kind import classify
from vlm_datakit.images.resolver import Opener, not_fetched
from vlm_datakit.plan import ImagePolicy, Limits

Resolve = Callable[[ImageSource], Image]


def test_all_forms_of_one_picture_give_the_same_bytes(
    resolve: Resolve, jpeg_bytes: Callable[..., bytes], data_uri: Callable[..., str], tmp_path: Path
) -> None:
    data = jpeg_bytes()
    (tmp_path / "a.jpg").write_bytes(data)
    struct = {"bytes": data, "path": "gone.png"}
    forms = [data, data_uri(data), base64.b64encode(data).decode(), "a.jpg", struct]

    images = [resolve(classify(form, "$")) for form in forms]

    assert images == [Image(data, "image/jpeg", 8, 8)] * 5


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        pytest.param("https://a.example/b.png", '"https://a.example/b.png"', id="https"),
        pytest.param("https://a.example/b?sig=abc", '"https://a.example/b"', id="a signature"),
        pytest.param("https://me:key@a.example/b", '"https://a.example/b"', id="a password"),
        pytest.param("https://a.example?sig=a/b@c", '"https://a.example"', id="no path"),
        pytest.param("https://me:k/e?y@a.example/b", '"https://a.example/b"', id="a slash in it"),
        pytest.param("https://a.example/b#t=key", '"https://a.example/b"', id="a fragment"),
        pytest.param("s3://bucket/a@b.png", '"s3://bucket/a@b.png"', id="a bucket"),
    ],
)
def test_a_url_is_not_fetched_and_its_secrets_are_not_shown(
    resolve: Resolve, url: str, seen: str
) -> None:
    with pytest.raises(RowError) as caught:
        resolve(classify(url, "$.image"))

    assert caught.value.args == (Reason.IMAGE_URL_NOT_FETCHED, "$.image", seen)


@pytest.mark.parametrize(
    ("shape", "mode"),
    [
        pytest.param((4, 6), "L", id="H x W"),
        pytest.param((4, 6, 1), "L", id="H x W x 1"),
        pytest.param((4, 6, 3), "RGB", id="H x W x 3"),
        pytest.param((4, 6, 4), "RGB", id="H x W x 4, over white"),
    ],
)
def test_an_array_becomes_a_png(
    resolve: Resolve,
    pixels: Callable[[bytes], PIL.Image.Image],
    shape: tuple[int, ...],
    mode: str,
) -> None:
    image = resolve(classify(np.full(shape, 255, np.uint8), "$"))

    assert (image.media_type, image.width_px, image.height_px) == ("image/png", 6, 4)
    assert (pixels(image.data).mode, set(pixels(image.data).tobytes())) == (mode, {255})


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_an_array_of_floats_goes_from_black_at_0_to_white_at_1(
    resolve: Resolve, pixels: Callable[[bytes], PIL.Image.Image], kind: type
) -> None:
    image = resolve(classify(np.array([[0, 0.25, 0.5, 1]], kind), "$"))

    assert list(pixels(image.data).tobytes()) == [0, 64, 128, 255]


def test_a_picture_of_the_caller_is_not_changed(resolve: Resolve) -> None:
    photo = PIL.Image.new("RGB", (6, 4))
    photo.getexif()[0x0112] = 6
    photo.info["icc_profile"] = b"mine"

    image = resolve(classify(photo, "$"))

    assert (image.width_px, image.height_px) == (4, 6)
    assert (photo.size, photo.info, photo.getexif()[0x0112]) == (
        (6, 4),
        {"icc_profile": b"mine"},
        6,
    )


def test_an_array_that_is_a_view_is_read_in_its_own_order(
    resolve: Resolve, pixels: Callable[[bytes], PIL.Image.Image]
) -> None:
    array = np.arange(24, dtype=np.uint8).reshape(4, 6)

    image = resolve(classify(array.T[::-1], "$"))

    assert pixels(image.data).tobytes() == array.T[::-1].tobytes()


@pytest.mark.parametrize(
    ("array", "seen"),
    [
        pytest.param(
            np.full((4, 6), 255.0), "floats from 255 to 255, expected 0 to 1", id="floats to 255"
        ),
        pytest.param(
            np.array([[0.5, np.nan]]), "floats from nan to nan, expected 0 to 1", id="no number"
        ),
        pytest.param(np.zeros((4, 6), np.uint16), "an array (4, 6) of uint16", id="16 bits"),
        pytest.param(np.zeros((4, 6), bool), "an array (4, 6) of bool", id="booleans"),
        pytest.param(np.zeros((3, 4, 6), np.uint8), "an array (3, 4, 6) of uint8", id="3 x H x W"),
        pytest.param(np.zeros((4, 0), np.uint8), "an array (4, 0) of uint8", id="no pixels"),
        pytest.param(np.uint8(7), "an array () of uint8", id="one number"),
    ],
)
def test_an_array_that_may_mean_anything_is_refused(
    resolve: Resolve, array: Any, seen: str
) -> None:
    with pytest.raises(RowError) as caught:
        resolve(classify(array, "$.image"))

    assert caught.value.args == (Reason.IMAGE_TYPE_UNSUPPORTED, "$.image", seen)


def test_a_pil_image_comes_upright_and_without_loss(
    resolve: Resolve,
    jpeg_bytes: Callable[..., bytes],
    pixels: Callable[[bytes], PIL.Image.Image],
) -> None:
    photo = PIL.Image.open(io.BytesIO(jpeg_bytes(6, 4, color=(200, 10, 10), orientation=6)))

    image = resolve(classify(photo, "$"))

    expected = photo.transpose(PIL.Image.Transpose.ROTATE_270)
    assert (image.width_px, image.height_px, image.media_type) == (4, 6, "image/png")
    assert pixels(image.data).tobytes() == expected.tobytes()


def test_a_pil_image_opened_from_a_truncated_file_is_refused(
    resolve: Resolve, noise: Callable[[str], bytes]
) -> None:
    whole = noise("PNG")
    picture = PIL.Image.open(io.BytesIO(whole[: len(whole) // 2]))

    with pytest.raises(RowError) as caught:
        resolve(ImageSource(ImageForm.OBJECT, picture, "$.image"))

    assert caught.value.args[:2] == (Reason.IMAGE_UNREADABLE, "$.image")


def test_a_strip_of_python_is_refused_as_one_of_a_file(resolve: Resolve) -> None:
    with pytest.raises(RowError) as caught:
        resolve(classify(PIL.Image.new("RGB", (3000, 10)), "$"))

    assert caught.value.args == (Reason.IMAGE_TOO_LARGE, "$", "3000 x 10 pixels")


def test_the_form_of_a_picture_is_told_without_decoding_it(noise: Callable[[str], bytes]) -> None:
    picture = PIL.Image.open(io.BytesIO(noise("PNG")[:-40]))

    assert classify(picture, "$").form is ImageForm.OBJECT


@pytest.mark.parametrize("error", [struct.error("x"), AssertionError(), Warning("x")])
def test_whatever_a_picture_of_the_caller_raises_is_a_refusal(
    resolve: Resolve, error: Exception
) -> None:
    class Hostile(PIL.Image.Image):
        def load(self) -> Any:
            warnings.warn("its tags are odd", UserWarning, stacklevel=1)
            raise error

        size = (4, 4)

    with pytest.raises(RowError) as caught:
        resolve(ImageSource(ImageForm.OBJECT, Hostile(), "$.image"))

    expected = f"{error}" or type(error).__name__
    assert caught.value.args == (Reason.IMAGE_UNREADABLE, "$.image", expected)


def test_a_picture_opened_as_what_no_row_may_bring_is_refused_unread(resolve: Resolve) -> None:
    picture = PIL.Image.new("RGB", (4, 4))
    picture.format = "EPS"

    with pytest.raises(RowError) as caught:
        resolve(classify(picture, "$"))

    seen = "opened as EPS; a copy() of it would do"
    assert caught.value.args == (Reason.IMAGE_TYPE_UNSUPPORTED, "$", seen)
    assert resolve(classify(picture.copy(), "$")).media_type == "image/png"


def test_a_large_picture_of_the_caller_is_held_to_the_memory_of_decoding(tmp_path: Path) -> None:
    opener = Opener(Limits(max_decoded_bytes=7_999), ImagePolicy(), not_fetched)

    with pytest.raises(RowError) as caught:
        opener(classify(PIL.Image.new("RGBA", (100, 10)), "$"))

    assert caught.value.args == (Reason.IMAGE_TOO_LARGE, "$", "decoding takes 1 MiB")


@pytest.mark.parametrize("mode", ["La", "RGBa"])
def test_colours_multiplied_by_alpha_are_divided_again(
    resolve: Resolve, pixels: Callable[[bytes], PIL.Image.Image], mode: str
) -> None:
    clear = PIL.Image.new({"La": "LA", "RGBa": "RGBA"}[mode], (2, 2)).convert(mode)

    image = resolve(classify(clear, "$"))

    assert pixels(image.data).getpixel((0, 0)) == (255, 255, 255)


def test_floats_of_either_byte_order_are_read(
    resolve: Resolve, pixels: Callable[[bytes], PIL.Image.Image]
) -> None:
    image = resolve(classify(np.array([[0, 1]], ">f4"), "$"))

    assert list(pixels(image.data).tobytes()) == [0, 255]


def test_a_view_that_was_released_is_refused() -> None:
    view = memoryview(b"GIF89a")
    view.release()

    with pytest.raises(RowError) as caught:
        classify(view, "$")

    assert caught.value.args[:2] == (Reason.FIELD_WRONG_TYPE, "$")
