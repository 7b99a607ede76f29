"""Large base64 payloads, cut out of a line before it is parsed.

A JSON parser copies and checks every character of a string, and base64 is checked again when
it is decoded. Cut out beforehand it is read once: parsing and decoding a row with a picture
of 200 kB takes a quarter of the time. What cannot be cut safely is parsed whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from vlm_datakit.conversation import ImageForm, ImageSource
from vlm_datakit.plan import MIB

#: Stands in a string where a payload was, before its number. A character that a row may hold,
#: but hardly does; then the row is parsed whole.
MARK = "\x7f"
_MARK_BYTES = MARK.encode()
_MARK_ESCAPED = b"\\u007"  # and more characters than that one: none that is escaped in real rows
_LEAST_BYTES = 4096  # of a line or payload that is worth it
_MOST_BYTES = 16 * MIB  # of a line: it is kept until its row is converted
_PROBE_CHARS = 16  # of bare base64: by these it is told from a path
_DATA_URI = b";base64,"
_IN_BASE64 = (ImageForm.DATA_URI, ImageForm.BASE64)
# How bare base64 of a JPEG, PNG, WebP and GIF begins.
_BARE = (b'"/9j/', b'"iVBORw0KGgo', b'"UklGR', b'"R0lGOD')


class Cut(NamedTuple):
    """A line without its payloads, and these in the order of their numbers."""

    line: bytes
    payloads: tuple[memoryview, ...]


def cut(line: bytes) -> Cut | None:
    r"""Cut the payloads out of a line; None if there are none, or it would not be safe.

    What was cut is not yet known to be base64: whoever decodes it strictly proves it, and
    with it that the line was JSON there.

    Example:
        >>> line = b'{"image": "data:image/png;base64,' + b"A" * 5000 + b'"}'
        >>> found = cut(line)
        >>> found.line, len(found.payloads[0])
        (b'{"image": "data:image/png;base64,\x7f0"}', 5000)
    """
    if not _LEAST_BYTES <= len(line) <= _MOST_BYTES:
        return None
    view, done = memoryview(line), 0
    pieces, payloads = list[bytes | memoryview](), list[memoryview]()
    for start, kept, end in _spans(line):
        pieces += (view[done:kept], f"{MARK}{len(payloads)}".encode())
        payloads.append(view[start:end])
        done = end
    if not payloads:
        return None
    short = b"".join((*pieces, view[done:]))
    if short.count(_MARK_BYTES) != len(payloads) or _MARK_ESCAPED in short:
        return None
    return Cut(short, tuple(payloads))


def _spans(line: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield where payloads begin, how far they stay in the line, and where they end."""
    if _DATA_URI in line:
        yield from _spans_behind(line, _DATA_URI, len(_DATA_URI), 0)
        return
    for start in _BARE:
        if start in line:
            yield from _spans_behind(line, start, 1, _PROBE_CHARS)
            return


def _spans_behind(
    line: bytes, sign: bytes, sign_chars: int, kept_chars: int
) -> Iterator[tuple[int, int, int]]:
    at = line.find(sign)
    while at >= 0:
        start = at + sign_chars
        end = line.find(b'"', start)
        if end < 0:
            return
        if end - start >= _LEAST_BYTES:
            yield start, start + kept_chars, end
        at = line.find(sign, end)


def restored(
    images: Sequence[ImageSource], payloads: Sequence[memoryview]
) -> tuple[ImageSource, ...] | None:
    """Give the pictures of a row the payloads that stand for them.

    Returns:
        The pictures, or None unless each payload is the one of exactly one of them: one that
        stands in a text, or in a field that is not read, must not be taken for granted.
    """
    numbers = [_number(image) for image in images]
    if sorted([number for number in numbers if number is not None]) != [*range(len(payloads))]:
        return None
    return tuple(
        [
            image if number is None else ImageSource(image.form, payloads[number], image.where)
            for image, number in zip(images, numbers, strict=True)
        ]
    )


def _number(image: ImageSource) -> int | None:
    """Return the number of the payload that is all of a picture's base64, or None."""
    if image.form not in _IN_BASE64 or not isinstance(image.value, str):
        return None
    head, mark, digits = image.value.rpartition(MARK)
    if image.form is ImageForm.BASE64:
        is_all = len(head) == _PROBE_CHARS and ";" not in head
    else:  # what stands before the first comma says how the rest is coded
        is_all = head.find(",") == len(head) - 1
    return int(digits) if mark and is_all and digits.isdecimal() else None
