"""From what a row said to an opened picture: bytes, limits, header, canonical form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import PIL.Image

from vlm_datakit.conversation import Image, ImageForm, ImageSource
from vlm_datakit.errors import Reason, RowError, quoted
from vlm_datakit.images.base64_text import decode
from vlm_datakit.images.canonical import canonical, causes, encoded, flattened
from vlm_datakit.images.header import check_decodes, parse_header
from vlm_datakit.plan import Limits

ReadFile = Callable[[str, int, str], bytes]  # name, max_bytes, where


def resolver(limits: Limits, read_file: ReadFile) -> Callable[[ImageSource], Image]:
    """Return the function that opens pictures under these limits.

    Args:
        limits: Judged from sizes and headers before pixels are decoded.
        read_file: Reads a named file, or raises a `RowError`; roots are its business.
    """

    def resolve(source: ImageSource) -> Image:
        if source.form is ImageForm.OBJECT:
            return _from_object(source.value, limits, source.where)
        data = _file_bytes(source, limits, read_file)
        return open_image(data, limits, source.where)

    return resolve


def open_image(data: bytes, limits: Limits, where: str) -> Image:
    """Judge image bytes and make them canonical; clean bytes pass as the same object.

    Raises:
        RowError: ``image-too-large``, ``image-type-unsupported``, ``image-unreadable``.
    """
    header = parse_header(data, limits, where)
    rewritten = causes(header)
    if not rewritten:
        check_decodes(data, where)
    clean, media_type = canonical(data, header, where)
    return Image(clean, media_type, header.width_px, header.height_px, rewritten)


def _file_bytes(source: ImageSource, limits: Limits, read_file: ReadFile) -> bytes:
    match source.form:
        case ImageForm.DATA_URI | ImageForm.BASE64:
            return decode(source.value, max_bytes=limits.max_image_bytes, where=source.where)
        case ImageForm.PATH:
            return read_file(source.value, limits.max_image_bytes, source.where)
        case ImageForm.URL:
            seen = quoted(_without_secrets(source.value))
            raise RowError(Reason.IMAGE_URL_NOT_FETCHED, source.where, seen)
    data: bytes = source.value
    return data


def _without_secrets(url: str) -> str:
    """Return a URL without user info and query: either may be a key to somebody's bucket."""
    scheme, _, rest = url.partition("?")[0].partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def _from_object(value: Any, limits: Limits, where: str) -> Image:
    """Encode a PIL image or an 8-bit array (H x W, H x W x 3 or 4) as PNG, without loss."""
    picture = value if isinstance(value, PIL.Image.Image) else _from_array(value, where)
    try:
        data = encoded(flattened(picture, where), is_photo=False)
    except (OSError, SyntaxError, ValueError) as error:  # decoded only now: truncated, closed
        raise RowError(Reason.IMAGE_UNREADABLE, where, f"{error}"[:80]) from error
    header = parse_header(data, limits, where)
    return Image(data, header.media_type, header.width_px, header.height_px)


def _from_array(value: Any, where: str) -> PIL.Image.Image:
    shape: tuple[int, ...] = tuple(getattr(value, "shape", ()))
    dtype = str(getattr(value, "dtype", "?"))
    is_picture = len(shape) == 2 or (len(shape) == 3 and shape[2] in (3, 4))
    if dtype != "uint8" or not is_picture or 0 in shape:
        raise RowError(Reason.IMAGE_TYPE_UNSUPPORTED, where, f"an array {shape} of {dtype}")
    return PIL.Image.fromarray(value)
