r"""Lines that differ from one seen before in nothing but texts and pictures.

Files are written by programs: one line is like the other, but for what it says. The first is
parsed, and remembered as what stands between its texts. A line with the same bytes there is JSON
of the same shape if its texts are JSON texts, since an object is made of nothing but its parts;
so only the texts are parsed, and the base64 of pictures goes straight to its decoder.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from vlm_datakit.conversation import ImageForm, ImageSource
from vlm_datakit.plain import Plain, PlainDraft, Shape

_STRING = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)"')
_NUMBER_AS_ID = re.compile(rb'"id"\s*:\s*([0-9]+)\s*[,}]')
_WHOLE_NUMBER = re.compile(rb"0|[1-9][0-9]{0,17}")  # as Python writes it, of 64 bits
_KEY_END = re.compile(rb"\s*:")
_MOST_STRINGS = 64  # of a line that is learned: each is tried
_MOST_BYTES = 1 << 20  # of such a line
_STAND_IN, _NUMBER_STAND_IN = "Which part of the row is this?", "314159265358979323"
_DATA_URI = b";base64,"
_TEXT, _NUMBER, _BASE64 = "text", "number", "base64"  # what stands in a place of a line


class _Place(NamedTuple):
    """The place of a text, of the id (which has no number), or of a picture's base64."""

    number: int | None
    kind: str = _TEXT
    head_bytes: int = 0  # before the base64


@dataclass(frozen=True, slots=True)
class Pattern:
    """What stands between the texts of a line, and what row such a line is.

    A line begins with ``start``; ``values`` are what stands there then, and the bytes behind it.
    ``order`` says for each text of the row the how-manieth of the line it is; the id, if there is
    one, comes behind all of them.
    """

    shape: Shape
    start: bytes
    values: tuple[tuple[str, bytes], ...]
    order: tuple[int, ...]
    images: tuple[ImageSource, ...]  # without their texts, in the order of the line
    has_id: bool

    def read(self, line: bytes) -> PlainDraft | None:
        """Return the row that a line is, or None if it is another one, or a word is to be said.

        Its pictures are base64 that nobody has looked at.
        """
        texts = list[bytes]()
        return rows_of([self.cut(line, texts)], texts)[0]

    def cut(self, line: bytes, texts: list[bytes]) -> Cut | None:
        """Return what a line is cut into, and append its texts; None, and nothing, if it is other.

        A text ends where the bytes behind it come first. Should they be its own, it ends with a
        backslash, or there is a quotation mark in it, which makes two texts of it for `rows_of`.
        """
        if not line.startswith(self.start):
            return None
        at, found, payloads = len(self.start), list[bytes](), list[memoryview]()
        for kind, behind in self.values:
            end = line.find(b'"' if kind is _BASE64 else behind, at)
            if end < 0:
                return None
            if kind is _BASE64:
                if not line.startswith(behind, end):
                    return None
                payloads.append(memoryview(line)[at:end])
            else:
                found.append(value := line[at:end])
                if value.endswith(b"\\") or (kind is _NUMBER and not _is_number(value)):
                    return None
            at = end + len(behind)
        if at != len(line):
            return None
        start = len(texts)
        texts += found
        return Cut(self, start, len(texts), payloads)

    def row(self, said: Sequence[str], payloads: Sequence[memoryview]) -> PlainDraft:
        """Return the row of these texts and pictures, in the order of the line."""
        texts = tuple([said[number] for number in self.order])
        sources = [
            ImageSource(form, data, where)
            for (form, _, where), data in zip(self.images, payloads, strict=True)
        ]
        if self.has_id:
            return PlainDraft(self.shape, texts[:-1], tuple(sources), texts[-1])
        return PlainDraft(self.shape, texts, tuple(sources))


class Cut(NamedTuple):
    """A line that has a pattern: from where to where texts are its own; its base64."""

    pattern: Pattern
    start: int
    end: int
    payloads: Sequence[memoryview]


def rows_of(cuts: Iterable[Cut | None], texts: Sequence[bytes]) -> list[PlainDraft | None]:
    """Return the rows that lines are cut into, those of many read together.

    Args:
        cuts: Of one line after the other; None has no pattern.
        texts: Of all of them.

    Returns:
        For each line its row; None also where a text is none, or a word is to be said of it.
    """
    said, rows = _parsed(texts), list[PlainDraft | None]()
    all_plain = said is not None and _are_plain(said)
    for cut in cuts:
        row = None
        if cut is not None:
            pattern, start, end, payloads = cut
            own = _parsed(texts[start:end]) if said is None else said[start:end]
            if own is not None and (all_plain or _are_plain(own)):
                row = pattern.row(own, payloads)
        rows.append(row)
    return rows


def _parsed(texts: Sequence[bytes]) -> list[str] | None:
    """Return what JSON texts say; None if one is no such text.

    None of them ends with a backslash, so each makes one text of the list or more.
    """
    try:
        said: list[str] = orjson.loads(b'["' + b'","'.join(texts) + b'"]') if texts else []
    except orjson.JSONDecodeError:
        return None
    return said if len(said) == len(texts) else None


def _are_plain(said: Sequence[str]) -> bool:
    """Whether no text is blank, or like a control token."""
    return all(said) and "<|" not in "\n".join(said) and not any(map(str.isspace, said))


def _is_number(value: bytes) -> bool:
    return _WHOLE_NUMBER.fullmatch(value) is not None


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
    places, between, done = list[_Place](), list[bytes](), 0
    for start, end in values:
        place = _place(line, (start, end), row, plain)
        if place is not None:
            places.append(place)
            between.append(line[done : start + place.head_bytes])
            done = end
    return _pattern(row, places, [*between, line[done:]])


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
    kind = _TEXT if is_text else _NUMBER
    return _Place(None, kind) if other.id == stand_in else None


def _picture(number: int, image: ImageSource, text: bytes) -> _Place | None:
    """Return the place of a picture that is given as base64, alone or behind a data URI's head."""
    if not isinstance(image.value, str) or image.value.encode() != text:
        return None
    if image.form is ImageForm.BASE64:
        return _Place(number, _BASE64)
    head, mark, _ = text.partition(_DATA_URI)
    if image.form is not ImageForm.DATA_URI or not mark or b"," in head:
        return None
    return _Place(number, _BASE64, len(head + mark))


def _differing(one: Sequence[object], other: Sequence[object]) -> list[int]:
    pairs = enumerate(zip(one, other, strict=True))
    return [number for number, (value, another) in pairs if value != another]


def _pattern(row: PlainDraft, places: Sequence[_Place], between: Sequence[bytes]) -> Pattern | None:
    """Return the pattern, if each text and picture of the row has its one place."""
    texts = [place.number for place in places if place.kind is not _BASE64]
    pictures = [place.number for place in places if place.kind is _BASE64]
    wanted = [*range(len(row.texts)), *([] if row.id is None else [None])]
    if pictures != [*range(len(row.images))]:
        return None
    if len(texts) != len(wanted) or set(texts) != set(wanted):
        return None
    return Pattern(
        row.shape,
        between[0],
        tuple(zip([place.kind for place in places], between[1:], strict=True)),
        tuple([texts.index(number) for number in wanted]),
        tuple([image._replace(value=None) for image in row.images]),
        row.id is not None,
    )
