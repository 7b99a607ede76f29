"""Steps that say where in a text the pictures of a row stand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from vlm_datakit.errors import SEEN_CHARS, Reason, RowError, quoted
from vlm_datakit.mapping.lookup import Found
from vlm_datakit.turns import list_field, object_field, text_field

#: A place of a picture in a text.
PLACE = re.compile(r"<image(?: (\d+))?>")
_IMAGE = {"type": "image"}


def image_places(texts: Found) -> Any:
    r"""Return a text, or messages, with the place of a picture for each ``<image>``.

    ``<image 1>``, ``<image 2>`` must count from 1. A line break between the text and the
    placeholders before or behind all of it belongs to them.

    Example:
        >>> image_places(Found("<image>\nFind x.", "$.problem"))[0]["content"]
        [{'type': 'image'}, {'type': 'text', 'text': 'Find x.'}]
        >>> image_places(Found("Find x.", "$.problem"))
        'Find x.'
    """
    if isinstance(texts.value, (list, tuple)):
        given = list_field(texts.value, texts.where)
        return [_with_places(value, texts.at(index)) for index, value in enumerate(given)]
    text = text_field(texts.value, texts.where)
    content = placed(text, texts.where)
    return text if content == text else [{"role": "user", "content": content}]


def _with_places(value: Any, where: str) -> Mapping[str, Any]:
    message = object_field(value, where)
    content = message.get("content")
    if not isinstance(content, str):
        return message
    return {**message, "content": placed(content, f"{where}.content")}


def placed(text: str, where: str) -> str | list[dict[str, str]]:
    """Return a text as parts if there is a placeholder in it, else as it is.

    Raises:
        RowError: ``image-count-differs`` for numbered places that do not count from 1.

    Example:
        >>> placed("See <image 1>.", "$.q")[1:]
        [{'type': 'image'}, {'type': 'text', 'text': '.'}]
    """
    numbers = [found[1] for found in PLACE.finditer(text)]
    if not numbers:
        return text
    in_order = [str(number) for number in range(1, len(numbers) + 1)]
    if any(numbers) and numbers != in_order:
        found = ", ".join(number or "not" for number in numbers)
        seen = f"places numbered {found[:SEEN_CHARS]}"
        raise RowError(Reason.IMAGE_COUNT_DIFFERS, where, seen)
    parts = list[dict[str, str]]()
    for index, piece in enumerate(_trimmed(PLACE.sub("<image>", text).split("<image>"))):
        parts += [dict(_IMAGE)] if index else []
        parts += [{"type": "text", "text": piece}] if piece else []
    return parts


def _trimmed(pieces: list[str]) -> list[str]:
    """Take a line break off the texts beside placeholders that lead or end the whole."""
    for index in range(1, len(pieces)):
        if any(pieces[:index]):
            break
        pieces[index] = pieces[index].removeprefix("\n")
    for index in range(len(pieces) - 2, -1, -1):
        if any(pieces[index + 1 :]):
            break
        pieces[index] = pieces[index].removesuffix("\n")
    return pieces


def interleaved(texts: Found, images: Found) -> list[dict[str, Any]]:
    """Return one question of two lists, where each place is a text or a picture, not both.

    Example:
        >>> texts = Found(["Is", None, "a cat?"], "$.texts")
        >>> images = Found([None, "a.png", None], "$.images")
        >>> [part["type"] for part in interleaved(texts, images)[0]["content"]]
        ['text', 'image', 'text']
    """
    said = list_field(texts.value, texts.where)
    shown = list_field(images.value, images.where)
    if len(said) != len(shown):
        seen = f"{quoted(shown)} beside {quoted(said)}"
        raise RowError(Reason.FIELD_WRONG_TYPE, images.where, seen)
    parts = list[dict[str, Any]]()
    for index, (text, image) in enumerate(zip(said, shown, strict=True)):
        if (text is None) == (image is None):
            seen = "neither text nor picture" if text is None else "a text and a picture"
            raise RowError(Reason.FIELD_WRONG_TYPE, texts.at(index), seen)
        is_text = image is None
        parts.append(
            {"type": "text", "text": text_field(text, texts.at(index))} if is_text else dict(_IMAGE)
        )
    return [{"role": "user", "content": parts}]


def without_nulls(values: Found) -> list[Any]:
    """Return the values of a list that are not null.

    Example:
        >>> without_nulls(Found([None, "a.png"], "$.images"))
        ['a.png']
    """
    return [value for value in list_field(values.value, values.where) if value is not None]


def images_by_index(images: Found, messages: Found) -> list[Any]:
    """Return pictures in the order in which image parts of messages name them by ``index``.

    A picture that no part names would be lost, so the row is refused.

    Example:
        >>> parts = [{"type": "image", "index": 1}, {"type": "image", "index": 0}]
        >>> messages = [{"role": "user", "content": parts}]
        >>> images_by_index(Found(["a.png", "b.png"], "$.images"), Found(messages, "$.messages"))
        ['b.png', 'a.png']
    """
    given, ordered, named = list_field(images.value, images.where), list[Any](), set[int]()
    for part, where in _image_parts(messages):
        index = part.get("index")
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(given):
            seen = f"{quoted(index)}, of {len(given)} pictures"
            raise RowError(Reason.IMAGE_COUNT_DIFFERS, f"{where}.index", seen)
        ordered.append(given[index])
        named.add(index)
    if len(named) < len(given):
        seen = f"{len(given)} pictures, {len(named)} of them named"
        raise RowError(Reason.IMAGE_COUNT_DIFFERS, images.where, seen)
    return ordered


def without_index(messages: Found) -> list[Any]:
    """Return messages without the ``index`` of their parts, which `images_by_index` used.

    Example:
        >>> parts = [{"type": "image", "index": 0}]
        >>> without_index(Found([{"role": "user", "content": parts}], "$.messages"))
        [{'role': 'user', 'content': [{'type': 'image'}]}]
    """
    given = list_field(messages.value, messages.where)
    return [_bare(value, messages.at(index)) for index, value in enumerate(given)]


def _bare(value: Any, where: str) -> Mapping[str, Any]:
    message = object_field(value, where)
    content = message.get("content")
    if not isinstance(content, (list, tuple)):
        return message
    parts = [
        {key: inner for key, inner in part.items() if key != "index"}
        if isinstance(part, Mapping)
        else part
        for part in content
    ]
    return {**message, "content": parts}


def _image_parts(messages: Found) -> list[tuple[Mapping[str, Any], str]]:
    found = []
    for index, value in enumerate(list_field(messages.value, messages.where)):
        content = object_field(value, messages.at(index)).get("content")
        for number, part in enumerate(content if isinstance(content, (list, tuple)) else ()):
            if isinstance(part, Mapping) and part.get("type") == "image":
                found.append((part, f"{messages.at(index)}.content[{number}]"))
    return found
