"""How a row gave a picture: told by type, scheme and magic bytes, never by length or the disk.

Length heuristics turn long paths into garbage bytes and short pictures into missing
files; asking the disk makes the answer depend on the machine.
"""

from __future__ import annotations

import binascii
import string
from collections.abc import Mapping
from typing import Any

from vlm_datakit.conversation import ImageForm, ImageSource
from vlm_datakit.errors import Reason, RowError, quoted
from vlm_datakit.images.magic import media_type

_PROBE_CHARS = 16  # base64 characters that decode to the 12 bytes `media_type` needs
_URL_SAFE = str.maketrans("-_", "+/")
_SCHEME_CHARS = frozenset(string.ascii_letters + string.digits + "+.-")


def classify(value: Any, where: str) -> ImageSource:
    """Tell what form a picture has, without opening it.

    Text is a data URI by its scheme, a URL by ``://``, base64 if its first 16 characters
    decode to the magic bytes of an image, otherwise a path. Bytes and Hugging Face
    ``{bytes, path}`` structs are taken as they are, and so are PIL images and numpy
    arrays, which only Python callers have.

    Raises:
        RowError: ``field-missing`` for null, an empty text or an empty struct;
            ``field-wrong-type`` for anything else.

    Example:
        >>> classify("data:image/png;base64,iVBOR", "$.image").form.value
        'data-uri'
        >>> classify("scans/form_0001.png", "$.image").form.value
        'path'
    """
    if isinstance(value, str) and value.strip():
        return ImageSource(_text_form(value), value, where)
    if isinstance(value, (bytes, bytearray, memoryview)) and len(value := _bytes(value, where)):
        return ImageSource(ImageForm.BYTES, value, where)
    if isinstance(value, Mapping) and ("bytes" in value or "path" in value):
        inner = value.get("bytes") or value.get("path")
        if not isinstance(inner, Mapping):
            return classify(inner, where)
    kind = type(value)  # asked of a PIL image itself, the first of these decodes it
    if hasattr(kind, "__array_interface__") or hasattr(kind, "getexif"):
        return ImageSource(ImageForm.OBJECT, value, where)
    if value is None or value in ("", b"") or isinstance(value, str):
        raise RowError(Reason.FIELD_MISSING, where, quoted(value))
    raise RowError(Reason.FIELD_WRONG_TYPE, where, quoted(value))


def _bytes(value: bytes | bytearray | memoryview, where: str) -> bytes:
    try:
        return bytes(value)
    except ValueError as error:  # a view whose buffer was released
        raise RowError(Reason.FIELD_WRONG_TYPE, where, f"{error}") from error


def _text_form(text: str) -> ImageForm:
    head = text[:64].lstrip()
    if head[:5].lower() == "data:":
        return ImageForm.DATA_URI
    scheme, separator, _ = head.partition("://")
    if separator and scheme and _SCHEME_CHARS.issuperset(scheme):
        return ImageForm.PATH if scheme.lower() == "file" else ImageForm.URL
    return ImageForm.BASE64 if is_base64_image(text) else ImageForm.PATH


def is_base64_image(text: str) -> bool:
    """Whether the first 16 characters (white space aside) decode to an image's magic bytes.

    Example:
        >>> is_base64_image("/9j/4AAQSkZJRgABAQ==")
        True
        >>> is_base64_image("/data/images/photo_of_a_cat.jpg")
        False
    """
    probe = "".join(text[: 4 * _PROBE_CHARS].split())[:_PROBE_CHARS].translate(_URL_SAFE)
    if len(probe) < _PROBE_CHARS:
        return False
    try:
        return media_type(binascii.a2b_base64(probe, strict_mode=True)) is not None
    except ValueError:  # binascii.Error is one; characters beyond ASCII raise it plain
        return False
