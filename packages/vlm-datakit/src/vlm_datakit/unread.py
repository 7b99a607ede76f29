"""What a format does not read, and may not be passed over: rows would teach something else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from vlm_datakit.conversation import Draft
from vlm_datakit.errors import Reason, RowError, quoted

_PICTURES = frozenset(
    {"image", "images", "img", "imgs", "picture", "pictures", "photo", "image_url", "image_urls"}
)
_IMAGE = frozenset({"image", "images", "image_url", "image_urls"})
_MEDIA = frozenset({"video", "videos", "audio", "audios"})
_BAD_MARKS = {"kto_tag": ("false", "False", "0", 0), "label": ()}
_FLAGS = re.compile(r"\.(weight|train|loss|loss_scale)$")
_NAMES_PICTURE = re.compile(r"(?i)^(data:|https?:|file:)|\.(jpe?g|png|webp|gif|bmp|tiff?)$")


def hold_unread(draft: Draft, fields: Mapping[str, Any]) -> None:
    """Refuse a row if what is ignored beside its texts changes what they say.

    Pictures in a column that the format does not read are only worth a warning if the row has
    pictures in their place, too.

    Args:
        draft: As parsed, with its warnings.
        fields: Of the same row.

    Raises:
        RowError: ``image-count-differs`` for pictures that have no place, ``part-unknown`` for
            videos and sounds, ``layout-differs`` for an answer that is marked as bad or as not
            to be learnt, and for a system prompt.
    """
    for warned in draft.warnings:
        if warned.reason is not Reason.FIELD_IGNORED:
            continue
        if _FLAGS.search(warned.where) and warned.seen in ("false", "0", "0.0"):
            seen = f"{warned.seen}: an answer that is not to be learnt"
            raise RowError(Reason.LAYOUT_DIFFERS, warned.where, seen)
        if (name := warned.where[2:]) in fields:
            _hold_column(name, fields[name], draft)


def _hold_column(name: str, value: Any, draft: Draft) -> None:
    where = f"$.{name}"
    if name in _PICTURES and not draft.images and _shows(name, value):
        seen = "pictures beside the text, and this format has no place for them"
        raise RowError(Reason.IMAGE_COUNT_DIFFERS, where, seen)
    if name in _MEDIA and value not in (0, False) and says_something(value):
        raise RowError(Reason.PART_UNKNOWN, where, quoted(value))
    is_told = any(message.role == "system" for message in draft.messages)
    if name == "system" and not is_told and isinstance(value, str) and value.strip():
        seen = f"{quoted(value)}: a system prompt that this format does not read"
        raise RowError(Reason.LAYOUT_DIFFERS, where, seen)
    if _is_bad_mark(name, value):
        raise RowError(Reason.LAYOUT_DIFFERS, where, f"{quoted(value)}: an answer marked as bad")


def _shows(name: str, value: Any) -> bool:
    """Whether a column holds pictures; one called otherwise than image may describe them."""
    if isinstance(value, str):
        return bool(value.strip()) and (name in _IMAGE or bool(_NAMES_PICTURE.search(value)))
    return value != b"" and says_something(value)


def _is_bad_mark(name: str, value: Any) -> bool:
    if name not in _BAD_MARKS:
        return False
    is_zero = value == 0 and not isinstance(value, bool) and 0 in _BAD_MARKS[name]
    return value is False or is_zero or (isinstance(value, str) and value in _BAD_MARKS[name])


def says_something(value: Any) -> bool:
    """Whether a column holds anything but nulls, however deep.

    Example:
        >>> says_something({"bytes": None, "path": None}), says_something(["a.png"])
        (False, True)
    """
    if isinstance(value, Mapping):
        return any(map(says_something, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(says_something, value))
    return value is not None and value != ""
