"""Steps over whole conversations: lists of messages, ShareGPT turns, transcripts, pairs of lists.

All that read a conversation take any of three spellings: messages with role and content,
turns with from and value, and a text in which each turn begins with its speaker.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from vlm_datakit.errors import Reason, RowError, quoted
from vlm_datakit.mapping.lookup import Found
from vlm_datakit.mapping.pictures import placed
from vlm_datakit.turns import list_field, object_field, text_field

_SPEAKERS = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "system": "system",
    "tool": "tool",
    "observation": "tool",
}
# How each turn of a transcript begins: hh-rlhf, guanaco, pixmo-cap-qa, glaive.
_TRANSCRIPTS = (
    re.compile(r"(?:\A\s*|\n\n)(Human|Assistant):"),
    re.compile(r"### (Human|Assistant):"),
    re.compile(r"\[(USER|ASSISTANT)\]"),
    re.compile(r"(?:\A\s*|\n\n)(USER|User|ASSISTANT|Assistant):"),
)
Messages = list[Mapping[str, Any]]


def sharegpt(turns: Found, *, places: bool = False) -> Messages:
    """Return turns of ``from`` and ``value`` as messages; what else they say stays with them.

    Args:
        turns: The list; human and user ask, gpt and assistant answer.
        places: Whether ``<image>`` is the place of a picture.

    Example:
        >>> sharegpt(Found([{"from": "human", "value": "2 + 2?"}], "$.conversations"))
        [{'role': 'user', 'content': '2 + 2?'}]
    """
    given = list_field(turns.value, turns.where)
    return [_turn(value, turns.at(index), places=places) for index, value in enumerate(given)]


def transcript(text: Found) -> Messages:
    r"""Return the turns of a text that begin with ``Human:``, ``### Human:`` or ``[USER]``.

    The text must begin with such a tag; ``Human:``, or ``User:``, must stand behind an empty
    line. White space at both ends of a turn goes. An ``Assistant:`` with nothing behind it, at
    the end, is where the answer comes, and no turn.

    Example:
        >>> text = "\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: 2 + 2?\n\nAssistant:"
        >>> [turn["content"] for turn in transcript(Found(text, "$.chosen"))]
        ['Hi', 'Hello.', '2 + 2?']
    """
    whole = text_field(text.value, text.where)
    for pattern in _TRANSCRIPTS:
        pieces = pattern.split(whole)
        if len(pieces) > 1 and not pieces[0].strip():
            return _turns(pieces, text.where)
    raise RowError(Reason.ROLE_UNKNOWN, text.where, f"{quoted(whole)}, no transcript")


def turns(questions: Found, answers: Found, *, places: bool = False) -> Messages:
    """Return questions and answers of two lists, in turn.

    Args:
        questions: A list of texts, such as ``questions`` or ``texts[*].user``.
        answers: As many.
        places: Whether ``<image>`` is the place of a picture.

    Example:
        >>> both = turns(Found(["1?", "2?"], "$.qa[*].q"), Found(["1", "2"], "$.qa[*].a"))
        >>> [message["content"] for message in both]
        ['1?', '1', '2?', '2']
    """
    asked = list_field(questions.value, questions.where)
    said = list_field(answers.value, answers.where)
    if len(asked) != len(said):
        seen = f"{quoted(said)} beside {quoted(asked)}"
        raise RowError(Reason.FIELD_WRONG_TYPE, answers.where, seen)
    found: Messages = []
    for index, (question, answer) in enumerate(zip(asked, said, strict=True)):
        where = questions.at(index)
        text = text_field(question, where)
        content = placed(text, where) if places else text
        found.append({"role": "user", "content": content})
        found.append({"role": "assistant", "content": text_field(answer, answers.at(index))})
    return found


def before_last_assistant(conversation: Found, *, places: bool = False) -> Messages:
    """Return all messages of a conversation but the last, which must be the assistant's.

    Example:
        >>> chat = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}]
        >>> before_last_assistant(Found(chat, "$.messages"))
        [{'role': 'user', 'content': 'Hi'}]
    """
    *prompt, _ = _answered(conversation, places=places)
    if not prompt:
        raise RowError(Reason.FIELD_MISSING, conversation.where, "an answer, and nothing before")
    return prompt


def last_assistant(conversation: Found) -> Messages:
    """Return the last message of a conversation, which must be the assistant's.

    Example:
        >>> chat = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}]
        >>> last_assistant(Found(chat, "$.messages"))
        [{'role': 'assistant', 'content': 'Yes?'}]
    """
    return _answered(conversation, places=False)[-1:]


def common_prefix(one: Found, other: Found, *, places: bool = False) -> Messages:
    r"""Return the messages with which two conversations begin alike.

    Example:
        >>> one, other = Found("\n\nHuman: Hi\n\nAssistant: A", "$.a"), Found(
        ...     "\n\nHuman: Hi\n\nAssistant: B", "$.b"
        ... )
        >>> common_prefix(one, other)
        [{'role': 'user', 'content': 'Hi'}]
    """
    messages, count = _parted(one, other, places=places)
    return messages[:count]


def after_common_prefix(one: Found, other: Found) -> Messages:
    r"""Return what of the first of two conversations comes after their common beginning.

    Example:
        >>> one, other = Found("\n\nHuman: Hi\n\nAssistant: A", "$.a"), Found(
        ...     "\n\nHuman: Hi\n\nAssistant: B", "$.b"
        ... )
        >>> after_common_prefix(one, other)
        [{'role': 'assistant', 'content': 'A'}]
    """
    messages, count = _parted(one, other, places=False)
    return messages[count:]


def messages_with_context(conversation: Found, context: Found) -> Messages:
    r"""Return a conversation whose first question has a context and an empty line before it.

    A context that is null or empty adds nothing.

    Example:
        >>> chat = [{"role": "user", "content": "Who wrote it?"}]
        >>> messages_with_context(Found(chat, "$.chat"), Found("By Ida.", "$.note"))
        [{'role': 'user', 'content': 'By Ida.\n\nWho wrote it?'}]
    """
    messages = _messages(conversation, places=False)
    if context.value is None or context.value == "":
        return messages
    text = text_field(context.value, context.where)
    first = next((i for i, message in enumerate(messages) if message.get("role") == "user"), None)
    if first is None:
        raise RowError(Reason.ROLES_OUT_OF_ORDER, conversation.where, "no message of the user")
    question = messages[first]
    asked = text_field(question.get("content"), f"{conversation.at(first)}.content")
    return [
        *messages[:first],
        {**question, "content": f"{text}\n\n{asked}"},
        *messages[first + 1 :],
    ]


def _parted(one: Found, other: Found, *, places: bool) -> tuple[Messages, int]:
    """Return the first of two conversations, and how many messages they have in common."""
    messages = _messages(one, places=places)
    beside = _messages(other, places=places)
    if messages == beside:
        raise RowError(Reason.PAIR_EQUAL, other.where, quoted(other.value))
    pairs = zip(messages, beside, strict=False)
    count = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(messages), len(beside)))
    if not count:
        raise RowError(Reason.FIELD_MISSING, other.where, "no message that both begin with")
    return messages, count


def _answered(conversation: Found, *, places: bool) -> Messages:
    messages = _messages(conversation, places=places)
    last = messages[-1].get("role")
    if last != "assistant":
        where = conversation.at(len(messages) - 1)
        raise RowError(Reason.ANSWER_MISSING, where, f"{quoted(last)} speaks last")
    return messages


def _messages(conversation: Found, *, places: bool) -> Messages:
    """Read a conversation in any of its spellings; messages stay as they are."""
    value, where = conversation.value, conversation.where
    if isinstance(value, str):
        return transcript(conversation)
    given = list_field(value, where)
    if isinstance(given[0], Mapping) and "from" in given[0]:
        return sharegpt(conversation, places=places)
    return [object_field(message, conversation.at(i)) for i, message in enumerate(given)]


def _turn(value: Any, where: str, *, places: bool) -> Mapping[str, Any]:
    turn = object_field(value, where)
    speaker = text_field(turn.get("from"), f"{where}.from")
    if speaker not in _SPEAKERS:
        raise RowError(Reason.ROLE_UNKNOWN, f"{where}.from", quoted(speaker))
    text = text_field(turn.get("value"), f"{where}.value")
    content = placed(text, f"{where}.value") if places else text
    more = {key: inner for key, inner in turn.items() if key not in ("from", "value")}
    return {"role": _SPEAKERS[speaker], "content": content, **more}


def _turns(pieces: list[str], where: str) -> Messages:
    """Return the turns of a transcript that was split at its tags."""
    tags, texts = pieces[1::2], [text.strip() for text in pieces[2::2]]
    speakers = ["user" if tag in ("Human", "USER", "User") else "assistant" for tag in tags]
    if not texts[-1] and speakers[-1] == "assistant":
        speakers, texts = speakers[:-1], texts[:-1]
    expected = ["user", "assistant"] * len(speakers)
    for speaker, text, turn in zip(speakers, texts, expected, strict=False):
        if speaker != turn:
            raise RowError(Reason.ROLES_OUT_OF_ORDER, where, f"{speaker} before {quoted(text)}")
        if not text:
            raise RowError(Reason.FIELD_MISSING, where, f"an empty turn of the {speaker}")
    if not texts:
        raise RowError(Reason.FIELD_MISSING, where, "no turn")
    return [{"role": role, "content": text} for role, text in zip(speakers, texts, strict=True)]
