"""Suggestions for a source: what its columns become, where nobody has said it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, NamedTuple

from vlm_datakit.errors import RowError, SourceError, UsageError
from vlm_datakit.mapping.apply import format_of
from vlm_datakit.mapping.fieldmap import FieldMap
from vlm_datakit.mapping.parser import parser_of
from vlm_datakit.plan import SourceFile
from vlm_datakit.sources.features import features_of
from vlm_datakit.sources.pipe import Pipe
from vlm_datakit.sources.survey import first_rows
from vlm_datakit.turns import spoken

if TYPE_CHECKING:
    from vlm_datakit.mapping.suggest import DoesNotFit, Suggestion

_SHOWN = 4  # candidates in an error


class Given(NamedTuple):
    """What was said of rows: their format, or auto, and their mapping."""

    format: str
    mapping: FieldMap | None


class Suggested(NamedTuple):
    """What was found for a source, and the first row as the best suggestion reads it."""

    found: tuple[Suggestion, ...] | DoesNotFit
    first: tuple[tuple[str, str], ...] = ()


def check_goal(goal: str | None, given: Given) -> None:
    """Hold a goal to stand alone.

    Raises:
        UsageError: for a goal beside a format or a mapping.
    """
    if goal is not None and (given.mapping is not None or given.format != "auto"):
        raise UsageError("--goal chooses format and mapping: leave out --from, --map, --mapping")


def suggest_for(
    file: SourceFile, pipe: Pipe | None, goal: str, *, arrives: bool = False
) -> Suggested:
    """Return the suggestions for the first rows of a source; a pipe stays unread.

    Args:
        file: The source.
        pipe: Standard input, if the file is it.
        goal: What the rows are for.
        arrives: Whether they may be read while the file comes.

    Raises:
        SourceError: if the source is damaged, or has no rows.
    """
    from vlm_datakit.mapping.suggest import DoesNotFit, suggest  # only goals need it

    rows = [row.fields for row in first_rows(file, pipe, arrives=arrives)]
    if not rows:
        raise SourceError(f"{file.name}: no rows to tell a mapping from")
    found = suggest(features_of(file, arrives=arrives), rows, goal)
    if isinstance(found, DoesNotFit):
        return Suggested(found)
    best = found[0]
    name = format_of(best.mapping) if best.mapping is not None else best.format or ""
    parse = parser_of(name, best.mapping)
    for fields in rows:
        try:
            draft = parse(fields)
        except RowError:
            continue
        messages = [(message.role, spoken(message)) for message in draft.messages]
        messages += [(f"rejected {message.role}", spoken(message)) for message in draft.rejected]
        pictures = [("pictures", f"{len(draft.images)}")] if draft.images else []
        return Suggested(found, (*pictures, *messages))
    return Suggested(found)


def choose_mapping(
    file: SourceFile, pipe: Pipe | None, goal: str, *, arrives: bool = False
) -> Suggestion:
    """Return the one clear suggestion for a source; see `suggest_for`.

    Raises:
        SourceError: if none fits, with the reason, or several do, with the flags of each.
    """
    from vlm_datakit.mapping.suggest import DoesNotFit, clear_choice

    found = suggest_for(file, pipe, goal, arrives=arrives).found
    if isinstance(found, DoesNotFit):
        raise SourceError(f"{file.name}: {found}")
    clear = clear_choice(found)
    if clear is None:
        lines = "; or ".join(shlex.join(one.flags) for one in found[:_SHOWN])
        raise SourceError(f"{file.name}: it is open what its columns are; choose one of: {lines}")
    return clear


def why(chosen: Suggestion, goal: str) -> str:
    """Return the words for a suggestion that was taken.

    Example:
        >>> from vlm_datakit.mapping.suggest import Suggestion
        >>> why(Suggestion(None, 9.0, ("rows have text and response",), "simple"), "sl")
        'suggested for sl: --from simple; rows have text and response'
    """
    return f"suggested for {goal}: {shlex.join(chosen.flags)}; {', '.join(chosen.evidence)}"
