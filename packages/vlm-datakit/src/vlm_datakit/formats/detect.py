"""Which format rows are in, told from the first of them, with the reason in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from vlm_datakit.conversation import Draft
from vlm_datakit.errors import Reason, RowError, SourceError
from vlm_datakit.formats import FORMATS
from vlm_datakit.formats.format import Fields, Format
from vlm_datakit.unread import hold_unread

_SHOWN = 12  # columns


@dataclass(frozen=True, slots=True)
class Guess:
    """A format that rows fit: how sure, and why; how many it knows, reads, and reads whole.

    ``drafts`` are the rows as it parses them, None if they were not tried.
    """

    format: Format
    score: int
    evidence: str
    known: int = 0
    read: int = 0
    whole: int = 0
    drafts: Sequence[Draft] | None = field(default=None, repr=False)

    @property
    def rank(self) -> tuple[int, int, int]:
        """Return what guesses are compared by: greater is better."""
        return self.whole, self.read, self.score


def detect(rows: Iterable[Fields]) -> list[Guess]:
    """Return the formats that rows fit, best first; a format must fit most of them.

    Of formats that know some of the rows, the one comes first that reads the most of them with no
    field ignored, then the one that reads the most, then the one that they look most like: a row
    that says what only one format reads outweighs many that say nothing.

    Example:
        >>> detect([{"text": "2 + 2?", "response": "4"}])[0].evidence
        'rows have text and response'
    """
    seen = list(rows)
    guesses = []
    for format_ in FORMATS.values():
        found = [format_.recognise(row) for row in seen]
        if known := [evidence for evidence in found if evidence is not None]:
            score, words = sum(evidence.score for evidence in known), known[0].words
            guesses.append(Guess(format_, score, words, len(known)))
    if len(guesses) > 1:
        guesses = [_tried(guess, seen) for guess in guesses]
    fitting = [guess for guess in guesses if max(guess.known, guess.read) * 2 > len(seen)]
    return sorted(fitting, key=lambda guess: guess.rank, reverse=True)


def _tried(guess: Guess, rows: Sequence[Fields]) -> Guess:
    """Return a guess with what becomes of the rows if it is right."""
    drafts, read, whole = list[Draft](), 0, 0
    for row in rows:
        with suppress(RowError):
            drafts.append(draft := guess.format.parse(row))
            hold_unread(draft, row)
            read += 1
            whole += all(warned.reason is not Reason.FIELD_IGNORED for warned in draft.warnings)
    return replace(guess, read=read, whole=whole, drafts=drafts)


def choose(guesses: Sequence[Guess], rows: Sequence[Fields], source: str) -> Guess:
    """Return the one best guess.

    Raises:
        SourceError: if no format fits, with the columns that were seen, or if two fit
            equally; both say which flag decides.
    """
    names = ", ".join(FORMATS)
    if not guesses:
        columns = _columns(rows)
        raise SourceError(
            f"{source}: no known format fits rows with the columns {columns}; "
            "--goal vlm, sl or dpo tells from the rows what they are; else name a format with "
            f"--from (known: {names}), or say it with --map prompt=COLUMN --map response=COLUMN"
        )
    if len(guesses) > 1 and guesses[0].rank == guesses[1].rank:
        equal = " and ".join(guess.format.name for guess in guesses[:2])
        raise SourceError(f"{source}: rows fit {equal} equally; name one with --from")
    return guesses[0]


def _columns(rows: Sequence[Fields]) -> str:
    """Name the columns of all rows, in the order in which they come."""
    names = [*dict.fromkeys(name for row in rows for name in row)]
    spelled = [name if name.isidentifier() else repr(name) for name in names[:_SHOWN]]
    return ", ".join([*spelled, *(["..."] if len(names) > _SHOWN else [])]) or "none"
