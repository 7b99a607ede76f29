"""The way out: a conversation as a row of a format, or the refusal to lose a part of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass
from typing import Any

from vlm_datakit.conversation import Conversation, Converted, Image, Origin, Rejected, Warned
from vlm_datakit.errors import Reason
from vlm_datakit.formats.format import Format, data_uri, row_of
from vlm_datakit.losses import NEVER, Loss, Lost


@dataclass(frozen=True, slots=True)
class Rendered:
    """A row in the target format, what is worth knowing about it, and what was left out."""

    origin: Origin
    row: dict[str, Any]
    warnings: tuple[Warned, ...] = ()
    losses: tuple[Lost, ...] = ()


def render(
    outcome: Converted | Rejected,
    target: Format,
    lossy: Set[Loss] = frozenset(),
    spell: Callable[[Image], str] = data_uri,
) -> Rendered | Rejected:
    """Render one conversation; a refused row passes through in its place.

    Args:
        outcome: A row as the walk leaves it.
        target: The format to write.
        lossy: What may be left out, and rides along then; any other loss refuses the row
            (``does-not-fit-format``).
        spell: Makes a text of each picture.
    """
    if isinstance(outcome, Rejected):
        return outcome
    losses = target.losses(outcome.conversation)
    for loss, where, what in losses:
        if loss not in lossy:
            consent = "" if loss in NEVER else f" (--lossy {loss})"
            seen = f"{target.name} has no place for {what}{consent}"
            reason = Reason.DOES_NOT_FIT_FORMAT
            return Rejected(outcome.origin, reason, where, seen, outcome.raw)
    if (silent := _silent_answer(outcome.conversation, losses)) is not None:
        seen = f"{target.name} has no place for an answer that is nothing but calls of tools"
        return Rejected(outcome.origin, Reason.DOES_NOT_FIT_FORMAT, silent, seen, outcome.raw)
    row = row_of(outcome.conversation, target, spell)
    return Rendered(outcome.origin, row, outcome.warnings, losses)


def _silent_answer(conversation: Conversation, losses: Iterable[Lost]) -> str | None:
    """Return where an answer would be left empty, its calls being all that it says."""
    if not any(lost.loss is Loss.TOOL_CALLS and lost.what == "tool_calls" for lost in losses):
        return None
    messages = (*conversation.messages, *conversation.rejected)
    for index, message in enumerate(messages):
        if message.extras.get("tool_calls") and not message.content:
            return f"$.messages[{index}]"
    return None
