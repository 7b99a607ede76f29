"""What else belongs to a question: a passage, its title, choices in a text of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vlm_datakit.mapping.columns import Column, Holds
from vlm_datakit.mapping.fieldmap import COLUMN, Entry
from vlm_datakit.mapping.lists import values_at
from vlm_datakit.mapping.names import is_meta, weight
from vlm_datakit.mapping.offers import Offer
from vlm_datakit.mapping.takes import Take
from vlm_datakit.mapping.wording import instructs, is_coded, shows_choices


def contexts_joined(offer: Offer, question: Take, answer: str, columns: Sequence[Column]) -> Offer:
    """Return an offer with what belongs to its question before or behind it.

    Args:
        offer: Its first entry is the question.
        question: How that is taken.
        answer: The column that answers it.
        columns: Of the rows.
    """
    contexts = [] if question.how != COLUMN else list(contexts_of(question, answer, columns))
    if not contexts:
        return offer
    behind = [c.path for c in contexts if weight("prompt", c.path) >= 4 or _are_its_choices(c)]
    before = [c.path for c in contexts if c.path not in behind]
    prompt = Entry("prompt", (*before, question.main, *behind), "join-nonempty")
    return offer._replace(
        entries=(prompt, *offer.entries[1:]),
        score=offer.score + 1,
        evidence=(*offer.evidence, f"{', '.join(before + behind)} belongs to the question"),
    )


def contexts_of(question: Take, answer: str, columns: Sequence[Column]) -> Iterator[Column]:
    """Yield the columns that belong to a question."""
    for column in columns:
        if column.path in (question.main, answer) or is_meta(column.path):
            continue
        is_text = column.holds in (Holds.TEXT, Holds.NOTHING) and "[*]" not in column.path
        is_near = column.path.rpartition(".")[0] == question.main.rpartition(".")[0]
        is_equal = weight("prompt", column.path) > weight("prompt", question.main)
        if is_text and is_near and not is_equal and _belongs(column, question):
            yield column


def _belongs(column: Column, question: Take) -> bool:
    """Whether a text is to be read before or behind a question, by its name or its words."""
    named, belonging = weight("prompt", question.main), weight("context", column.path)
    is_called = belonging >= 4 or (belonging > 0 and (named < 5 or _is_its_title(column, question)))
    if not is_called and named >= 5:
        is_called = _are_its_choices(column)
    elif not is_called and named >= 3:
        is_called = instructs(column)
    return is_called and not _are_numbers(column) and not is_coded(column)


def _are_its_choices(column: Column) -> bool:
    """Whether texts show the choices of a question, and are called so."""
    return weight("choices", column.path) >= 5 and shows_choices(column)


def _are_numbers(column: Column) -> bool:
    return bool(column.values) and all(str(v).strip().isdigit() for v in values_at(column))


def _is_its_title(column: Column, question: Take) -> bool:
    """Whether names say that one is the title of the other: question_title, question_body."""
    head, _, last = column.path.rpartition("_")
    return last.lower() == "title" and question.main.rpartition("_")[0] == head != ""
