"""Where answers and texts stand in what the chat template has written.

Found in the text of the template, never by cutting tokens: a tokenizer is not asked to cut
at a place where it would not. What cannot be found to the letter refuses its row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from vlm_trainer.chat import Chat
from vlm_trainer.conversation import Conversation, Message, answer_text
from vlm_trainer.errors import Reason, RowError
from vlm_trainer.json_spans import structure_spans
from vlm_trainer.labels import LabelRule, trained_messages

if TYPE_CHECKING:
    import numpy as np

SEEN_CHARS = 40
MARKS = range(0xE000, 0xF900)  # the private use area of Unicode

Range = tuple[int, int]


class Written(NamedTuple):
    """A conversation as its template writes it.

    Args:
        text: All of it.
        trained: Ranges of characters that are trained, with their weight.
        form: Ranges within these that are the form of JSON, rising.
    """

    text: str
    trained: list[tuple[int, int, float]]
    form: list[Range]


def write(conversation: Conversation, chat: Chat, rule: LabelRule) -> Written:
    """Write a conversation and find in it what is trained.

    Of an answer that is its content, the end token and the line break that the template
    writes after it; of any other message its texts alone.

    Raises:
        RowError: ``template-not-incremental``, ``answer-not-rendered``,
            ``flag-not-understood``.
    """
    weights = trained_messages(conversation, rule.train_on)
    text = chat.write(conversation.messages, conversation.tools)
    trained, answers = [], []
    for index, weight in weights.items():
        if conversation.messages[index]["role"] == "assistant":
            answers.append(index)
            trained.append((*_answer_range(conversation, chat, text, index), weight))
    others = [index for index in weights if index not in answers]
    shaped = _shaped(conversation, answers, rule)
    places = _text_ranges(conversation, chat, text) if others or shaped else []
    trained += [(*place, weights[index]) for index in others for place in places[index]]
    form = [place for index, spans in shaped.items() for place in _moved(spans, places[index])]
    return Written(text, trained, form)


def token_weights(
    offsets_T2: np.ndarray[Any, Any], written: Written, form_weight: float | None
) -> np.ndarray[Any, Any]:
    """Weigh tokens by the characters they stand for.

    A token that lies across the border of a trained range belongs to it, as in TRL. A token
    is form only if all its characters are: one that holds a bracket and the beginning of a
    value keeps its whole weight.

    Args:
        offsets_T2: First character of each token, and the one behind its last.
        written: What is trained, and what of it is form.
        form_weight: Of tokens that are form; None leaves them as they are.

    Returns:
        float32 of shape (T,); 0 for tokens that are not trained.

    Example:
        >>> import numpy as np
        >>> offsets = np.asarray([(0, 4), (4, 6), (6, 8), (8, 9), (9, 10)])
        >>> written = Written('ask:[1, 2]', [(4, 10, 1.0)], [(4, 5), (6, 8), (9, 10)])
        >>> token_weights(offsets, written, 0.25).tolist()
        [0.0, 1.0, 0.25, 1.0, 0.25]
    """
    import numpy as np

    starts, ends = offsets_T2.T
    weights = np.zeros(len(offsets_T2), dtype=np.float32)
    for start, end, weight in written.trained:
        inside = (ends > start) & (starts < end)
        weights[inside] = np.maximum(weights[inside], weight)
    if form_weight is None or not written.form:
        return weights
    is_form = np.zeros(len(written.text) + 1, dtype=np.int64)
    for start, end in written.form:
        is_form[start + 1 : end + 1] = 1
    before = is_form.cumsum()
    form = (ends > starts) & (before[ends] - before[starts] == ends - starts)
    weights[form] *= np.float32(form_weight)
    return weights


def _answer_range(conversation: Conversation, chat: Chat, text: str, index: int) -> Range:
    """Find what the template adds for an answer."""
    messages, tools = conversation.messages, conversation.tools
    before = chat.write(messages[:index], tools, open_answer=True)
    after = chat.write(messages[: index + 1], tools)
    if not (text.startswith(after) and after.startswith(before)):
        where = f"$.messages[{index}]"
        raise RowError(Reason.TEMPLATE_NOT_INCREMENTAL, where, "answer cannot be located")
    _check_calls_rendered(conversation, index, after[len(before) :])
    return len(before), len(after)


def _check_calls_rendered(conversation: Conversation, index: int, written: str) -> None:
    message = conversation.messages[index]
    calls = message.get("tool_calls")
    if not calls or answer_text(message).strip():
        return
    name = str((calls[0].get("function") or calls[0]).get("name", ""))
    if not name or name not in written:
        where = f"$.messages[{index}].tool_calls"
        raise RowError(Reason.ANSWER_NOT_RENDERED, where, f"call of {name[:SEEN_CHARS]!r}")


def _shaped(
    conversation: Conversation, answers: Sequence[int], rule: LabelRule
) -> dict[int, list[Range]]:
    """Find the form of each answer that is JSON, in the answer's own characters."""
    if rule.json_focus is None:
        return {}
    texts = {index: answer_text(conversation.messages[index]) for index in answers}
    found = {i: structure_spans(text, keys=rule.json_focus_keys) for i, text in texts.items()}
    return {index: spans for index, spans in found.items() if spans}


def _text_ranges(conversation: Conversation, chat: Chat, text: str) -> list[list[Range]]:
    """Find the texts of every message: written once more, a mark stands where each was."""
    mark = next(chr(code) for code in MARKS if chr(code) not in text)
    messages, texts = conversation.messages, list(_texts(conversation.messages))
    marked = chat.write([_marked(message, mark) for message in messages], conversation.tools)
    around = marked.split(mark)
    words = [words for _, words in texts]
    if len(around) != len(texts) + 1 or text != _woven(around, words):
        raise RowError(Reason.TEMPLATE_NOT_INCREMENTAL, "$.messages", "texts cannot be located")
    ranges: list[list[Range]] = [[] for _ in messages]
    end = 0
    for (index, said), before in zip(texts, around, strict=False):
        start = end + len(before)
        end = start + len(said)
        ranges[index].append((start, end))
    return ranges


def _texts(messages: Sequence[Message]) -> Iterator[tuple[int, str]]:
    for index, message in enumerate(messages):
        for part in message["content"]:
            if part["type"] == "text" and part["text"]:
                yield index, part["text"]


def _marked(message: Message, mark: str) -> Message:
    content = [
        {**part, "text": mark} if part["type"] == "text" and part["text"] else part
        for part in message["content"]
    ]
    return {**message, "content": content}


def _woven(around: Sequence[str], words: Sequence[str]) -> str:
    return "".join(a + b for a, b in zip(around, [*words, ""], strict=True))


def _moved(spans: Sequence[Range], places: Sequence[Range]) -> list[Range]:
    """Move ranges of an answer to where it stands; none when a picture parts its text."""
    if any(end != start for (_, end), (start, _) in pairwise(places)):
        return []
    first = places[0][0]
    return [(first + start, first + end) for start, end in spans]
