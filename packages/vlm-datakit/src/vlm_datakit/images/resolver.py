"""From what a row said to an opened picture: bytes, limits, header, canonical form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import PIL.Image

from vlm_datakit.conversation import Image, ImageForm, ImageSource
from vlm_datakit.errors import Reason, RowError, quoted
from vlm_datakit.images.base64_text import decode
from vlm_datakit.images.canonical import canonical, causes, encoded, flattened
from vlm_datakit.images.header import check_decodes, parse_header
from vlm_datakit.plan import ImagePolicy, Limits

Read = Callable[[str, int, str], bytes]  # name or URL, max_bytes, where


def not_fetched(url: str, max_bytes: int, where: str) -> bytes:  # noqa: ARG001 - a `Read`
    """Refuse a picture named by URL: the reader for runs that fetch nothing.

    Raises:
        RowError: ``image-url-not-fetched``, always.
    """
    raise RowError(Reason.IMAGE_URL_NOT_FETCHED, where, quoted(without_secrets(url)))


@dataclass(frozen=True, slots=True)
class Opener:
    """How pictures are opened: limits, what becomes of them, and who reads what they name.

    ``read_file`` and ``read_url`` return the bytes of a file or raise a `RowError`; roots,
    addresses and networks are their business.
    """

    limits: Limits
    policy: ImagePolicy
    read_file: Read
    read_url: Read = not_fetched

    def __call__(self, source: ImageSource) -> Image:
        """Open one picture.

        Raises:
            RowError: with a reason that starts with ``image-``.
        """
        if source.form is ImageForm.OBJECT:
            return _from_object(source.value, self.limits, source.where)
        return open_image(self._file_bytes(source), self.limits, source.where)

    def _file_bytes(self, source: ImageSource) -> bytes:
        max_bytes = self.limits.max_image_bytes
        match source.form:
            case ImageForm.DATA_URI | ImageForm.BASE64:
                return decode(source.value, max_bytes=max_bytes, where=source.where)
            case ImageForm.PATH:
                return self.read_file(source.value, max_bytes, source.where)
            case ImageForm.URL:
                return self.read_url(source.value, max_bytes, source.where)
        data: bytes = source.value
        return data


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


def without_secrets(url: str) -> str:
    """Return a URL without user info and query: either may be a key to somebody's bucket.

    Example:
        >>> without_secrets("https://me:key@images.example/a.png?token=1")
        'https://images.example/a.png'
    """
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
