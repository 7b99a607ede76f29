"""Which mapping makes conversations of rows that nobody has described: told by looking at them.

Types and contents are asked first, names break ties. Every mapping is tried on the rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, NamedTuple

from vlm_datakit.checks import check
from vlm_datakit.conversation import Image
from vlm_datakit.errors import Reason, RowError, UsageError
from vlm_datakit.formats.detect import detect
from vlm_datakit.mapping.apply import format_of
from vlm_datakit.mapping.columns import Column, columns_of
from vlm_datakit.mapping.fieldmap import FieldMap, field_map
from vlm_datakit.mapping.offers import Offer
from vlm_datakit.mapping.parser import Parse, parser_of
from vlm_datakit.mapping.preferences import preferences
from vlm_datakit.mapping.talks import conversations
from vlm_datakit.mapping.unfit import feedback_on, spread_over_rows, unpaired, why_unfit

GOALS = ("vlm", "sl", "dpo", "sft")
Fields = Mapping[str, Any]

_ROWS, _TRIED, _KEPT = 60, 60, 8
_GAP = 0.4  # between the best and one that is as likely
_LEAST = -2.5
_SURE = 1.5  # below it, little more than the order of columns speaks
_SURE_ALONE = 0.8  # where there is no other
_FORMAT_SCORE = 11.0
_PIXEL = Image(b"", "image/png", 1, 1)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A mapping that gives good rows, how likely it is meant, and why, in words.

    ``mapping`` is None where the rows are of a ``format`` already. ``good`` is the share of the
    rows shown of which it makes good ones.
    """

    mapping: FieldMap | None
    score: float
    evidence: tuple[str, ...]
    format: str | None = None
    good: float = 1.0

    @property
    def flags(self) -> tuple[str, ...]:
        """What to say on the command line, flag and value in turn."""
        if self.mapping is None:
            return ("--from", self.format or "auto")
        named = ("--from", self.mapping.format) if self.mapping.format else ()
        return (*named, *(text for e in self.mapping.entries for text in ("--map", str(e))))


@dataclass(frozen=True, slots=True)
class DoesNotFit:
    """That no mapping makes what was asked for of the rows, and why."""

    goal: str
    reason: str

    def __str__(self) -> str:
        return f"does not fit {self.goal}, because {self.reason}"


def suggest(
    features: Mapping[str, Any] | None, rows: Iterable[Fields], goal: str = "sft"
) -> tuple[Suggestion, ...] | DoesNotFit:
    """Return the mappings that make of rows what a goal needs, best first.

    Args:
        features: As ``Features.to_dict()`` gives them, where known.
        rows: The first rows; some dozens are looked at.
        goal: vlm, sl, dpo, or sft: vlm for rows with pictures, else sl.

    Raises:
        UsageError: for a goal that is none.

    Example:
        >>> rows = [{"q": "What is 2 + 2?", "n": 1, "reply": "It is 4."}]
        >>> suggest(None, rows, "sl")[0].flags
        ('--map', 'completion=reply', '--map', 'prompt=q')
        >>> print(suggest(None, [{"text": "It is 4."}], "sl"))
        does not fit sl, because text holds texts, but no column is the prompt that they answer
    """
    if goal not in GOALS:
        raise UsageError(f"unknown goal {goal!r}: known are {', '.join(GOALS)}")
    shown = list(islice(rows, _ROWS))
    columns = columns_of(_different(shown), features)
    if goal != "sft":
        return _suggested(columns, shown, goal)
    found = _suggested(columns, shown, "vlm")
    if not isinstance(found, DoesNotFit):
        return found
    other = _suggested(columns, shown, "sl")
    return replace(other, goal="sft") if isinstance(other, DoesNotFit) else other


def _different(rows: Sequence[Fields]) -> list[Fields]:
    """Return rows without those whose texts an earlier one has: they would tell nothing new."""
    seen, kept = set[tuple[str, ...]](), list[Fields]()
    for row in rows:
        texts = tuple(value for value in row.values() if isinstance(value, str))
        if texts not in seen or not texts:
            kept.append(row)
        seen.add(texts)
    return kept


def suggest_mapping(
    rows: Iterable[Fields], *, goal: str = "sft", features: Any = None
) -> tuple[Suggestion, ...] | DoesNotFit:
    """Suggest which columns of rows become what, best first; some dozens of rows are read.

    Args:
        rows: Any iterable of dicts.
        goal: vlm, sl, dpo, or sft: vlm for rows with pictures, else sl.
        features: What is known of the columns: ``datasets.Features``, or what its
            ``to_dict()`` gives.

    Returns:
        Suggestions whose ``mapping`` `vlm_datakit.convert` takes, or why none fits.

    Raises:
        UsageError: for a goal that is none.

    Example:
        >>> suggest_mapping([{"frage": "Was ist Moos?", "antwort": "Gras."}], goal="sl")[0].evidence
        ('frage asks and is called so', 'antwort holds texts and is called an answer')
    """
    known = features.to_dict() if hasattr(features, "to_dict") else features
    return suggest(known, rows, goal)


def clear_choice(suggestions: Sequence[Suggestion]) -> Suggestion | None:
    """Return the best suggestion if enough speaks for it, and no other is nearly as likely.

    Example:
        >>> one, other = Suggestion(None, 9, (), "simple"), Suggestion(None, 8.9, (), "qa")
        >>> clear_choice([one, other]) is None, clear_choice([one]) is one
        (True, True)
        >>> clear_choice([Suggestion(None, 0.5, (), "qa")]) is None
        True
    """
    best, *others = suggestions
    if not others:
        return best if best.score >= _SURE_ALONE else None
    is_ahead = best.score - others[0].score >= _GAP and best.score >= _SURE
    return best if is_ahead else None


class _Tried(NamedTuple):
    """A suggestion, what its rows became, and what it is about."""

    suggestion: Suggestion
    outcome: tuple[Any, ...]
    subject: tuple[str, ...]


def _suggested(
    columns: Sequence[Column], rows: Sequence[Fields], goal: str
) -> tuple[Suggestion, ...] | DoesNotFit:
    if not rows:
        return DoesNotFit(goal, "there are no rows to look at")
    spread = spread_over_rows(columns)
    if spread is not None:
        return DoesNotFit(goal, spread)
    if goal == "dpo":
        offers = preferences(columns)
    else:
        offers = conversations(columns, is_answer=goal == "sl")
    tried = list[_Tried]()
    for offer in offers[:_TRIED]:
        found = _of_offer(offer, rows, goal)
        if found is not None:
            tried.append(found)
    unsure = [_said(one) for one in tried if one.suggestion.score < _SURE_ALONE]
    tried += [one for one in _of_formats(rows, goal) if _said(one) not in unsure]
    kept = _distinct(sorted(tried, key=lambda one: -one.suggestion.score))
    if not kept:
        return DoesNotFit(goal, why_unfit(columns, goal))
    mark = None if goal == "dpo" else feedback_on(columns, _read(kept[0]))
    return tuple(kept) if mark is None else DoesNotFit(goal, unpaired(mark))


def _said(tried: _Tried) -> list[Any]:
    """Return what rows became, whatever of it is the prompt."""
    outcomes = (one for one in tried.outcome if isinstance(one, _Outcome))
    return [(one.messages, one.rejected, one.images) for one in outcomes]


def _read(suggestion: Suggestion) -> frozenset[str]:
    """Return the columns that a suggestion reads."""
    entries = suggestion.mapping.entries if suggestion.mapping is not None else ()
    given = [column for entry in entries for column in entry.columns]
    return frozenset(
        path for column in given for path in ((column,) if isinstance(column, str) else column)
    )


def _distinct(tried: Sequence[_Tried]) -> list[Suggestion]:
    """Leave out what says the same as a better one, or is about the same columns."""
    kept, outcomes, subjects = list[Suggestion](), list[Any](), set[tuple[str, ...]]()
    for one in tried:
        if one.outcome in outcomes or one.subject in subjects:
            continue
        outcomes.append(one.outcome)
        subjects.add(one.subject)
        kept.append(one.suggestion)
    return kept[:_KEPT]


def _of_offer(offer: Offer, rows: Sequence[Fields], goal: str) -> _Tried | None:
    """Return an offer as a suggestion, None if it does not make good rows of most."""
    try:
        mapping = field_map(offer.entries, offer.format)
        parse = parser_of(format_of(mapping), mapping)
    except UsageError:
        return None
    outcome = [_outcome(parse, row) for row in rows]
    share = _share(outcome, goal)
    if share is None or offer.score < _LEAST:
        return None
    score = round(offer.score - 6 * (1 - share), 2)
    suggestion = Suggestion(mapping, score, offer.evidence, None, share)
    return _Tried(suggestion, tuple(outcome), offer.subject)


def _of_formats(rows: Sequence[Fields], goal: str) -> list[_Tried]:
    """Return the best format that rows are of already, if it gives what the goal needs."""
    for guess in detect(rows)[:1]:
        parse = parser_of(guess.format.name, None)
        outcome = [_outcome(parse, row) for row in rows]
        share = _share(outcome, goal)
        good = [draft for draft in outcome if isinstance(draft, _Outcome)]
        if share is not None and _is_layout(good[0], goal):
            is_whole = goal == "sl" and good[0].prompt_messages is None
            score = round(_FORMAT_SCORE / (2 if is_whole else 1) - 6 * (1 - share), 2)
            name = guess.format.name
            suggestion = Suggestion(None, score, (guess.evidence,), name, share)
            return [_Tried(suggestion, tuple(outcome), ("format", name))]
    return []


class _Outcome(NamedTuple):
    """What a row became: its messages, where its pictures are from, and its kind."""

    messages: Any
    rejected: Any
    images: tuple[tuple[str, str], ...]
    prompt_messages: int | None
    is_spoken: bool


def _outcome(parse: Parse, row: Fields) -> _Outcome | Reason:
    """Return what a row becomes, or why it is refused; no picture is opened."""
    try:
        draft = parse(row)
        conversation = draft.with_images((_PIXEL,) * len(draft.images))
        warned = {warning.reason for warning in check(conversation)}
    except RowError as error:
        return error.reason
    is_spoken = not warned & {Reason.ANSWER_EMPTY, Reason.ENDS_WITHOUT_ANSWER}
    images = tuple((str(image.form), image.where) for image in draft.images)
    texts = tuple((m.role, m.content) for m in draft.messages)
    rejected = tuple((m.role, m.content) for m in draft.rejected)
    return _Outcome(texts, rejected, images, draft.prompt_messages, is_spoken)


def _share(outcome: Sequence[_Outcome | Reason], goal: str) -> float | None:
    """Return the share of good rows, None if they are not most, or not what the goal needs."""
    good = [one for one in outcome if isinstance(one, _Outcome) and one.is_spoken]
    if not good or len(good) * 2 <= len(outcome):
        return None
    if goal == "vlm" and not any(one.images for one in good):
        return None
    return len(good) / len(outcome)


def _is_layout(outcome: _Outcome, goal: str) -> bool:
    if goal == "dpo":
        return bool(outcome.rejected)
    return not outcome.rejected and (goal == "sl" or outcome.prompt_messages is None)
