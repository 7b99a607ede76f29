"""What became of rows, ready to be written and counted: of one row, or of a block of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from vlm_datakit.conversation import Rejected
from vlm_datakit.rendering import Rendered
from vlm_datakit.sinks.jsonl import json_line
from vlm_datakit.sinks.ledger import ledger_line, reject_line

SHOWN = 20  # refused rows that are named one by one


@dataclass(frozen=True, slots=True)
class Portion:
    """Rows that follow each other, as they leave a conversion.

    ``written`` are the lines of the good ones, ``ledger`` those of the refused ones, and
    ``refused`` names the first of these for a person. Rows are counted by reason,
    by what was left out of them, and by the columns they have; ``refused_first`` of them were
    refused before the first good one.
    """

    written: bytes = b""
    ledger: bytes = b""
    refused: tuple[str, ...] = ()
    rows: int = 1
    by_reason: Mapping[str, int] = field(default_factory=dict)
    warnings: Mapping[str, int] = field(default_factory=dict)
    losses: Mapping[str, int] = field(default_factory=dict)
    columns: Mapping[str, int] = field(default_factory=dict)
    refused_first: int = 0


def portion_of(outcome: Rendered | Rejected) -> Portion:
    """Return one row as a portion."""
    if isinstance(outcome, Rejected):
        refused, by_reason = (reject_line(outcome),), {str(outcome.reason): 1}
        return Portion(b"", ledger_line(outcome), refused, by_reason=by_reason, refused_first=1)
    warnings = {str(warned.reason): 1 for warned in outcome.warnings}
    losses = {str(lost.loss): 1 for lost in outcome.losses}
    columns = dict.fromkeys(outcome.row, 1)
    return Portion(json_line(outcome.row), warnings=warnings, losses=losses, columns=columns)


def joined(portions: Iterable[Portion]) -> Portion:
    """Return portions that follow each other as one."""
    parts = [*portions]
    by_reason, warnings = Counter[str](), Counter[str]()
    losses, columns = Counter[str](), Counter[str]()
    for part in parts:
        by_reason.update(part.by_reason)
        warnings.update(part.warnings)
        losses.update(part.losses)
        columns.update(part.columns)
    return Portion(
        b"".join(part.written for part in parts),
        b"".join(part.ledger for part in parts),
        tuple(line for part in parts for line in part.refused)[:SHOWN],
        sum(part.rows for part in parts),
        dict(by_reason),
        dict(warnings),
        dict(losses),
        dict(columns),
        _refused_first(parts),
    )


def _refused_first(parts: Iterable[Portion]) -> int:
    count = 0
    for part in parts:
        count += part.refused_first
        if not _is_refused(part):
            break
    return count


def _is_refused(part: Portion) -> bool:
    return part.refused_first == part.rows
