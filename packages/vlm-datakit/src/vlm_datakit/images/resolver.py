"""From what a row said to an opened picture: bytes, limits, header, canonical form."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import PIL.Image

from vlm_datakit.conversation import Image, ImageForm, ImageSource
from vlm_datakit.errors import Reason, RowError, quoted
from vlm_datakit.images.base64_text import decode, decode_payload
from vlm_datakit.images.canonical import (
    causes,
    encoded,
    rewriting_bytes,
    rewritten,
)
from vlm_datakit.images.cost import decoding_bytes, stored_bytes
from vlm_datakit.images.flat import bytes_of_floats, flattened
from vlm_datakit.images.header import (
    ALLOWED,
    check_decodes,
    check_memory,
    judge_size,
    parse_header,
    refusing,
)
from vlm_datakit.plan import ImagePolicy, Limits

_USER_INFO = re.compile(r"[^/@?#]*:.*@", re.DOTALL)
_LIKE_ALLOWED = ("MPO", "HEIF")  # a JPEG with others behind it; opened by pillow-heif
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
            return _from_object(source.value, self, source.where)
        return open_image(self._file_bytes(source), self.limits, self.policy, source.where)

    def _file_bytes(self, source: ImageSource) -> bytes:
        max_bytes = self.limits.max_image_bytes
        if isinstance(source.value, memoryview):
            return decode_payload(source.value, max_bytes=max_bytes, where=source.where)
        match source.form:
            case ImageForm.DATA_URI | ImageForm.BASE64:
                return decode(source.value, max_bytes=max_bytes, where=source.where)
            case ImageForm.PATH:
                return self.read_file(source.value, max_bytes, source.where)
            case ImageForm.URL:
                return self.read_url(source.value, max_bytes, source.where)
        data: bytes = source.value
        return data


@dataclass(frozen=True, slots=True)
class Keeper:
    """How pictures are opened whose rows are written again with the texts they had.

    What can be opened here is opened, so that a bad picture is refused; a URL passes unseen.
    """

    opener: Opener

    def __call__(self, source: ImageSource) -> Image:
        """Open one picture and keep how the row spelled it.

        Raises:
            RowError: as `Opener`.
        """
        if source.form is ImageForm.URL:
            return Image(b"", "", 0, 0, spelled=source.value)
        is_text = isinstance(source.value, str)
        return self.opener(source)._replace(spelled=source.value if is_text else None)


def open_image(data: bytes, limits: Limits, policy: ImagePolicy, where: str) -> Image:
    """Judge image bytes and make them what the policy says; clean ones pass as the same object.

    Raises:
        RowError: ``image-too-large``, ``image-type-unsupported``, ``image-unreadable``.
    """
    header = parse_header(data, limits, where)
    found = causes(header, policy)
    if not found:
        if policy.check == "decode" or not header.is_whole:
            check_memory(decoding_bytes(header, jpeg_scale=8), limits.max_decoded_bytes, where)
            check_decodes(data, where)
        return Image(data, header.media_type, header.width_px, header.height_px)
    check_memory(rewriting_bytes(header, policy), limits.max_decoded_bytes, where)
    image = rewritten(data, header, policy, where)
    judge_size(image.width_px, image.height_px, limits, where)
    return image


def without_secrets(url: str) -> str:
    """Return a URL without user info, query and fragment: each may be a key to somebody's bucket.

    Example:
        >>> without_secrets("https://me:key@images.example/a.png?token=1")
        'https://images.example/a.png'
    """
    scheme, _, rest = url.partition("://")
    if _USER_INFO.match(rest):  # a password may hold a slash or a question mark
        rest = rest.rpartition("@")[2]
    host, slash, path = re.split(r"[?#]", rest, maxsplit=1)[0].partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def _from_object(value: Any, opener: Opener, where: str) -> Image:
    """Encode a PIL image or an array as PNG, without loss."""
    is_picture = isinstance(value, PIL.Image.Image)
    width, height = value.size if is_picture else _array_size(value, where)
    judge_size(width, height, opener.limits, where)
    if is_picture and value.format not in (None, *ALLOWED, *_LIKE_ALLOWED):
        seen = f"opened as {value.format}; a copy() of it would do"
        raise RowError(Reason.IMAGE_TYPE_UNSUPPORTED, where, seen)
    needed = 2 * stored_bytes(value.mode if is_picture else "RGB", width * height)
    check_memory(needed, opener.limits.max_decoded_bytes, where)
    with refusing(where):  # a picture may be decoded only now: truncated, closed
        flat = flattened(value if is_picture else _from_array(value, where), where)
        data = encoded(flat, is_photo=False)
    policy = replace(opener.policy, check="structure")  # it was decoded already
    return open_image(data, opener.limits, policy, where)


def _array_size(value: Any, where: str) -> tuple[int, int]:
    shape: tuple[int, ...] = tuple(getattr(value, "shape", ()))
    is_picture = len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4))
    if not is_picture or 0 in shape:
        kind = getattr(value, "dtype", "?")
        raise RowError(Reason.IMAGE_TYPE_UNSUPPORTED, where, f"an array {shape} of {kind}")
    return shape[1], shape[0]


def _from_array(value: Any, where: str) -> PIL.Image.Image:
    """Return an array (H x W, or with 1, 3 or 4 channels) as a picture.

    8-bit values are taken as they are, floats as 0 (black) to 1 (white); nothing else is
    guessed.
    """
    if value.dtype.kind == "f":
        value = bytes_of_floats(value, where)
    elif str(value.dtype) != "uint8":
        seen = f"an array {tuple(value.shape)} of {value.dtype}"
        raise RowError(Reason.IMAGE_TYPE_UNSUPPORTED, where, seen)
    return PIL.Image.fromarray(value[:, :, 0] if value.shape[2:] == (1,) else value)
