"""Preference pairs: ``{"prompt", "chosen", "rejected"}``, each a text or messages; pictures beside.

The columns of TRL's DPO (trl 1.16). A text is one turn: the prompt the user's, the others the
assistant's. Or both answers are whole conversations: what they begin with alike is the
prompt, and a column of it is redundant. Pictures stand as in the format trl.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from vlm_datakit.conversation import Conversation, Draft, Message, Warned
from vlm_datakit.errors import Reason, RowError, quoted
from vlm_datakit.formats import trl
from vlm_datakit.formats.format import Evidence, Fields, Format
from vlm_datakit.formats.openai import ROLES
from vlm_datakit.losses import Loss, Lost
from vlm_datakit.plain import PlainDraft, TextColumns, Turn
from vlm_datakit.turns import (
    json_text,
    only_texts,
    plain_id,
    row_id,
    row_warnings,
    shared_prompt,
    sole_text,
    spoken,
    text_field,
)

Messages = tuple[Message, ...]

_TRANSCRIPT = "\n\nHuman:"
_ASKING = ("system", "user")
_COLUMNS = ("prompt", "chosen", "rejected")
_FIELDS = frozenset({"id", "tools", "images", *_COLUMNS})
_FIELDS_WITH_IMAGE = frozenset({"id", "tools", "image", *_COLUMNS})
_PLAIN = ((Turn("user"),), (Turn("assistant"),), (Turn("assistant"),))
#: Of the rows that `plain` reads, both answers differ.
TEXT_COLUMNS = TextColumns(_COLUMNS, _PLAIN, differing=(1, 2))


def parse(fields: Fields) -> Draft:
    """Read one row.

    Raises:
        RowError: ``pair-equal`` if both answers are the same; ``prompt-differs`` and
            ``answer-missing`` for conversations that are no pair, or not of the given
            prompt; else as the format trl.

    Example:
        >>> draft = parse({"prompt": "2 + 2?", "chosen": "4", "rejected": "5"})
        >>> draft.prompt_messages, draft.messages[1].content, draft.rejected[0].content
        (1, (Text(text='4'),), (Text(text='5'),))
    """
    images = trl.images_of(fields)
    known = _FIELDS if fields.get("image") is None else _FIELDS_WITH_IMAGE
    warnings = list(row_warnings(fields, known))
    if _are_whole(fields):
        prompt, chosen, rejected = _split(fields, warnings)
    else:
        prompt, chosen, rejected = _columns(fields, warnings)
    if chosen == rejected:
        raise RowError(Reason.PAIR_EQUAL, "$.rejected", quoted(fields["rejected"]))
    messages = trl.with_images(prompt + chosen, images, fields, _COLUMNS)
    tools, id_ = json_text(fields.get("tools"), "$.tools"), row_id(fields.get("id"))
    return Draft(messages, images, id_, tools, len(prompt), rejected, tuple(warnings))


def _columns(fields: Fields, warnings: list[Warned]) -> tuple[Messages, ...]:
    prompt = trl.messages_of(fields.get("prompt"), "$.prompt", "user", warnings)
    answers = list[Messages]()
    for name in ("chosen", "rejected"):
        answers.append(trl.messages_of(fields.get(name), f"$.{name}", "assistant", warnings))
        _hold_answers(answers[-1], name)
    return prompt, *answers


def _are_whole(fields: Fields) -> bool:
    """Whether both answers are conversations with their prompt: a user or system begins them."""
    return all(_begins_with_a_prompt(fields.get(name)) for name in ("chosen", "rejected"))


def _begins_with_a_prompt(value: Any) -> bool:
    first = value[0] if isinstance(value, (list, tuple)) and value else None
    role = first.get("role") if isinstance(first, Mapping) else None
    return isinstance(role, str) and ROLES.get(role) in _ASKING


def _split(fields: Fields, warnings: list[Warned]) -> tuple[Messages, ...]:
    """Take the prompt off two conversations; a column of it must say the same.

    A prompt of messages may be shorter than what is alike: then the row says where it ends.
    """
    chosen = trl.messages_of(fields["chosen"], "$.chosen", "assistant", warnings)
    rejected = trl.messages_of(fields["rejected"], "$.rejected", "assistant", warnings)
    given = fields.get("prompt")
    if isinstance(given, (list, tuple)):
        count = _given_prompt(given, chosen, rejected, warnings)
    else:
        count = shared_prompt(chosen, rejected)
        if given is not None:
            _hold_said(text_field(given, "$.prompt"), chosen[:count])
    return chosen[:count], chosen[count:], rejected[count:]


def _given_prompt(given: Any, chosen: Messages, rejected: Messages, warnings: list[Warned]) -> int:
    prompt = trl.messages_of(given, "$.prompt", "user", warnings)
    count = len(prompt)
    for name, whole in (("chosen", chosen), ("rejected", rejected)):
        if whole[:count] != prompt:
            seen = f"{count} messages, and others begin {name}"
            raise RowError(Reason.PROMPT_DIFFERS, "$.prompt", seen)
        if len(whole) == count:
            raise RowError(Reason.ANSWER_MISSING, f"$.{name}", "the prompt, and no more")
        _hold_answers(whole[count:], name)
    return count


def _hold_answers(messages: Messages, name: str) -> None:
    """Refuse an answer that begins with a question: its prompt would not be the pair's.

    Raises:
        RowError: ``prompt-differs``.
    """
    if messages[0].role in _ASKING:
        seen = f"an answer that begins with {quoted(messages[0].role)}"
        raise RowError(Reason.PROMPT_DIFFERS, f"$.{name}", seen)


def _hold_said(text: str, prompt: Messages) -> None:
    if text not in [spoken(message) for message in prompt if message.role == "user"]:
        seen = f"{quoted(text)}, which nobody asks in chosen"
        raise RowError(Reason.PROMPT_DIFFERS, "$.prompt", seen)


def plain(fields: Fields) -> PlainDraft | None:
    """Read a row of three texts."""
    texts = only_texts(fields, _COLUMNS)
    if texts is None or texts[1] == texts[2]:
        return None
    return PlainDraft(_PLAIN, texts, id=plain_id(fields))


def render(conversation: Conversation, pictures: Sequence[str]) -> dict[str, Any]:
    """Write a row: texts where each column is one turn of one text, else messages."""
    boundary = conversation.prompt_messages or 0
    turns = (
        conversation.messages[:boundary],
        conversation.messages[boundary:],
        conversation.rejected,
    )
    row: dict[str, Any] = {} if conversation.id is None else {"id": conversation.id}
    texts = [*map(_text, turns, ("user", "assistant", "assistant"))]
    are_texts = None not in texts
    for name, messages, text in zip(_COLUMNS, turns, texts, strict=True):
        row[name] = text if are_texts else [trl.rendered(m) for m in messages]
    if pictures:
        row["images"] = [*pictures]
    if conversation.tools is not None:
        row["tools"] = orjson.loads(conversation.tools)
    return row


def _text(messages: tuple[Message, ...], role: str) -> str | None:
    """Return the text of messages that are one turn of one text, with nothing beside it."""
    if len(messages) != 1 or messages[0].role != role or messages[0].extras:
        return None
    return sole_text(messages[0].content)


def losses(conversation: Conversation) -> tuple[Lost, ...]:
    """Name what a pair cannot hold; a row without a rejected answer is none."""
    found = list(trl.losses_of(conversation.messages + conversation.rejected))
    if not conversation.rejected:
        found.append(Lost(Loss.UNPAIRED, "$.rejected", "a row without a rejected answer"))
    chosen = conversation.messages[conversation.prompt_messages or 0 :]
    answers = (chosen, conversation.rejected) if conversation.rejected else ()
    if any(answer and answer[0].role in _ASKING for answer in answers):
        found.append(Lost(Loss.BOUNDARY, "$.chosen", "an answer that begins with a question"))
    return tuple(found)


def recognise(fields: Fields) -> Evidence | None:
    """Recognise ``prompt``, ``chosen`` and ``rejected``, or the prompt in both of the others."""
    texts = [fields.get(name) for name in _COLUMNS]
    if all(isinstance(text, str) and text.startswith(_TRANSCRIPT) for text in texts[1:]):
        return None  # the answers repeat the prompt: the format transcript reads them
    if all(name in fields for name in _COLUMNS):
        return Evidence(4, "rows have prompt, chosen and rejected")
    if _are_whole(fields):
        return Evidence(4, "rows have chosen and rejected conversations")
    return None


_CANNOT_HOLD = trl.MESSAGES_CANNOT_HOLD | {Loss.UNPAIRED, Loss.BOUNDARY}
FORMAT = Format("preference", parse, render, losses, recognise, _CANNOT_HOLD)
