"""Whatever a row gives as a picture: an opened picture within the limits, or a refusal."""

from __future__ import annotations

import base64
import io
import warnings
from typing import Any

import hypothesis.strategies as st
import PIL.Image
import PIL.ImageOps
from hypothesis import event, given

from vlm_datakit.conversation import Image
from vlm_datakit.errors import Reason, RowError
from vlm_datakit.images.base64_text import decode
from vlm_datakit.images.files import read_image_file
from vlm_datakit.images.kind import classify
from vlm_datakit.images.magic import HEAD_BYTES, media_type
from vlm_datakit.images.resolver import open_image
from vlm_datakit.plan import ImagePolicy, Limits

SMALL = Limits(max_image_pixels=10_000)  # a flipped bit in a size must not cost the tests memory
KINDS = ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000"]


def encoded(kind: str) -> bytes:
    file = io.BytesIO()
    PIL.Image.linear_gradient("L").resize((12, 7)).save(file, kind)
    return file.getvalue()


WHOLE = {kind: encoded(kind) for kind in KINDS}
SPELLINGS = {
    "standard": lambda data: base64.b64encode(data).decode(),
    "unpadded": lambda data: base64.b64encode(data).decode().rstrip("="),
    "URL-safe": lambda data: base64.urlsafe_b64encode(data).decode(),
    "in lines": lambda data: base64.encodebytes(data).decode(),
    "spaced": lambda data: " ".join(base64.b64encode(data).decode()),
    "data URI": lambda data: f"data:image/png;base64,{base64.b64encode(data).decode()}",
    "percent-coded": lambda data: "data:," + "".join(f"%{byte:02x}" for byte in data),
}


@given(st.binary(min_size=1, max_size=80), st.integers(0, 80), st.sampled_from(list(SPELLINGS)))
def test_the_limit_of_base64_is_exact_in_every_spelling(
    data: bytes, limit: int, spelling: str
) -> None:
    text = SPELLINGS[spelling](data)

    try:
        found: object = decode(text, max_bytes=limit, where="$")
    except RowError as error:
        found = error.reason

    assert found == (data if len(data) <= limit else Reason.IMAGE_TOO_LARGE)


@given(
    st.one_of(
        st.text(),
        st.text(alphabet="AQZaz09+/-_= \n%data:,;base64"),
        st.builds(lambda text: f"data:{text}", st.text()),
    ),
    st.integers(0, 20),
)
def test_any_text_decodes_within_the_limit_or_is_refused(text: str, limit: int) -> None:
    try:
        data = decode(text, max_bytes=limit, where="$")
    except RowError as error:
        assert error.reason in (Reason.IMAGE_NOT_BASE64, Reason.IMAGE_TOO_LARGE)
    else:
        assert 0 < len(data) <= limit


@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.floats(), st.text(), st.binary()),
        lambda inner: st.one_of(
            st.lists(inner), st.dictionaries(st.sampled_from(["bytes", "path", "url"]), inner)
        ),
    )
)
def test_any_value_has_a_form_or_is_refused(value: Any) -> None:
    try:
        source = classify(value, "$")
    except RowError as error:
        assert error.reason in (Reason.FIELD_MISSING, Reason.FIELD_WRONG_TYPE)
    else:
        assert source.value


@given(st.binary(max_size=40))
def test_any_head_has_a_type_or_none(head: bytes) -> None:
    assert media_type(head[:HEAD_BYTES]) == media_type(head)


@given(st.text(), st.sampled_from(["", "file://", "/", "../", "file:///", "~"]))
def test_any_name_outside_the_roots_is_refused(name: str, start: str) -> None:
    try:
        read_image_file(start + name, (), 10, "$")
    except RowError as error:
        assert error.reason in (Reason.IMAGE_FILE_MISSING, Reason.IMAGE_OUTSIDE_ROOT)
    else:
        raise AssertionError(start + name)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Draw a real picture with bytes changed, put in, or cut off."""
    data = bytearray(WHOLE[draw(st.sampled_from(KINDS))])
    for _ in range(draw(st.integers(0, 4))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    at = draw(st.integers(0, len(data)))
    data[at:at] = draw(st.binary(max_size=3))
    return bytes(data[: draw(st.integers(0, len(data) + 20))])


@given(st.one_of(damaged(), st.binary(max_size=60)))
def test_a_damaged_picture_is_refused_or_is_as_large_as_it_says(data: bytes) -> None:
    try:
        image = open_image(data, SMALL, ImagePolicy(check="decode"), "$")
    except RowError as error:
        event(f"{error.reason}")
        return
    event("opened")

    assert image.width_px * image.height_px <= SMALL.max_image_pixels
    assert decoded_size(image) == (image.width_px, image.height_px)


def decoded_size(image: Image) -> tuple[int, int]:
    """Decode what would be written, as a reader that applies the orientation tag."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # damaged metadata
        with PIL.Image.open(io.BytesIO(image.data)) as picture:
            return PIL.ImageOps.exif_transpose(picture).size


@given(st.sampled_from(KINDS), st.data())
def test_a_truncated_picture_is_refused_or_has_all_its_pixels(
    kind: str, data: st.DataObject
) -> None:
    whole = WHOLE[kind]
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]

    try:
        image = open_image(cut, SMALL, ImagePolicy(), "$")
    except RowError:
        return

    assert pixels(image.data) == pixels(open_image(whole, SMALL, ImagePolicy(), "$").data)


def pixels(data: bytes) -> bytes:
    with PIL.Image.open(io.BytesIO(data)) as picture:
        return picture.tobytes()
