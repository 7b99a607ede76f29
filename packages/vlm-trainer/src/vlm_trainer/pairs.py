"""A preference pair: one prompt with its pictures, a chosen and a rejected answer.

Each side is an ordinary conversation, rendered and checked as such; what is here is only
that there are two of them, and that an error says which.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from vlm_trainer.chat import Chat
from vlm_trainer.conversation import Conversation
from vlm_trainer.errors import Reason, RowError
from vlm_trainer.render import Rendered, TrainOn, all_answers, lay_out, render
from vlm_trainer.sizes import PixelRule

MESSAGE = re.compile(r"\$\.messages\[(\d+)\](.*)")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pair:
    """Both sides of a pair, ready to be collated; they share the patches of their pictures.

    Args:
        chosen: Prompt and better answer; its labels are the answer's tokens.
        rejected: Prompt and worse answer.
    """

    chosen: Rendered
    rejected: Rendered


def sides(conversation: Conversation) -> tuple[Conversation, Conversation]:
    """Return the chosen and the rejected side as conversations of the prompt/answer layout.

    The flags of messages, numbered through prompt, chosen and rejected, go with their messages.

    Raises:
        RowError: ``pair-equal``: there is nothing to prefer, and the loss would stay
            where it is.
    """
    first, end = conversation.first_answer, len(conversation.messages)
    if conversation.messages[first:] == conversation.rejected:
        raise RowError(Reason.PAIR_EQUAL, "$.rejected", "the same as $.chosen")
    flags = conversation.flags.items()
    chosen = {at: values for at, values in flags if at < end}
    rejected = {at: values for at, values in flags if at < first}
    rejected |= {at - end + first: values for at, values in flags if at >= end}
    messages = (*conversation.messages[:first], *conversation.rejected)
    return (
        replace(conversation, rejected=(), flags=chosen),
        replace(conversation, rejected=(), flags=rejected, messages=messages),
    )


def of_both(conversation: Conversation, do: Callable[[Conversation], T]) -> tuple[T, T]:
    """Do the same to both sides; an error says ``$.prompt``, ``$.chosen`` or ``$.rejected``.

    Raises:
        RowError: What `sides` and ``do`` raise.
    """
    chosen, rejected = sides(conversation)
    return _placed(chosen, "chosen", do), _placed(rejected, "rejected", do)


def render_pair(
    conversation: Conversation, chat: Chat, rule: PixelRule, train_on: TrainOn = all_answers
) -> Pair:
    """Render both sides; pictures are opened and cut once.

    Raises:
        RowError: As `vlm_trainer.render.render`, and ``pair-equal``.
    """
    chosen, rejected = sides(conversation)
    whole = _placed(chosen, "chosen", lambda side: render(side, chat, rule, train_on))
    other = _placed(rejected, "rejected", lambda side: lay_out(side, chat, rule, train_on))
    return Pair(whole, replace(other, images=whole.images))


def _placed(side: Conversation, name: str, do: Callable[[Conversation], T]) -> T:
    try:
        return do(side)
    except RowError as error:
        where = _place(error.where, name, side.first_answer)
        raise RowError(error.reason, where, error.seen) from error


def _place(where: str, name: str, first_answer: int) -> str:
    """Turn a place among the messages of a side into the column it stands in.

    Example:
        >>> _place("$.messages[3].content", "rejected", 2)
        '$.rejected[1].content'
    """
    found = MESSAGE.fullmatch(where)
    if not found:
        return f"$.{name}" if where == "$.messages" else where
    number = int(found[1])
    in_prompt = number < first_answer
    column, index = ("prompt", number) if in_prompt else (name, number - first_answer)
    return f"$.{column}[{index}]{found[2]}"
