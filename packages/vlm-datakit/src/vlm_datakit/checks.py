"""What every written conversation holds to, whatever format it came from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from vlm_datakit.conversation import Conversation, Image, ImageRef, Message, Text, Warned
from vlm_datakit.errors import Reason, RowError, quoted
from vlm_datakit.plain import (
    PICTURE,
    TEXT,
    Plain,
    PlainDraft,
    PlainRow,
    Shape,
    TextColumns,
    conversation_of,
)
from vlm_datakit.turns import count_images, spoken

#: Texts that Qwen's tokenizer reads as one special token; the trainer refuses such rows.
SPECIAL_TOKENS = (
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
    "<|endoftext|>",
)
_IMAGE_ROLES = frozenset({"user", "tool"})


def checker(layout: str, *, with_images: bool) -> Callable[[Conversation], tuple[Warned, ...]]:
    """Return `check` bound to what the plan writes.

    Args:
        layout: conversation, answer or pair.
        with_images: Whether the shards have image columns.
    """

    def check_planned(conversation: Conversation) -> tuple[Warned, ...]:
        found = layout_of(conversation)
        if found != layout:
            raise RowError(Reason.LAYOUT_DIFFERS, "$", f"{found}, and the plan has {layout}")
        if conversation.images and not with_images:
            raise RowError(Reason.IMAGE_NOT_IN_PLAN, "$", f"{len(conversation.images)} images")
        return check(conversation)

    return check_planned


def plain_checker(plain: Plain, layout: str | None = None, *, with_images: bool = True) -> Plain:
    """Return `plain` of a format bound to what the plan writes.

    Args:
        plain: Of the format.
        layout: conversation, answer or pair; None: any, where no shards are written.
        with_images: Whether the shards have image columns.

    Returns:
        The row only if the check that `checker` returns would pass it without a word.
    """
    last: Shape | None = None

    def plain_and_sound(fields: Mapping[str, Any]) -> PlainDraft | None:
        nonlocal last
        row = plain(fields)
        if row is None:
            return None
        for text in row.texts:
            if not text or "<|" in text or text.isspace():
                return None
        if row.shape is not last:
            if not _is_sound(row.shape, layout, with_images):
                return None
            last = row.shape
        return row

    return plain_and_sound


def sound_columns(
    columns: TextColumns | None, layout: str, *, with_images: bool
) -> TextColumns | None:
    """Return the text columns of a format if a plan can write them as they are.

    Args:
        columns: Of the format, if it has any.
        layout: conversation, answer or pair.
        with_images: Whether the shards have image columns, which no text column fills.
    """
    if columns is None or with_images or not _is_sound(columns.shape, layout, with_images):
        return None
    return columns


@lru_cache(maxsize=1024)
def _is_sound(shape: Shape, layout: str | None, with_images: bool) -> bool:  # noqa: FBT001 - of a cache
    """Whether messages of this shape pass, whatever they say and show."""
    parts = [part for turns in shape for turn in turns for part in turn.parts]
    images = (Image(b"", "", 1, 1),) * parts.count(PICTURE)
    row = PlainRow(shape, ("-",) * parts.count(TEXT), images)
    judge = check if layout is None else checker(layout, with_images=with_images)
    try:
        return not judge(conversation_of(row))
    except RowError:
        return False


def layout_of(conversation: Conversation) -> str:
    """Name the shard layout a conversation belongs to."""
    if conversation.rejected:
        return "pair"
    return "conversation" if conversation.prompt_messages is None else "answer"


def check(conversation: Conversation) -> tuple[Warned, ...]:
    """Hold a conversation to the invariants; return what is worth knowing about it.

    Raises:
        RowError: ``image-count-differs``, ``image-in-answer``, ``roles-out-of-order``
            (the first message after leading system messages is not the user's, or a
            system message stands later), ``answer-missing``.
    """
    messages = conversation.messages
    places = count_images(messages)
    if places != len(conversation.images):
        seen = f"{places} places for {len(conversation.images)} images"
        raise RowError(Reason.IMAGE_COUNT_DIFFERS, "$", seen)
    _check_roles(messages)
    _check_answers(messages[conversation.prompt_messages or 0 :], "$")
    if conversation.rejected:
        _check_answers(conversation.rejected, "$.rejected")
    if places:
        _check_images_stand_in_questions(messages, "$.messages")
    found = _warnings(messages, "$.messages")
    if conversation.rejected:
        _check_images_stand_in_questions(conversation.rejected, "$.rejected")
        found += _warnings(conversation.rejected, "$.rejected")
    return (*found, *_image_warnings(conversation.images))


def _check_answers(answers: tuple[Message, ...], where: str) -> None:
    if "assistant" not in [message.role for message in answers]:
        raise RowError(Reason.ANSWER_MISSING, where, f"{len(answers)} messages, none an answer")


def _check_roles(messages: tuple[Message, ...]) -> None:
    roles = [message.role for message in messages]
    if roles[:1] == ["user"] and "system" not in roles:
        return
    leading = next((i for i, role in enumerate(roles) if role != "system"), len(roles))
    if leading < len(roles) and roles[leading] != "user":
        raise RowError(Reason.ROLES_OUT_OF_ORDER, f"$.messages[{leading}]", quoted(roles[leading]))
    if "system" in roles[leading:]:
        late = roles.index("system", leading)
        raise RowError(Reason.ROLES_OUT_OF_ORDER, f"$.messages[{late}]", quoted("system"))


def _check_images_stand_in_questions(messages: tuple[Message, ...], column: str) -> None:
    for index, message in enumerate(messages):
        if message.role not in _IMAGE_ROLES and any(
            isinstance(part, ImageRef) for part in message.content
        ):
            raise RowError(Reason.IMAGE_IN_ANSWER, f"{column}[{index}]", quoted(message.role))


def _warnings(messages: tuple[Message, ...], column: str) -> list[Warned]:
    found = []
    for index, message in enumerate(messages):
        is_answer = message.role == "assistant" and not message.extras.get("tool_calls")
        if is_answer and not (text := spoken(message)).strip():
            found.append(Warned(Reason.ANSWER_EMPTY, f"{column}[{index}]", quoted(text)))
        for part in message.content:
            if isinstance(part, Text) and "<|" in part.text:
                found += _special_tokens(part.text, f"{column}[{index}]")
    if messages[-1].role != "assistant":
        where = f"{column}[{len(messages) - 1}]"
        found.append(Warned(Reason.ENDS_WITHOUT_ANSWER, where, quoted(messages[-1].role)))
    return found


def _image_warnings(images: tuple[Image, ...]) -> list[Warned]:
    return [
        Warned(Reason.IMAGE_FIRST_FRAME_ONLY, f"image {index}", image.media_type)
        for index, image in enumerate(images)
        if "frames" in image.rewritten
    ]


def _special_tokens(text: str, where: str) -> list[Warned]:
    return [
        Warned(Reason.LITERAL_SPECIAL_TOKEN, where, quoted(token))
        for token in SPECIAL_TOKENS
        if token in text
    ]
