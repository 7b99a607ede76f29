"""What the lists in a column hold: words of a text, tags, votes of several people."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from vlm_datakit.mapping.columns import Column, Holds
from vlm_datakit.mapping.names import weight, words_of

_SHOWN = 50  # values that are looked at
_PIECE = re.compile(r"[.,;:!?]|</?\w+[^<>]*>")
_ID = re.compile(r"\w*ids?|idx|index|start")


def values_at(column: Column) -> tuple[Any, ...]:
    """Return the values of the first rows."""
    return column.values[:_SHOWN]


def token_lists(columns: Sequence[Column]) -> Iterator[str]:
    """Yield lists of single words beside which lists of labels or boxes stand, one for each."""
    lists = [c for c in columns if c.holds in (Holds.CLASSES, Holds.NUMBERS, Holds.OTHER)]
    lists = [c for c in lists if not any(_ID.fullmatch(word) for word in words_of(c.path)[-1:])]
    for column in columns:
        is_words = column.holds == Holds.TEXTS and not has_spaces(column)
        is_words = is_words and weight("answer", column.path) < 5
        if is_words and any(_is_beside(column, other) for other in lists):
            yield column.path


def _is_beside(column: Column, other: Column) -> bool:
    lengths, beside = lengths_of(column), lengths_of(other)
    return lengths == beside and max(lengths, default=0) > 1


def lengths_of(column: Column) -> list[int]:
    """Return how long the lists of the first rows are."""
    return [len(v) for v in values_at(column) if isinstance(v, (list, tuple))]


def are_tags(column: Column) -> bool:
    """Whether lists hold several classes, of which the first is no answer."""
    is_label = not {"label", "class", "cls"}.isdisjoint(words_of(column.path))
    return is_label and max(lengths_of(column), default=0) > 1 and not has_spaces(column)


def are_pieces(column: Column) -> bool:
    """Whether lists hold a text in pieces: tags or punctuation stand alone in them."""
    lists = [value for value in values_at(column) if isinstance(value, (list, tuple))]
    cut = [v for v in lists if len(v) > 1 and any(_PIECE.fullmatch(str(one)) for one in v)]
    return len(cut) * 2 > len(lists)


def has_spaces(column: Column) -> bool:
    """Whether most texts in lists have several words."""
    given = [one for value in values_at(column) for one in value if isinstance(one, str)]
    return sum(" " in one.strip() for one in given) * 2 > len(given)


def are_votes(column: Column) -> bool:
    """Whether lists repeat a text, as the answers of several people do."""
    lists = [value for value in values_at(column) if isinstance(value, (list, tuple))]
    voted = [value for value in lists if len(value) > 2 and len(set(map(str, value))) < len(value)]
    return len(voted) * 2 > len(lists)
