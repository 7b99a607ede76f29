"""What a row format is: two pure functions, what it cannot hold, and how it is recognised."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pybase64

from vlm_datakit.conversation import Conversation, Draft, Image, ImageForm, ImageSource
from vlm_datakit.errors import Reason, RowError, quoted
from vlm_datakit.losses import Loss, Lost
from vlm_datakit.turns import text_field

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why rows look like a format: a score (higher is surer) and the words for a person."""

    score: int
    words: str


@dataclass(frozen=True, slots=True)
class Format:
    """One row format.

    Attributes:
        name: What ``--from`` and ``--to`` call it.
        parse: Fields of a row to a draft; raises `RowError`.
        render: A conversation, and its pictures spelled as texts, to a row of JSON values.
            What `losses` names is left out.
        losses: What of a conversation the format cannot hold; empty if all comes back.
        recognise: Evidence that a row is of this format, or None.
        cannot_hold: The kinds of all that `losses` may ever name, and all that its rows never have.
    """

    name: str
    parse: Callable[[Fields], Draft]
    render: Callable[[Conversation, Sequence[str]], dict[str, Any]]
    losses: Callable[[Conversation], tuple[Lost, ...]]
    recognise: Callable[[Fields], Evidence | None]
    cannot_hold: frozenset[Loss] = frozenset()


def data_uri(image: Image) -> str:
    """Spell a picture's bytes as a data URI, its media type told by its magic bytes.

    Source:
        RFC 2397.

    Example:
        >>> data_uri(Image(b"GIF", "image/gif", 1, 1))
        'data:image/gif;base64,R0lG'
    """
    return f"data:{image.media_type};base64,{pybase64.b64encode_as_string(image.data)}"


def base64_of(picture: str) -> tuple[str, str] | None:
    """Return media type and base64 of a picture that is spelled as a data URI, else None.

    Example:
        >>> base64_of("data:image/gif;base64,R0lG"), base64_of("scans/0001.png")
        (('image/gif', 'R0lG'), None)
    """
    head, mark, payload = picture.partition(";base64,")
    return (head[5:], payload) if mark and head.startswith("data:") else None


def in_base64(value: Any, where: str) -> ImageSource:
    """Return a picture whose field holds base64, whatever it looks like.

    Raises:
        RowError: ``field-missing``, ``field-not-text``.
    """
    text = text_field(value, where)
    if not text.strip():
        raise RowError(Reason.FIELD_MISSING, where, quoted(text))
    return ImageSource(ImageForm.BASE64, text, where)


def row_of(
    conversation: Conversation, format_: Format, spell: Callable[[Image], str] = data_uri
) -> dict[str, Any]:
    """Return a conversation as a row of a format.

    Args:
        conversation: What the format cannot hold of it is left out.
        format_: The format.
        spell: Makes a text of each picture.
    """
    pictures = [spell(image) for image in conversation.images]
    return format_.render(conversation, pictures)
