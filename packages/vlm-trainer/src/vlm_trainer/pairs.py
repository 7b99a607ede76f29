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
from vlm_trainer.labels import LabelRule
from vlm_trainer.render import ANSWERS, Alter, Rendered, lay_out, read_pictures
from vlm_trainer.shrink import TokenLimit
from vlm_trainer.sizes import PixelRule

SIDES = ("chosen", "rejected")
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


def lay_out_pair(
    conversation: Conversation,
    chat: Chat,
    rule: PixelRule,
    labels: LabelRule = ANSWERS,
    limit: TokenLimit | None = None,
) -> Pair:
    """Lay out both sides without opening a picture.

    Each side must fit into the limit. Where pictures shrink, the longer side decides how far:
    both sides show the same ones.

    Raises:
        RowError: As `vlm_trainer.render.lay_out`, and ``pair-equal``; it says ``$.prompt``,
            ``$.chosen`` or ``$.rejected``.
    """
    both = sides(conversation)
    laid_out = tuple(
        _placed(side, name, lambda side: lay_out(side, chat, rule, labels))
        for side, name in zip(both, SIDES, strict=True)
    )
    longer = int(len(laid_out[1].ids) > len(laid_out[0].ids))
    fitted = _placed(
        both[longer], SIDES[longer], lambda side: lay_out(side, chat, rule, labels, limit)
    )
    if fitted.shrunk_to is None:
        return Pair(*laid_out)
    smaller = fitted.rule(rule)
    return Pair(
        *(
            replace(lay_out(side, chat, smaller, labels), shrunk_to=fitted.shrunk_to)
            for side in both
        )
    )


def render_pair(
    conversation: Conversation,
    chat: Chat,
    rule: PixelRule,
    labels: LabelRule = ANSWERS,
    limit: TokenLimit | None = None,
    alter: Alter | None = None,
) -> Pair:
    """Render both sides; pictures are opened and cut once.

    Raises:
        RowError: As `lay_out_pair`, and what is wrong with a picture.
    """
    pair = lay_out_pair(conversation, chat, rule, labels, limit)
    images = tuple(read_pictures(conversation, pair.chosen.rule(rule), alter))
    return Pair(replace(pair.chosen, images=images), replace(pair.rejected, images=images))


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
