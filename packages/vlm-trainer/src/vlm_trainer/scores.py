"""How right a given answer is: to the letter, but for spelling, in distance, and field by field.

Pure functions over texts. A score never forgives what it does not name: a JSON answer in a
Markdown fence is no JSON.
"""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

ANLS_THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class FieldScores:
    """Fields of JSON answers, counted over all rows whose expected answer is a JSON object.

    Args:
        rows: Such rows.
        no_json: Of them, given answers that are no JSON object.
        expected: Fields in the expected answers.
        given: Fields in the given answers.
        right: Fields in both with an equal value.
        precision: Share of the given fields that are right.
        recall: Share of the expected fields that are right.
        f1: Harmonic mean of both.
        by_field: Path of a field, without the numbers of a list, to right and expected.
    """

    rows: int
    no_json: int
    expected: int
    given: int
    right: int
    precision: float
    recall: float
    f1: float
    by_field: Mapping[str, tuple[int, int]]


def exact(expected: str, given: str) -> bool:
    r"""Whether two answers are equal to the letter, white space at both ends aside.

    A letter and its accent are the same as one or two characters (NFC): Qwen's tokenizers make
    one of them before anything is trained.

    Example:
        >>> exact("Caf\u00e9 ", "Cafe\u0301"), exact("Cafe", "Caf\u00e9")
        (True, False)
    """
    return _composed(expected).strip() == _composed(given).strip()


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def normalised(text: str) -> str:
    """Return a text without what its reader would not see: NFKC, no case, single spaces.

    Example:
        >>> normalised(" Straße  No. 7 ")
        'strasse no. 7'
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.split())


def edit_distance(one: str, other: str) -> int:
    """Count the insertions, deletions and replacements that turn one text into the other.

    A column of the table at once, as the bits of one integer: a text of n characters takes n
    steps, whatever the length of the other.

    Source:
        Myers, "A fast bit-vector algorithm for approximate string matching", 1999, with
        Hyyrö's form of it, 2003.

    Example:
        >>> edit_distance("kitten", "sitting")
        3
    """
    if not one:
        return len(other)
    places: dict[str, int] = {}
    for index, letter in enumerate(one):
        places[letter] = places.get(letter, 0) | 1 << index
    whole, last = (1 << len(one)) - 1, 1 << (len(one) - 1)
    plus, minus, distance = whole, 0, len(one)
    for letter in other:
        equal = places.get(letter, 0)
        down = equal | minus
        across = (((equal & plus) + plus) ^ plus) | equal
        more, less = minus | (whole & ~(across | plus)), plus & across
        distance += bool(more & last) - bool(less & last)
        more = (more << 1) | 1
        plus = ((less << 1) | ~(down | more)) & whole
        minus = more & down & whole
    return distance


def anls(expected: str, given: str) -> float:
    """Return the similarity of two answers: 1 less their distance by length, 0 below a half.

    White space at both ends and case aside.

    Source:
        Biten et al., "Scene Text Visual Question Answering", 2019: tau is 0.5.

    Example:
        >>> anls("Invoice 17", "invoice 11"), anls("17", "23")
        (0.9, 0.0)
    """
    one, other = (_composed(text).strip().lower() for text in (expected, given))
    longest = max(len(one), len(other))
    if not longest:
        return 1.0
    away = edit_distance(one, other) / longest
    return 1.0 - away if away < ANLS_THRESHOLD else 0.0


def fields_of(answer: str) -> Counter[tuple[str, str]] | None:
    """Return the fields of a JSON object, each as its path and its value; None for anything else.

    Values are equal as JSON has them: ``7`` is no ``"7"``. The order in a list does not count,
    how often a value stands there does; what is empty is a field, too.

    Example:
        >>> sorted(fields_of('{"total": "17.50", "items": [{"n": 1}, {"n": 2}]}'))
        [('items.n', '1'), ('items.n', '2'), ('total', '"17.50"')]
    """
    try:
        value = json.loads(_composed(answer))
        return Counter(_leaves(value, "")) if isinstance(value, dict) else None
    except (ValueError, RecursionError):
        return None


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value:
        for inner in value:
            yield from _leaves(inner, path)
    else:
        yield path, json.dumps(value, ensure_ascii=False)


def field_scores(answers: Iterable[tuple[str, str]]) -> FieldScores | None:
    """Score JSON answers field by field; None if no expected answer is a JSON object.

    Args:
        answers: Expected and given, a pair a row.

    Source:
        The field-level F1 of Donut (Kim et al., 2022): fields are counted over all rows.

    Example:
        >>> found = field_scores([('{"a": "1", "b": "2"}', '{"a": "1", "b": "3"}')])
        >>> found.f1, found.by_field["b"]
        (0.5, (0, 1))
    """
    rows = no_json = given_count = 0
    wanted, right = Counter[str](), Counter[str]()
    for expected, given in answers:
        if (fields := fields_of(expected)) is None:
            continue
        found = fields_of(given)
        rows += 1
        no_json += found is None
        given_count += found.total() if found else 0
        for (path, _), count in fields.items():
            wanted[path] += count
        for (path, _), count in (fields & (found or Counter())).items():
            right[path] += count
    if not rows:
        return None
    hits, total = right.total(), wanted.total()
    return FieldScores(
        rows, no_json, total, given_count, hits,
        precision=share(hits, given_count),
        recall=share(hits, total),
        f1=share(2 * hits, given_count + total),
        by_field={path: (right[path], wanted[path]) for path in wanted},
    )  # fmt: skip


def share(part: float, whole: float) -> float:
    """Return a part of a whole to six digits; 0 of nothing.

    Example:
        >>> share(1, 3), share(0, 0)
        (0.333333, 0.0)
    """
    return round(part / whole, 6) if whole else 0.0
