r"""Lines that differ from one seen before in nothing but texts and pictures.

Files are written by programs: one line is like the other, but for what it says. The first is
parsed, and remembered as what stands between its texts. A line with the same bytes there is JSON
of the same shape if its texts are JSON texts, since an object is made of nothing but its parts;
so only the texts are parsed, and the base64 of pictures goes straight to its decoder.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from vlm_datakit.conversation import ImageForm, ImageSource
from vlm_datakit.plain import Plain, PlainDraft, Shape

_STRING = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)"')
_TEXT = rb'((?>[^"\\\x00-\x1f]*(?:\\.[^"\\\x00-\x1f]*)*))'
_NUMBER_AS_ID = re.compile(rb'"id"\s*:\s*([0-9]+)\s*[,}]')
_WHOLE_NUMBER = rb"((?>0|[1-9][0-9]{0,17}))"  # as Python writes it, of 64 bits
_KEY_END = re.compile(rb"\s*:")
_MOST_STRINGS = 64  # of a line that is learned: each is tried
_MOST_BYTES = 1 << 20  # of such a line
_STAND_IN, _NUMBER_STAND_IN = "Which part of the row is this?", "314159265358979323"
_DATA_URI = b";base64,"


class _Place(NamedTuple):
    """The place of a text, of the id (which has no number), or of a picture's base64."""

    number: int | None
    holds: bytes | None = _TEXT  # the expression of what stands there; None: base64
    head_bytes: int = 0  # before the base64


@dataclass(frozen=True, slots=True)
class Pattern:
    """What stands between the texts of a line, and what row such a line is.

    ``pieces`` match what stands before, between and behind the base64 of its pictures, the texts
    as their groups. ``order`` says for each text of the row the how-manieth of the line it is; the
    id, if there is one, comes behind all of them.
    """

    shape: Shape
    pieces: tuple[re.Pattern[bytes], ...]
    order: tuple[int, ...]
    images: tuple[ImageSource, ...]  # without their texts, in the order of the line
    has_id: bool

    def read(self, line: bytes) -> PlainDraft | None:
        """Return the row that a line is, or None if it is another one, or a word is to be said.

        Its pictures are base64 that nobody has looked at.
        """
        at, texts, payloads = 0, list[bytes](), list[memoryview]()
        for piece in self.pieces[:-1]:
            if (found := piece.match(line, at)) is None:
                return None
            texts += found.groups()
            at = found.end()
            if (end := line.find(b'"', at)) < 0:
                return None
            payloads.append(memoryview(line)[at:end])
            at = end
        if (found := self.pieces[-1].fullmatch(line, at)) is None:
            return None
        texts += found.groups()
        said = _parsed(texts)
        if said is None:
            return None
        row_id = said[self.order[-1]] if self.has_id else None
        order = self.order[:-1] if self.has_id else self.order
        images = zip(self.images, payloads, strict=True)
        return PlainDraft(
            self.shape,
            tuple([said[number] for number in order]),
            tuple([ImageSource(image.form, data, image.where) for image, data in images]),
            row_id,
        )


def _parsed(texts: Sequence[bytes]) -> list[str] | None:
    """Return what JSON texts say; None if one is no such text, is blank or like a control token."""
    try:
        said: list[str] = orjson.loads(b'["' + b'","'.join(texts) + b'"]') if texts else []
    except orjson.JSONDecodeError:
        return None
    for text in said:
        if not text or "<|" in text or text.isspace():
            return None
    return said


def learned(line: bytes, plain: Plain) -> Pattern | None:
    r"""Return the pattern of a line; None if it is no plain row, or hides what comes from where.

    Args:
        line: One line, with its end.
        plain: Of a format that looks at no text of a row, bound to its checks.

    Example:
        >>> from vlm_datakit import formats
        >>> plain = formats.plain_of(formats.get("simple"))
        >>> pattern = learned(b'{"text": "2 + 2?", "response": "4"}\n', plain)
        >>> pattern.read(b'{"text": "A \\"word\\"", "response": "b"}\n').texts
        ('A "word"', 'b')
        >>> pattern.read(b'{"text": "a", "response": 7}\n') is None
        True
    """
    if len(line) > _MOST_BYTES or (row := _row(line, plain)) is None:
        return None
    values = sorted([*_strings(line), *map(_span, _NUMBER_AS_ID.finditer(line))])
    if len(values) > _MOST_STRINGS:
        return None
    places, pieces, done = list[_Place](), [b""], 0
    for start, end in values:
        place = _place(line, (start, end), row, plain)
        if place is not None:
            places.append(place)
            pieces[-1] += re.escape(line[done : start + place.head_bytes]) + (place.holds or b"")
            if place.holds is None:
                pieces.append(b"")
            done = end
    pieces[-1] += re.escape(line[done:])
    return _pattern(row, places, pieces)


def _row(line: bytes, plain: Plain) -> PlainDraft | None:
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return plain(fields) if isinstance(fields, dict) else None


def _strings(line: bytes) -> Iterator[tuple[int, int]]:
    """Yield where the texts of a line of JSON stand that are no keys."""
    for found in _STRING.finditer(line):
        if not _KEY_END.match(line, found.end()):
            yield _span(found)


def _span(found: re.Match[bytes]) -> tuple[int, int]:
    return found.span(1)


def _place(line: bytes, span: tuple[int, int], row: PlainDraft, plain: Plain) -> _Place | None:
    """Say what a text of a line becomes, by putting another one there; None: nothing by itself."""
    start, end = span
    is_text = line[start - 1] == ord('"')
    stand_in = _STAND_IN if is_text else _NUMBER_STAND_IN
    other = _row(line[:start] + stand_in.encode() + line[end:], plain)
    if other is None or other.shape != row.shape:
        return None
    texts = _differing(row.texts, other.texts)
    images = _differing(row.images, other.images)
    if len(texts) + len(images) + (row.id != other.id) != 1:
        return None
    if images:
        return _picture(images[0], row.images[images[0]], line[start:end])
    if texts:
        return _Place(texts[0]) if other.texts[texts[0]] == stand_in else None
    holds = _TEXT if is_text else _WHOLE_NUMBER
    return _Place(None, holds) if other.id == stand_in else None


def _picture(number: int, image: ImageSource, text: bytes) -> _Place | None:
    """Return the place of a picture that is given as base64, alone or behind a data URI's head."""
    if not isinstance(image.value, str) or image.value.encode() != text:
        return None
    if image.form is ImageForm.BASE64:
        return _Place(number, None)
    head, mark, _ = text.partition(_DATA_URI)
    if image.form is not ImageForm.DATA_URI or not mark or b"," in head:
        return None
    return _Place(number, None, len(head + mark))


def _differing(one: Sequence[object], other: Sequence[object]) -> list[int]:
    pairs = enumerate(zip(one, other, strict=True))
    return [number for number, (value, another) in pairs if value != another]


def _pattern(row: PlainDraft, places: Sequence[_Place], pieces: Sequence[bytes]) -> Pattern | None:
    """Return the pattern, if each text and picture of the row has its one place."""
    texts = [place.number for place in places if place.holds is not None]
    pictures = [place.number for place in places if place.holds is None]
    wanted = [*range(len(row.texts)), *([] if row.id is None else [None])]
    if pictures != [*range(len(row.images))]:
        return None
    if len(texts) != len(wanted) or set(texts) != set(wanted):
        return None
    return Pattern(
        row.shape,
        tuple([re.compile(piece, re.DOTALL) for piece in pieces]),
        tuple([texts.index(number) for number in wanted]),
        tuple([image._replace(value=None) for image in row.images]),
        row.id is not None,
    )
