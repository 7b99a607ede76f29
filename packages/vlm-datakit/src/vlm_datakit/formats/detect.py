"""Which format rows are in, told from the first of them, with the reason in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vlm_datakit.errors import SourceError
from vlm_datakit.formats import FORMATS
from vlm_datakit.formats.format import Fields, Format


@dataclass(frozen=True, slots=True)
class Guess:
    """A format that rows fit, how many of them, and why."""

    format: Format
    score: int
    evidence: str


def detect(rows: Iterable[Fields]) -> list[Guess]:
    """Return the formats that rows fit, best first; a format must fit most of them.

    Example:
        >>> detect([{"text": "2 + 2?", "response": "4"}])[0].evidence
        'rows have text and response'
    """
    seen = list(rows)
    guesses = []
    for format_ in FORMATS.values():
        found = [evidence for row in seen if (evidence := format_.recognise(row)) is not None]
        if found and len(found) * 2 > len(seen):
            score = sum(evidence.score for evidence in found)
            guesses.append(Guess(format_, score, found[0].words))
    return sorted(guesses, key=lambda guess: -guess.score)


def choose(guesses: Sequence[Guess], rows: Sequence[Fields], source: str) -> Guess:
    """Return the one best guess.

    Raises:
        SourceError: if no format fits, with the columns that were seen, or if two fit
            equally; both say which flag decides.
    """
    names = ", ".join(FORMATS)
    if not guesses:
        columns = ", ".join(list(rows[0])[:12]) if rows else "none"
        raise SourceError(
            f"{source}: no known format fits rows with the columns {columns}; "
            f"name one with --from (known: {names}), "
            "or say what they are with --map prompt=COLUMN --map response=COLUMN"
        )
    if len(guesses) > 1 and guesses[0].score == guesses[1].score:
        equal = " and ".join(guess.format.name for guess in guesses[:2])
        raise SourceError(f"{source}: rows fit {equal} equally; name one with --from")
    return guesses[0]
