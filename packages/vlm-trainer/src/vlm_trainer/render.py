"""From a conversation to token ids and labels that are true to the text.

What is trained is found in the text (`vlm_trainer.spans`) and mapped to tokens by their
offsets. Pictures become repeated tokens afterwards, so that no label can fall on one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from vlm_trainer.chat import IMAGE_TOKEN, VISION_ROLE_TOKENS, Chat
from vlm_trainer.conversation import Conversation, answer_text
from vlm_trainer.errors import Reason, RowError
from vlm_trainer.labels import LabelRule
from vlm_trainer.pixels import Patches, cut_patches, open_image
from vlm_trainer.shrink import TokenLimit, shrunk_rule
from vlm_trainer.sizes import PixelRule, image_tokens
from vlm_trainer.spans import token_weights, write

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

IGNORED = -100  # torch.nn.CrossEntropyLoss ignores this label
ANSWERS = LabelRule()
Alter = Callable[[int, "Image.Image"], "Image.Image"]  # a picture's number, the picture


@dataclass(frozen=True, slots=True)
class Rendered:
    """A conversation ready to be collated.

    Args:
        ids: int64 of shape (T,), image tokens repeated as often as the picture needs.
        labels: int64 of shape (T,): the id where trained, else -100.
        images: Patches of each picture, in order; empty when only lengths were asked for.
        weights: float32 of shape (T,), above 0 where there is a label; None when each label
            counts the same.
        shrunk_to: The ``max_pixels`` under which the row's pictures make it fit; None when
            they are shown as any other.
    """

    ids: np.ndarray[Any, Any]
    labels: np.ndarray[Any, Any]
    images: tuple[Patches, ...] = ()
    weights: np.ndarray[Any, Any] | None = None
    shrunk_to: int | None = None

    def rule(self, rule: PixelRule) -> PixelRule:
        """Return the sizes of this row's pictures, given those of the run."""
        return rule if self.shrunk_to is None else replace(rule, max_pixels=self.shrunk_to)


def render(
    conversation: Conversation,
    chat: Chat,
    rule: PixelRule,
    labels: LabelRule = ANSWERS,
    limit: TokenLimit | None = None,
    alter: Alter | None = None,
) -> Rendered:
    """Render text, labels and pictures of one conversation.

    Args:
        conversation: With the bytes of its pictures.
        chat: Template and tokenizer of the model.
        rule: Sizes and values of its image processor.
        labels: What is trained.
        limit: The longest row; None for any.
        alter: Changes a picture and keeps its size.

    Raises:
        RowError: What `lay_out` refuses; ``image-unreadable``, ``image-too-large``,
            ``image-size-differs`` when a picture is not what its shard says.
    """
    laid_out = lay_out(conversation, chat, rule, labels, limit)
    pictures = read_pictures(conversation, laid_out.rule(rule), alter)
    return replace(laid_out, images=tuple(pictures))


def lay_out(
    conversation: Conversation,
    chat: Chat,
    rule: PixelRule,
    labels: LabelRule = ANSWERS,
    limit: TokenLimit | None = None,
) -> Rendered:
    """Render ids and labels from text and picture sizes, without opening a picture.

    The trained span of an answer is its content, the end token and the line break that
    the template writes after it, exactly what TRL's ``assistant_only_loss`` masks, but for
    the tokens around a picture.

    Raises:
        RowError: ``no-supervised-token``, ``answer-not-rendered``, ``row-too-long``,
            ``control-token-in-text``, ``flag-not-understood``, ``image-count-differs``,
            ``image-too-narrow``, ``image-for-text-model``, ``template-not-incremental``.
    """
    import numpy as np

    _check_pictures(conversation, chat)
    _check_texts(conversation, chat)
    written = write(conversation, chat, labels)
    encoding = chat.tokenizer.encode(written.text, add_special_tokens=False)
    ids = np.asarray(encoding.ids, dtype=np.int64)
    offsets_T2 = np.asarray(encoding.offsets, dtype=np.int64).reshape(-1, 2)
    weights = token_weights(offsets_T2, written, labels.json_focus)
    if chat.image_token_id is not None:
        around = map(chat.tokenizer.token_to_id, VISION_ROLE_TOKENS)
        weights[np.isin(ids, [token_id for token_id in around if token_id is not None])] = 0
    fitted = _fitted_rule(conversation, rule, limit, len(ids))
    repeats = _repeats(ids, chat, _image_counts(conversation, fitted))
    ids, weights = np.repeat(ids, repeats), np.repeat(weights, repeats)
    if not weights[1:].any():  # the first token is never predicted
        seen = f"no text to train on ({labels.train_on})"
        raise RowError(Reason.NO_SUPERVISED_TOKEN, "$.messages", seen)
    return Rendered(
        ids=ids,
        labels=np.where(weights > 0, ids, IGNORED),
        weights=weights if labels.is_weighted else None,
        shrunk_to=None if fitted is rule else fitted.max_pixels,
    )


def lay_out_prompt(
    conversation: Conversation, chat: Chat, rule: PixelRule, limit: TokenLimit | None = None
) -> Rendered:
    """Lay out what asks for an answer to all messages of a conversation.

    Args:
        conversation: Pictures by their sizes.
        chat: Template and tokenizer of the model.
        rule: Sizes of its image processor.
        limit: The longest prompt; None for any.

    Returns:
        Ids that end where the answer begins, without labels.

    Raises:
        RowError: As `lay_out`, except that no answer is needed.
    """
    import numpy as np

    _check_pictures(conversation, chat)
    _check_texts(conversation, chat)
    text = chat.write(conversation.messages, conversation.tools, open_answer=True)
    ids = np.asarray(chat.tokenizer.encode(text, add_special_tokens=False).ids, dtype=np.int64)
    fitted = _fitted_rule(conversation, rule, limit, len(ids))
    ids = np.repeat(ids, _repeats(ids, chat, _image_counts(conversation, fitted)))
    shrunk_to = None if fitted is rule else fitted.max_pixels
    return Rendered(ids, np.full_like(ids, IGNORED), shrunk_to=shrunk_to)


def loses_tools(conversation: Conversation, chat: Chat) -> bool:
    """Whether a row has tools of which the chat template writes nothing, as Qwen2.5-VL's."""
    if not conversation.tools:
        return False
    messages = conversation.messages
    return chat.write(messages, conversation.tools) == chat.write(messages)


def _fitted_rule(
    conversation: Conversation, rule: PixelRule, limit: TokenLimit | None, tokens: int
) -> PixelRule:
    """Return sizes under which a row fits: its own, or smaller ones where that is wanted.

    Args:
        conversation: The row.
        rule: Its own sizes.
        limit: The longest row; None for any.
        tokens: Of the row, each picture still one.
    """
    sizes = conversation.image_sizes
    words = tokens - len(sizes)
    whole = words + sum(_image_counts(conversation, rule))
    if limit is None or whole <= limit.tokens:
        return rule
    smaller = shrunk_rule(sizes, rule, limit.tokens - words) if limit.shrinks and sizes else None
    if smaller is None:
        seen = f"{whole} tokens, --max-length {limit.tokens}"
        raise RowError(Reason.ROW_TOO_LONG, "$.messages", seen)
    return smaller


def _check_texts(conversation: Conversation, chat: Chat) -> None:
    for index, message in enumerate(conversation.messages):
        found = chat.control.search(answer_text(message))
        if found:
            where = f"$.messages[{index}].content"
            raise RowError(Reason.CONTROL_TOKEN_IN_TEXT, where, found.group())


def _check_pictures(conversation: Conversation, chat: Chat) -> None:
    parts = sum(
        part["type"] == "image" for message in conversation.messages for part in message["content"]
    )
    sizes = conversation.image_sizes
    if parts != len(sizes) or (conversation.images and len(conversation.images) != parts):
        seen = f"{parts} image parts, {len(sizes)} images"
        raise RowError(Reason.IMAGE_COUNT_DIFFERS, "$.images", seen)
    if parts and chat.image_token_id is None:
        raise RowError(Reason.IMAGE_FOR_TEXT_MODEL, "$.images", f"{parts} images")


def _image_counts(conversation: Conversation, rule: PixelRule) -> list[int]:
    sizes = conversation.image_sizes
    return [image_tokens(size, rule, f"$.images[{index}]") for index, size in enumerate(sizes)]


def _repeats(ids: np.ndarray[Any, Any], chat: Chat, counts: Sequence[int]) -> np.ndarray[Any, Any]:
    """Say how often each token stands: the n-th image token as often as its picture needs."""
    import numpy as np

    repeats = np.ones(len(ids), dtype=np.int64)
    places = np.flatnonzero(ids == (-1 if chat.image_token_id is None else chat.image_token_id))
    if len(places) != len(counts):
        seen = f"{len(places)} times {IMAGE_TOKEN} in the rendered text, {len(counts)} images"
        raise RowError(Reason.IMAGE_COUNT_DIFFERS, "$.images", seen)
    repeats[places] = counts
    return repeats


def read_pictures(
    conversation: Conversation, rule: PixelRule, alter: Alter | None = None
) -> Iterator[Patches]:
    """Open the pictures of a row and cut them into patches, one after the other.

    Raises:
        RowError: ``image-unreadable``, ``image-too-large``, ``image-size-differs``.
    """
    for index, data in enumerate(conversation.images):
        where, size = f"$.images[{index}]", conversation.image_sizes[index]
        picture = open_image(data, where)
        if picture.size != (size.width_px, size.height_px):
            seen = f"{picture.size} decoded, {(size.width_px, size.height_px)} in the shard"
            raise RowError(Reason.IMAGE_SIZE_DIFFERS, where, seen)
        yield cut_patches(alter(index, picture) if alter else picture, rule, where)
