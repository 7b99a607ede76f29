"""The way out: a conversation as a row of a format, or the refusal to lose a part of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vlm_datakit.conversation import Converted, Origin, Rejected, Warned
from vlm_datakit.formats.format import Format


@dataclass(frozen=True, slots=True)
class Rendered:
    """A row in the target format, and what is worth knowing about it."""

    origin: Origin
    row: dict[str, Any]
    warnings: tuple[Warned, ...] = ()


def render(
    outcome: Converted | Rejected,
    target: Format,
    allow_loss: bool,  # noqa: FBT001 - part of what the rendering is
) -> Rendered | Rejected:
    """Render one conversation; a refused row passes through in its place.

    What the target cannot hold refuses the row (``target-cannot-hold``), or rides along
    as warnings when the loss is allowed.
    """
    if isinstance(outcome, Rejected):
        return outcome
    losses = target.losses(outcome.conversation)
    if losses and not allow_loss:
        first, seen = losses[0], f"{target.name}: {losses[0].seen}"
        return Rejected(outcome.origin, first.reason, first.where, seen, outcome.raw)
    row = target.render(outcome.conversation)
    return Rendered(outcome.origin, row, (*outcome.warnings, *losses))
