"""Places of pictures as ``<image>`` in texts: bound to parts, and written back to the character.

In the formats that do so ``<image>``, ``<video>`` and ``<audio>`` are places and never text:
their trainers count each in all texts, so a text that only spells one cannot be written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from vlm_datakit.conversation import ImageRef, ImageSource, Message, Part, Text
from vlm_datakit.errors import Reason, RowError, quoted
from vlm_datakit.images.kind import classify
from vlm_datakit.losses import Loss, Lost, details_lost
from vlm_datakit.plain import PICTURE, TEXT, PlainDraft, Turn
from vlm_datakit.turns import count_images, is_known, plain_id, sole_text, text_field
from vlm_datakit.unread import says_something

IMAGE = "<image>"
_MEDIA = {"<video>": "videos", "<audio>": "audios"}
_ASKING = frozenset({"user", "tool"})

#: What `texts_lost` may name.
TEXTS_CANNOT_HOLD = frozenset({Loss.DETAIL, Loss.JOINED_TEXTS, Loss.PLACEHOLDER})


def bind(text: str) -> tuple[Part, ...]:
    r"""Split a text at its ``<image>``; what stands around it stays, line ends and all.

    Example:
        >>> bind("<image>\nWhat is it?")
        (ImageRef(detail=None), Text(text='\nWhat is it?'))
    """
    parts: list[Part] = []
    for index, piece in enumerate(text.split(IMAGE)):
        if index:
            parts.append(ImageRef())
        if piece:
            parts.append(Text(piece))
    return tuple(parts) or (Text(""),)


def unbind(content: Sequence[Part]) -> str:
    """Return the text that `bind` splits into these parts.

    Example:
        >>> unbind((Text("Before: "), ImageRef()))
        'Before: <image>'
    """
    if (text := sole_text(content)) is not None:
        return text
    return "".join([part.text if isinstance(part, Text) else IMAGE for part in content])


def content_of(value: Any, role: str, where: str) -> tuple[Part, ...]:
    """Read a text of a speaker; pictures stand in questions and in what tools say.

    Raises:
        RowError: ``field-missing``, ``field-not-text``; ``image-in-answer`` for an ``<image>``
            elsewhere; ``part-unknown`` for the place of a video or a sound.
    """
    text = text_field(value, where)
    if "<" in text:
        for tag in _MEDIA:
            if tag in text:
                raise RowError(Reason.PART_UNKNOWN, where, quoted(tag))
        if role not in _ASKING and IMAGE in text:
            raise RowError(Reason.IMAGE_IN_ANSWER, where, quoted(IMAGE))
    return bind(text)


def images_of(fields: Mapping[str, Any], columns: Sequence[str]) -> tuple[ImageSource, ...]:
    """Return the pictures of a row: those of the first of the columns that has any.

    Raises:
        RowError: ``field-missing``, ``field-wrong-type``, as `classify`; ``part-unknown``
            for a row that has videos or sounds.
    """
    for column in ("video", "audio", *_MEDIA.values()):
        if fields.get(column):
            raise RowError(Reason.PART_UNKNOWN, f"$.{column}", quoted(fields[column]))
    given = [name for name in columns if has_images(fields.get(name))]
    if not given:
        return ()
    column, value = given[0], fields[given[0]]
    if not isinstance(value, (list, tuple)):
        return (classify(value, f"$.{column}"),)
    return tuple(classify(item, f"$.{column}[{index}]") for index, item in enumerate(value))


def has_images(value: Any) -> bool:
    """Whether a column of pictures says something; never decodes one."""
    return bool(value) if isinstance(value, (list, tuple)) else says_something(value)


class Spelling(NamedTuple):
    """What rows of turns call their columns and keys, and the roles of ordinary speakers."""

    turns: str
    who: str
    what: str
    roles: Mapping[str, str]


def plain_turns(fields: Mapping[str, Any], spelling: Spelling) -> PlainDraft | None:
    """Read a row of nothing but turns of texts, and maybe a column of pictures spelled as texts.

    None for anything else, and unless there is an ``<image>`` in a question for each picture.
    """
    column = next((name for name in ("images", "image") if name in fields), None)
    values = fields.get(spelling.turns)
    if type(values) is not list or not is_known(fields, 1 if column is None else 2):
        return None
    images = _plain_images(fields[column]) if column else ()
    turns, texts, places = list[Turn](), list[str](), 0
    for value in values:
        if type(value) is not dict or len(value) != 2:
            return None
        who, text = value.get(spelling.who), value.get(spelling.what)
        role = spelling.roles.get(who) if type(who) is str else None
        if role is None or type(text) is not str:
            return None
        if "<" not in text:
            turns.append(Turn(role))
            texts.append(text)
            continue
        if (role != "user" and IMAGE in text) or any(tag in text for tag in _MEDIA):
            return None
        content = bind(text)
        said = [part.text for part in content if isinstance(part, Text)]
        letters = [TEXT if isinstance(part, Text) else PICTURE for part in content]
        turns.append(Turn(role, "".join(letters)))
        texts += said
        places += len(content) - len(said)
    if not turns or images is None or places != len(images):
        return None
    return PlainDraft((tuple(turns),), tuple(texts), images, plain_id(fields))


def _plain_images(value: Any) -> tuple[ImageSource, ...] | None:
    """Return pictures that are a text or a list of texts; None for anything else."""
    values = value if type(value) is list else [value]
    if all(type(image) is str and image.strip() for image in values):
        return tuple([classify(image, "$.images") for image in values])
    return None


def hold_counts(messages: tuple[Message, ...], images: Sequence[ImageSource]) -> None:
    """Hold a row to as many ``<image>`` as pictures.

    Raises:
        RowError: ``image-count-differs``.
    """
    if (places := count_images(messages)) != len(images):
        seen = f"{places} {IMAGE} for {len(images)} images"
        raise RowError(Reason.IMAGE_COUNT_DIFFERS, "$.images", seen)


def texts_lost(message: Message, where: str) -> list[Lost]:
    """Name what of a message's parts one text with tags cannot hold."""
    text = sole_text(message.content)
    if text is not None and "<" not in text:
        return []
    found, text = details_lost(message, where), unbind(message.content)
    places = count_images((message,)) if message.role in _ASKING else 0
    is_call = not message.content and "tool_calls" in message.extras  # these are lost, no text is
    tag = next((tag for tag in _MEDIA if tag in text), None)
    if text.count(IMAGE) != places:
        tag = IMAGE
    if tag is not None:
        found.append(Lost(Loss.PLACEHOLDER, f"{where}.content", f"a text that spells {tag}"))
    elif bare(message.content) != bind(text) and not is_call:
        texts = len(message.content) - places
        found.append(Lost(Loss.JOINED_TEXTS, f"{where}.content", f"{texts} texts in one message"))
    return found


def bare(content: Sequence[Part]) -> tuple[Part, ...]:
    """Return parts, of pictures only the place."""
    return tuple([part if isinstance(part, Text) else ImageRef() for part in content])
