"""From a conversation to token ids and labels that are true to the text.

The template writes the whole text once; what it adds for an answer is the span that is
trained. Answers are found in the text and mapped to tokens by offsets, so no tokenizer
is ever asked to cut at a place where it would not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vlm_trainer.chat import IMAGE_TOKEN, Chat
from vlm_trainer.conversation import Conversation, answer_text
from vlm_trainer.errors import Reason, RowError
from vlm_trainer.pixels import Patches, cut_patches, open_image
from vlm_trainer.sizes import PixelRule, image_tokens

if TYPE_CHECKING:
    import numpy as np

IGNORED = -100  # torch.nn.CrossEntropyLoss ignores this label
SEEN_CHARS = 40

TrainOn = Callable[[Conversation], Sequence[int]]  # indices of the messages that are trained


@dataclass(frozen=True, slots=True)
class Rendered:
    """A conversation ready to be collated.

    Args:
        ids: int64 of shape (T,), image tokens repeated as often as the picture needs.
        labels: int64 of shape (T,): the id where trained, else -100.
        images: Patches of each picture, in order; empty when only lengths were asked for.
    """

    ids: np.ndarray[Any, Any]
    labels: np.ndarray[Any, Any]
    images: tuple[Patches, ...] = ()


def all_answers(conversation: Conversation) -> Sequence[int]:
    """Train on every assistant message (after the prompt, in the prompt/answer layout)."""
    return [
        index
        for index, message in enumerate(conversation.messages)
        if message["role"] == "assistant" and index >= conversation.first_answer
    ]


TRAIN_ON: dict[str, TrainOn] = {"answers": all_answers}


def render(
    conversation: Conversation, chat: Chat, rule: PixelRule, train_on: TrainOn = all_answers
) -> Rendered:
    """Render text, labels and pictures of one conversation.

    Args:
        conversation: With the bytes of its pictures.
        chat: Template and tokenizer of the model.
        rule: Sizes and values of its image processor.
        train_on: Chooses the messages that are trained.

    Raises:
        RowError: What `lay_out` refuses; ``image-unreadable``, ``image-too-large``,
            ``image-size-differs`` when a picture is not what its shard says.
    """
    laid_out = lay_out(conversation, chat, rule, train_on)
    patches = tuple(_read_pictures(conversation, rule))
    return Rendered(laid_out.ids, laid_out.labels, patches)


def lay_out(
    conversation: Conversation, chat: Chat, rule: PixelRule, train_on: TrainOn = all_answers
) -> Rendered:
    """Render ids and labels from text and picture sizes, without opening a picture.

    The trained span of an answer is its content, the end token and the line break that
    the template writes after it, exactly what TRL's ``assistant_only_loss`` masks. A
    token that lies across the border of a span belongs to it, as in TRL.

    Raises:
        RowError: ``no-supervised-token``, ``answer-not-rendered``,
            ``control-token-in-text``, ``image-count-differs``, ``image-too-narrow``,
            ``image-for-text-model``, ``template-not-incremental``.
    """
    import numpy as np

    counts = _image_counts(conversation, chat, rule)
    _check_texts(conversation, chat)
    trained = train_on(conversation)
    text, spans = _spans(conversation, chat, trained)
    encoding = chat.tokenizer.encode(text, add_special_tokens=False)
    ids = np.asarray(encoding.ids, dtype=np.int64)
    labels = np.full(len(ids), IGNORED, dtype=np.int64)
    starts, ends = np.asarray(encoding.offsets, dtype=np.int64).reshape(-1, 2).T
    for start, end in spans:
        inside = (ends > start) & (starts < end)
        labels[inside] = ids[inside]
    if chat.image_token_id is not None:
        labels[ids == chat.image_token_id] = IGNORED
        ids, labels = _repeat_image_tokens(ids, labels, chat.image_token_id, counts)
    if (labels[1:] == IGNORED).all():  # the first token is never predicted
        raise RowError(Reason.NO_SUPERVISED_TOKEN, "$.messages", "no assistant text to train on")
    return Rendered(ids, labels)


def prompt_ids(conversation: Conversation, chat: Chat, rule: PixelRule) -> np.ndarray[Any, Any]:
    """Return the ids that ask for an answer to all messages of a conversation.

    Raises:
        RowError: As `lay_out`, except that no answer is needed.
    """
    import numpy as np

    counts = _image_counts(conversation, chat, rule)
    _check_texts(conversation, chat)
    text = chat.write(conversation.messages, conversation.tools, open_answer=True)
    ids = np.asarray(chat.tokenizer.encode(text, add_special_tokens=False).ids, dtype=np.int64)
    if chat.image_token_id is None:
        return ids
    return _repeat_image_tokens(ids, ids, chat.image_token_id, counts)[0]


def _spans(
    conversation: Conversation, chat: Chat, trained: Sequence[int]
) -> tuple[str, list[tuple[int, int]]]:
    """Write the text and find the trained answers in it, as character ranges."""
    messages, tools = conversation.messages, conversation.tools
    text = chat.write(messages, tools)
    spans = []
    for index in trained:
        before = chat.write(messages[:index], tools, open_answer=True)
        after = chat.write(messages[: index + 1], tools)
        if not (text.startswith(after) and after.startswith(before)):
            where = f"$.messages[{index}]"
            raise RowError(Reason.TEMPLATE_NOT_INCREMENTAL, where, "answer cannot be located")
        spans.append((len(before), len(after)))
        _check_calls_rendered(conversation, index, after[len(before) :])
    return text, spans


def _check_calls_rendered(conversation: Conversation, index: int, written: str) -> None:
    message = conversation.messages[index]
    calls = message.get("tool_calls")
    if not calls or answer_text(message).strip():
        return
    name = str((calls[0].get("function") or calls[0]).get("name", ""))
    if not name or name not in written:
        where = f"$.messages[{index}].tool_calls"
        raise RowError(Reason.ANSWER_NOT_RENDERED, where, f"call of {name[:SEEN_CHARS]!r}")


def _check_texts(conversation: Conversation, chat: Chat) -> None:
    for index, message in enumerate(conversation.messages):
        found = chat.control.search(answer_text(message))
        if found:
            where = f"$.messages[{index}].content"
            raise RowError(Reason.CONTROL_TOKEN_IN_TEXT, where, found.group())


def _image_counts(conversation: Conversation, chat: Chat, rule: PixelRule) -> list[int]:
    parts = sum(
        part["type"] == "image" for message in conversation.messages for part in message["content"]
    )
    sizes = conversation.image_sizes
    if parts != len(sizes) or (conversation.images and len(conversation.images) != parts):
        seen = f"{parts} image parts, {len(sizes)} images"
        raise RowError(Reason.IMAGE_COUNT_DIFFERS, "$.images", seen)
    if parts and chat.image_token_id is None:
        raise RowError(Reason.IMAGE_FOR_TEXT_MODEL, "$.images", f"{parts} images")
    return [image_tokens(size, rule, f"$.images[{index}]") for index, size in enumerate(sizes)]


def _repeat_image_tokens(
    ids: np.ndarray[Any, Any], labels: np.ndarray[Any, Any], token_id: int, counts: Sequence[int]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Repeat the n-th image token as often as the n-th picture has tokens."""
    import numpy as np

    repeats = np.ones(len(ids), dtype=np.int64)
    places = np.flatnonzero(ids == token_id)
    if len(places) != len(counts):
        seen = f"{len(places)} times {IMAGE_TOKEN} in the rendered text, {len(counts)} images"
        raise RowError(Reason.IMAGE_COUNT_DIFFERS, "$.images", seen)
    repeats[places] = counts
    return np.repeat(ids, repeats), np.repeat(labels, repeats)


def _read_pictures(conversation: Conversation, rule: PixelRule) -> Iterator[Patches]:
    for index, data in enumerate(conversation.images):
        where, size = f"$.images[{index}]", conversation.image_sizes[index]
        picture = open_image(data, where)
        if picture.size != (size.width_px, size.height_px):
            seen = f"{picture.size} decoded, {(size.width_px, size.height_px)} in the shard"
            raise RowError(Reason.IMAGE_SIZE_DIFFERS, where, seen)
        yield cut_patches(picture, rule, where)
