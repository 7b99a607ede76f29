"""Strict base64: a lenient decoder turns a mistyped path into garbage bytes.

Strict is also the fast way: pybase64 with ``validate=True`` takes about 18 µs for a
300 KB file, with ``validate=False`` about 1,500 µs.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

import pybase64

from vlm_datakit.errors import Reason, RowError

_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_WHITE_SPACE = b" \t\n\r\v\f"
# As the WHATWG's fetch standard reads data URIs: spaces may stand before the word.
_IN_BASE64 = re.compile(r";\s*base64\s*", re.IGNORECASE)
_ESCAPE_CHARS = 3  # "%2B"
_PIECE_CHARS = 1 << 16


def decode(text: str, *, max_bytes: int, where: str) -> bytes:
    """Decode a data URI or bare base64 text to the bytes of a file.

    Accepts ``data:<media type>;base64,<payload>``, a percent-coded data URI, and the
    payload alone. White space, missing padding and the URL-safe alphabet are tolerated;
    any other foreign character is an error.

    Args:
        text: The value found in the row.
        max_bytes: Largest decoded size allowed, in bytes. Checked *before* decoding,
            from the length of the text.
        where: JSON path of the value in the row, for the error.

    Returns:
        The decoded file, not yet looked at: it may still not be an image.

    Raises:
        RowError: ``image-not-base64`` if the payload does not decode or is empty;
            ``image-too-large`` if it would exceed ``max_bytes``.

    Source:
        RFC 4648 sections 4 and 5 (alphabets, padding), RFC 2397 (data URIs).

    Example:
        >>> decode("data:image/gif;base64,R0lG", max_bytes=8, where="$.image")
        b'GIF'
    """
    payload, in_base64 = _payload(text, where)
    if not in_base64:
        return _unquoted(payload, max_bytes, where)
    data = _strictly(payload) if _decoded_size(payload) <= max_bytes else None
    if data is None:
        tidy = _tidied(payload)  # white space counts for nothing
        if _decoded_size(tidy) > max_bytes:
            raise RowError(Reason.IMAGE_TOO_LARGE, where, f"over {max_bytes} bytes")
        data = _strictly(tidy)
    if not data:
        raise RowError(Reason.IMAGE_NOT_BASE64, where, f"{len(payload)} characters")
    return data


def decode_payload(payload: memoryview, *, max_bytes: int, where: str) -> bytes:
    """Decode base64 that was cut out of a line: nothing is tolerated.

    Raises:
        RowError: ``image-too-large``, ``image-not-base64``.
    """
    if len(payload) * 3 // 4 - 2 > max_bytes:
        raise RowError(Reason.IMAGE_TOO_LARGE, where, f"over {max_bytes} bytes")
    data = _strictly(payload)
    if not data or len(data) > max_bytes:
        raise RowError(Reason.IMAGE_NOT_BASE64, where, f"{len(payload)} characters")
    return data


def _payload(text: str, where: str) -> tuple[str, bool]:
    head = text[:64].lstrip()
    if head[:5].lower() != "data:":
        return text, True
    meta, comma, payload = text.partition(",")
    if not comma:
        raise RowError(Reason.IMAGE_NOT_BASE64, where, "a data URI without a comma")
    return payload, _IN_BASE64.fullmatch(meta, meta.rfind(";")) is not None


def _unquoted(payload: str, max_bytes: int, where: str) -> bytes:
    if len(payload) > _ESCAPE_CHARS * max_bytes:
        raise RowError(Reason.IMAGE_TOO_LARGE, where, f"over {max_bytes} bytes")
    data = _percent_decoded(payload)
    if len(data) > max_bytes:
        raise RowError(Reason.IMAGE_TOO_LARGE, where, f"over {max_bytes} bytes")
    if not data:
        raise RowError(Reason.IMAGE_NOT_BASE64, where, "an empty data URI")
    return data


def _percent_decoded(text: str) -> bytes:
    """Decode percent codes piece by piece: `unquote_to_bytes` makes a list of all of them."""
    pieces, start = [], 0
    while start < len(text):
        end = start + _PIECE_CHARS
        cut = text.rfind("%", end - _ESCAPE_CHARS + 1, end)  # not inside a code
        end = cut if cut > start else end
        pieces.append(unquote_to_bytes(text[start:end]))
        start = end
    return b"".join(pieces)


def _decoded_size(payload: str | bytes) -> int:
    padding = "=" if isinstance(payload, str) else b"="
    return (len(payload) - payload[-2:].count(padding)) * 3 // 4  # type: ignore[arg-type]


def _strictly(payload: str | bytes | memoryview) -> bytes | None:
    try:
        return pybase64.b64decode(payload, validate=True)
    except ValueError:  # binascii.Error, or characters beyond ASCII
        return None


def _tidied(payload: str) -> bytes:
    """Return the payload in the standard alphabet: no white space, padded, unquoted.

    Characters beyond ASCII become one that no base64 has.
    """
    if "%" in payload:
        tidy = _percent_decoded(payload)
    else:
        tidy = payload.encode("ascii", errors="replace")
    tidy = tidy.translate(_URL_SAFE, _WHITE_SPACE)
    if len(tidy) % 4 == 0:
        return tidy
    bare = tidy.rstrip(b"=")
    return bare + b"=" * (-len(bare) % 4)
