"""What the columns of rows hold, told by types and contents.

A column is a place that a mapping can name: ``question``, ``info.title``, ``qa[*].answer``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from vlm_datakit.conversation import ImageForm
from vlm_datakit.errors import RowError
from vlm_datakit.images.kind import classify
from vlm_datakit.images.magic import HEAD_BYTES, media_type
from vlm_datakit.mapping.dialogue import transcript
from vlm_datakit.mapping.lookup import Found
from vlm_datakit.mapping.names import weight

Fields = Mapping[str, Any]
_DEEPEST, _MOST = 4, 300
_PICTURE = re.compile(
    r"\.(?:jpe?g|png|gif|webp|bmp|tiff?|heic|avif|jp2)(?:[?#].*)?$", re.IGNORECASE
)
_PLAYED = re.compile(
    r"\.(?:wav|mp3|flac|ogg|opus|m4a|aac|mp4|m4v|mkv|mov|avi|webm|mpe?g)$", re.IGNORECASE
)
_NUMBER = re.compile(r"\s*-?\d+(?:\.\d+)?\s*")
SPEAKERS = frozenset(
    ["user", "assistant", "system", "tool", "human", "gpt", "prompter", "bot", "model", "function"]
)


class Holds(StrEnum):
    """What the values of a column are."""

    PICTURE = "a picture"
    PICTURES = "pictures"
    TEXT = "texts"
    TEXTS = "lists of texts"
    MESSAGES = "messages of role and content"
    TURNS = "turns of from and value"
    TRANSCRIPT = "transcripts"
    TURN = "one message"
    PLAYED = "sound or video"
    NUMBER = "numbers"
    NUMBERS = "lists of numbers"
    CLASS = "names of classes"
    CLASSES = "lists of classes"
    OBJECT = "objects"
    OBJECTS = "lists of objects"
    NOTHING = "nothing"
    OTHER = "something else"


_LISTS = (Holds.TEXTS, Holds.MESSAGES, Holds.TURNS, Holds.NUMBERS, Holds.CLASSES, Holds.OBJECTS)
_TEXTS = (Holds.TEXT, Holds.TRANSCRIPT, Holds.CLASS)
_KINDS: dict[Holds, type | tuple[type, ...]] = {
    **dict.fromkeys(_LISTS, (list, tuple)),
    **dict.fromkeys(_TEXTS, str),
    **dict.fromkeys((Holds.TURN, Holds.OBJECT), Mapping),
    Holds.NUMBER: (int, float),
}


@dataclass(frozen=True, slots=True)
class Column:
    """A place in rows, what stands there, and the values of the rows that have one.

    ``order`` is its number among all; ``form`` says how pictures are given.
    """

    path: str
    holds: Holds
    values: tuple[Any, ...]
    order: int
    rows: int
    form: ImageForm | None = None

    @property
    def depth(self) -> int:
        """How deep in the row it stands; a column of the row is at 0."""
        return self.path.count(".")

    @property
    def is_filled(self) -> bool:
        """Whether most rows have a value that is not empty."""
        given = [v for v in self.values if not isinstance(v, (str, list, tuple, dict)) or v]
        return len(given) * 2 > self.rows


def columns_of(rows: Sequence[Fields], features: Mapping[str, Any] | None = None) -> list[Column]:
    """Return the columns of rows, those inside objects too.

    Args:
        rows: As a source gives them.
        features: As ``Features.to_dict()`` gives them, where known.

    Example:
        >>> found = columns_of([{"q": "Why is it so?", "info": {"n": 3}}])
        >>> [(column.path, column.holds.value) for column in found]
        [('q', 'texts'), ('info', 'objects'), ('info.n', 'numbers')]
    """
    found = list[Column]()
    names = dict.fromkeys(name for row in rows for name in row if name)
    for name in names:
        values = [row.get(name) for row in rows]
        for path, inner, feature in _places(name, values, (features or {}).get(name), 0):
            if len(found) >= _MOST:
                return found
            found.append(_column(path, inner, feature, (len(found), len(rows))))
    return found


def _places(
    path: str, values: list[Any], feature: Any, depth: int
) -> Iterator[tuple[str, list[Any], Any]]:
    yield path, values, feature
    if depth >= _DEEPEST:
        return
    given = [value for value in values if value is not None]
    if given and all(_is_plain_object(value) for value in given):
        for key in _keys(given):
            inner = [value.get(key) if value is not None else None for value in values]
            yield from _places(f"{path}.{key}", inner, _inside(feature, key), depth + 1)
    elif given and all(_is_object_list(value) for value in given) and any(given):
        for key in _keys([one for value in given for one in value]):
            each = [[one.get(key) for one in value] if value else None for value in values]
            yield from _in_each(f"{path}[*].{key}", each, depth + 1)


def _in_each(path: str, values: list[Any], depth: int) -> Iterator[tuple[str, list[Any], Any]]:
    """Yield a place behind ``[*]``, and those inside it."""
    yield path, values, None
    inner = [one for value in values for one in value or () if one is not None]
    if depth < _DEEPEST and inner and all(_is_plain_object(one) for one in inner):
        for key in _keys(inner):
            each = [[_get(one, key) for one in value] if value else None for value in values]
            yield from _in_each(f"{path}.{key}", each, depth + 1)


def _get(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, Mapping) else None


def _keys(values: Sequence[Any]) -> list[str]:
    names = dict.fromkeys(key for value in values for key in value if isinstance(key, str) and key)
    return list(names)[:50]


def _is_plain_object(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and picture_form(value) is None
        and not is_turn(value)
        and not is_played(value)
    )


def _is_object_list(value: Any) -> bool:
    return isinstance(value, list) and all(_is_plain_object(one) for one in value)


def _inside(feature: Any, key: str) -> Any:
    return feature.get(key) if isinstance(feature, Mapping) else None


def _column(path: str, values: list[Any], feature: Any, at: tuple[int, int]) -> Column:
    given = tuple(value for value in values if value is not None)
    holds, form = _of_feature(feature, given), None
    if holds is None:
        holds, form = _of_values(path, given)
    elif holds in (Holds.PICTURE, Holds.PICTURES):
        form = ImageForm.BYTES
    kind = _KINDS.get(holds, object)
    return Column(path, holds, tuple(v for v in given if isinstance(v, kind)), *at, form)


def _of_feature(feature: Any, values: Sequence[Any]) -> Holds | None:
    """Return what a feature of ``datasets`` says by itself."""
    if isinstance(feature, list) and len(feature) == 1:
        inner = _of_feature(feature[0], [])
    elif isinstance(feature, Mapping) and feature.get("_type") in ("List", "LargeList", "Sequence"):
        inner = _of_feature(feature.get("feature"), [])
    else:
        kind = feature.get("_type") if isinstance(feature, Mapping) else None
        if kind in ("Image", "Audio", "Video"):
            return Holds.PICTURE if kind == "Image" else Holds.PLAYED
        is_named = kind == "ClassLabel" and all(isinstance(value, str) for value in values)
        return Holds.CLASS if is_named else None
    return {Holds.PICTURE: Holds.PICTURES, Holds.CLASS: Holds.CLASSES}.get(inner or Holds.OTHER)


def _of_values(path: str, values: Sequence[Any]) -> tuple[Holds, ImageForm | None]:
    if not values:
        return Holds.NOTHING, None
    form = next((form for value in values if (form := picture_form(value)) is not None), None)
    if form is not None and _most(values, lambda value: picture_form(value) is not None):
        return Holds.PICTURE, form
    if _most(values, lambda value: isinstance(value, str)):
        return _of_texts(path, [value for value in values if isinstance(value, str)])
    for holds, test in _PLAIN:
        if _most(values, test):
            return holds, None
    if _most(values, lambda value: isinstance(value, (list, tuple))):
        lists = [value for value in values if isinstance(value, (list, tuple))]
        return _of_inner(path, [one for value in lists for one in value if one is not None])
    return Holds.OTHER, None


def _of_texts(path: str, values: Sequence[str]) -> tuple[Holds, ImageForm | None]:
    said = [value for value in values if value.strip()]
    is_url = said and all(re.match(r"https?://\S+$", value) for value in said)
    are_pictures = sum(bool(_PICTURE.search(value)) for value in said) * 2 > len(said)
    if is_url and (are_pictures or weight("image", path) or weight("caption", path)):
        return Holds.PICTURE, ImageForm.URL
    if said and _most(said, is_transcript):
        return Holds.TRANSCRIPT, None
    return Holds.TEXT, None


def _of_inner(path: str, values: Sequence[Any]) -> tuple[Holds, ImageForm | None]:
    """Return what lists hold, told by all that stands in them."""
    if not values:
        return Holds.NOTHING, None
    if all(isinstance(value, Mapping) and "from" in value and "value" in value for value in values):
        return Holds.TURNS, None
    if all(is_turn(value) for value in values):
        return Holds.MESSAGES, None
    if _most(values, lambda value: isinstance(value, str) and bool(_NUMBER.fullmatch(value))):
        is_rating = weight("rating", path) or weight("rank", path)
        are_marks = all(value in ("0", "1") for value in values)
        return (Holds.NUMBERS if is_rating or are_marks else Holds.TEXTS), None
    holds, form = _of_values(path, values)
    lists = {
        Holds.PICTURE: Holds.PICTURES,
        Holds.TEXT: Holds.TEXTS,
        Holds.TRANSCRIPT: Holds.TEXTS,
        Holds.NUMBER: Holds.NUMBERS,
        Holds.OBJECT: Holds.OBJECTS,
    }
    return lists.get(holds, Holds.OTHER), form


def _most(values: Sequence[Any], holds: Any) -> bool:
    return sum(bool(holds(value)) for value in values) * 10 >= len(values) * 9


def picture_form(value: Any) -> ImageForm | None:
    """Return how a value gives a picture, None if it is none by its type and contents.

    Example:
        >>> picture_form("scans/1.PNG").value, picture_form("A cat."), picture_form({"bytes": b"x"})
        ('path', None, <ImageForm.BYTES: 'bytes'>)
    """
    if isinstance(value, Mapping) and (not _is_file(value) or is_played(value)):
        return None
    try:
        form = classify(value, "$").form
    except RowError:
        return None
    if form in (ImageForm.PATH, ImageForm.URL) and isinstance(value, str):
        is_named = "\n" not in value and len(value) < 2_000 and _PICTURE.search(value)
        return form if is_named and (" " not in value or form == ImageForm.PATH) else None
    if form == ImageForm.DATA_URI and not value.lstrip().lower().startswith("data:image/"):
        return None
    return form


def _is_file(value: Mapping[str, Any]) -> bool:
    return bool(value) and value.keys() <= {"bytes", "path"}


def is_played(value: Any) -> bool:
    """Whether a value is a file of sound or video, by its name or its first bytes.

    Example:
        >>> is_played({"bytes": b"fLaC", "path": None}), is_played({"bytes": b"x", "path": "1.png"})
        (True, False)
    """
    if not isinstance(value, Mapping):
        return False
    name, head = value.get("path"), value.get("bytes")
    if isinstance(name, str) and _PLAYED.search(name):
        return True
    if not isinstance(head, (bytes, bytearray)):
        return False
    is_riff = head[:4] == b"RIFF" and head[8:12] in (b"WAVE", b"AVI ")
    is_mp4 = head[4:8] == b"ftyp" and media_type(bytes(head[:HEAD_BYTES])) is None
    return is_riff or is_mp4 or head.startswith((b"fLaC", b"OggS", b"ID3", b"\x1aE\xdf\xa3"))


def is_turn(value: Any) -> bool:
    """Whether a value is a message of role and content, or a turn of from and value."""
    if not isinstance(value, Mapping):
        return False
    if "role" in value and "content" in value:
        return isinstance(value["role"], str) and value["role"] in SPEAKERS
    return "from" in value and "value" in value and isinstance(value["from"], str)


_PLAIN: tuple[tuple[Holds, Callable[[Any], bool]], ...] = (
    (Holds.TURN, is_turn),
    (Holds.PLAYED, is_played),
    (Holds.OBJECT, lambda value: isinstance(value, Mapping)),
    (Holds.NUMBER, lambda value: isinstance(value, (int, float))),
)


def is_transcript(text: str) -> bool:
    """Whether a text begins with a speaker's tag, as `vlm_datakit.mapping.dialogue` reads it."""
    try:
        return bool(transcript(Found(text, "$")))
    except RowError:
        return False
