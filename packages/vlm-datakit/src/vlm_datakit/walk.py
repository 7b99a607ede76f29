"""The walk of one row: parse, resolve, check. Everything else is plumbing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vlm_datakit.conversation import (
    Conversation,
    Converted,
    Draft,
    Image,
    ImageSource,
    Rejected,
    Row,
    Warned,
)
from vlm_datakit.errors import RowError


@dataclass(frozen=True, slots=True)
class Stages:
    """What a row passes through, chosen once per run and free of hidden state."""

    parse: Callable[[Mapping[str, Any]], Draft]
    resolve: Callable[[ImageSource], Image]
    check: Callable[[Conversation], tuple[Warned, ...]]


def convert_rows(rows: Iterable[Row | Rejected], stages: Stages) -> Iterator[Converted | Rejected]:
    """Convert rows one by one, in order, holding one row in memory.

    A row that cannot be read or used comes out as `Rejected` in its place; a bug raises,
    with the row's origin added as a note.
    """
    for row in rows:
        yield row if isinstance(row, Rejected) else convert_row(row, stages)


def convert_row(row: Row, stages: Stages) -> Converted | Rejected:
    """Convert one row. The only place where a `RowError` is caught."""
    try:
        draft = stages.parse(row.fields)
        conversation = draft.with_images(tuple(map(stages.resolve, draft.images)))
        warnings = (*draft.warnings, *stages.check(conversation))
    except RowError as error:
        return Rejected(row.origin, error.reason, error.where, error.seen, row.raw)
    except Exception as bug:
        bug.add_note(f"while converting {row.origin}")
        raise
    return Converted(row.origin, conversation, warnings, row.raw)
