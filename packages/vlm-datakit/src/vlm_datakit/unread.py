"""What a format does not read, and may not be passed over: rows would teach something else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vlm_datakit.conversation import Draft
from vlm_datakit.errors import Reason, RowError, quoted

_PICTURES = frozenset(
    {"image", "images", "img", "imgs", "picture", "pictures", "photo", "image_url", "image_urls"}
)
_MEDIA = frozenset({"video", "videos", "audio", "audios"})
_BAD_MARKS = {"kto_tag": ("false", "False", "0", 0), "label": ("false", "False")}


def hold_unread(draft: Draft, fields: Mapping[str, Any]) -> None:
    """Refuse a row if what is ignored beside its texts changes what they say.

    Pictures in a column that the format does not read are only worth a warning if the row has
    pictures in their place, too.

    Args:
        draft: As parsed, with its warnings.
        fields: Of the same row.

    Raises:
        RowError: ``image-count-differs`` for pictures that have no place, ``part-unknown`` for
            videos and sounds, ``layout-differs`` for an answer that is marked as bad.
    """
    for warned in draft.warnings:
        name = warned.where[2:]
        if warned.reason is not Reason.FIELD_IGNORED or name not in fields:
            continue
        value = fields[name]
        if name in _PICTURES and not draft.images and says_something(value):
            seen = "pictures beside the text, and this format has no place for them"
            raise RowError(Reason.IMAGE_COUNT_DIFFERS, warned.where, seen)
        if name in _MEDIA and says_something(value):
            raise RowError(Reason.PART_UNKNOWN, warned.where, quoted(value))
        if _is_bad_mark(name, value):
            seen = f"{quoted(value)}: an answer marked as bad"
            raise RowError(Reason.LAYOUT_DIFFERS, warned.where, seen)


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
