"""A picture's form is told by type, scheme and magic bytes, never by length or the disk."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import numpy as np
import PIL.Image
import pytest

from vlm_datakit.conversation import ImageForm, ImageSource
from vlm_datakit.errors import Reason, RowError
from vlm_datakit.images.kind import classify

PDF = base64.b64encode(b"%PDF-1.7 and so on, for long").decode()


@pytest.mark.parametrize(
    ("text", "form"),
    [
        pytest.param("data:image/png;base64,iVBORw0KGgo=", ImageForm.DATA_URI, id="data URI"),
        pytest.param("\n DATA:image/png;base64,iVBO", ImageForm.DATA_URI, id="shouted, indented"),
        pytest.param("data:,", ImageForm.DATA_URI, id="an empty data URI"),
        pytest.param("https://a.example/b.png", ImageForm.URL, id="https"),
        pytest.param("s3://bucket/b.png", ImageForm.URL, id="s3"),
        pytest.param("zip://a.png::b.zip", ImageForm.URL, id="zip"),
        pytest.param("file:///a/b.png", ImageForm.PATH, id="file URI"),
        pytest.param("FILE:///a/b.png", ImageForm.PATH, id="FILE URI"),
        pytest.param("a.png", ImageForm.PATH, id="name"),
        pytest.param("/9j/shelf/photo.jpg", ImageForm.PATH, id="a path that starts as JPEGs do"),
        pytest.param("C:\\scans\\a.png", ImageForm.PATH, id="a path of Windows"),
        pytest.param("a b://c.png", ImageForm.PATH, id="no scheme has a space"),
        pytest.param("://c.png", ImageForm.PATH, id="no scheme"),
        pytest.param(PDF, ImageForm.PATH, id="base64 of a PDF"),
        pytest.param("iVBORw0KGgo", ImageForm.PATH, id="base64 of 8 bytes only"),
        pytest.param("картинка.png", ImageForm.PATH, id="letters beyond ASCII"),
    ],
)
def test_text_is_told_by_scheme_and_magic_bytes(text: str, form: ImageForm) -> None:
    assert classify(text, "$.image") == ImageSource(form, text, "$.image")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000"])
def test_base64_of_any_allowed_kind_is_known(saved: Callable[..., bytes], kind: str) -> None:
    text = base64.b64encode(saved(PIL.Image.new("RGB", (16, 16)), kind)).decode()

    assert classify(text, "$").form is ImageForm.BASE64


@pytest.mark.parametrize(
    "spell",
    [
        pytest.param(lambda b: base64.encodebytes(b).decode(), id="lines of 76"),
        pytest.param(lambda b: "  \n" + base64.b64encode(b).decode(), id="indented"),
        pytest.param(lambda b: base64.urlsafe_b64encode(b).decode(), id="URL-safe"),
        pytest.param(lambda b: base64.b64encode(b).decode().rstrip("="), id="unpadded"),
    ],
)
def test_base64_is_known_in_every_spelling(
    jpeg_bytes: Callable[..., bytes], spell: Callable[[bytes], str]
) -> None:
    assert classify(spell(jpeg_bytes()), "$").form is ImageForm.BASE64


@pytest.mark.parametrize(
    ("value", "form", "inner"),
    [
        pytest.param(b"GIF", ImageForm.BYTES, b"GIF", id="bytes"),
        pytest.param(bytearray(b"GIF"), ImageForm.BYTES, b"GIF", id="bytearray"),
        pytest.param(memoryview(b"GIF"), ImageForm.BYTES, b"GIF", id="memoryview"),
        pytest.param({"bytes": b"GIF", "path": "a"}, ImageForm.BYTES, b"GIF", id="struct"),
        pytest.param({"bytes": None, "path": "a.png"}, ImageForm.PATH, "a.png", id="path alone"),
        pytest.param({"path": "a.png"}, ImageForm.PATH, "a.png", id="no bytes"),
        pytest.param({"bytes": b"", "path": "a.png"}, ImageForm.PATH, "a.png", id="empty bytes"),
    ],
)
def test_bytes_and_structs_are_taken_as_they_are(value: Any, form: ImageForm, inner: Any) -> None:
    assert classify(value, "$") == ImageSource(form, inner, "$")


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(PIL.Image.new("L", (2, 2)), id="PIL"),
        pytest.param(np.zeros((2, 2), np.uint8), id="numpy"),
        pytest.param(np.zeros((0,), np.uint8), id="numpy, empty"),
    ],
)
def test_objects_of_python_are_objects(value: Any) -> None:
    source = classify(value, "$")

    assert (source.form, source.value is value) == (ImageForm.OBJECT, True)


@pytest.mark.parametrize(
    ("value", "reason", "seen"),
    [
        pytest.param(None, Reason.FIELD_MISSING, "null", id="null"),
        pytest.param("", Reason.FIELD_MISSING, '""', id="empty text"),
        pytest.param(" \n", Reason.FIELD_MISSING, '" \\n"', id="white space"),
        pytest.param(b"", Reason.FIELD_MISSING, "a bytes", id="no bytes"),
        pytest.param({"bytes": None, "path": None}, Reason.FIELD_MISSING, "null", id="struct"),
        pytest.param({}, Reason.FIELD_WRONG_TYPE, "an empty object", id="an empty object"),
        pytest.param({"url": "a"}, Reason.FIELD_WRONG_TYPE, "an object with url", id="an object"),
        pytest.param(["a.png"], Reason.FIELD_WRONG_TYPE, "a list of 1", id="a list"),
        pytest.param(7, Reason.FIELD_WRONG_TYPE, "7", id="a number"),
        pytest.param(
            {"bytes": {"bytes": {"path": "a"}}},
            Reason.FIELD_WRONG_TYPE,
            "an object with bytes",
            id="a struct in a struct",
        ),
    ],
)
def test_anything_else_is_refused(value: Any, reason: Reason, seen: str) -> None:
    with pytest.raises(RowError) as caught:
        classify(value, "$.image")

    assert caught.value.args == (reason, "$.image", seen)
