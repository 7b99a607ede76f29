"""Mappings of questions with choices, of which the answer is one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from vlm_datakit.mapping.columns import Column, Holds
from vlm_datakit.mapping.contexts import contexts_of
from vlm_datakit.mapping.fieldmap import COLUMN, Entry
from vlm_datakit.mapping.lists import lengths_of, values_at
from vlm_datakit.mapping.names import is_meta, weight, words_of
from vlm_datakit.mapping.offers import Offer
from vlm_datakit.mapping.takes import Take, as_is, groups
from vlm_datakit.mapping.wording import spells_lists

_YES_OR_NO = -9.0  # 0 and 1 beside a list that nothing calls choices
_KEYS = frozenset({"idx", "index", "letter", "option"})
_LETTER = re.compile(r"\(?[A-H]\)?")


def choosing(
    columns: Sequence[Column], asked: Sequence[Take], *, is_answer: bool
) -> Iterator[Offer]:
    """Yield questions with choices, of which the answer is one."""
    role = "completion" if is_answer else "response"
    plain = [take for take in asked if take.how in (COLUMN, "image-places")][:4]
    for choices, path in _choices(columns):
        for answer in _chosen(columns, choices, path):
            for question in plain:
                if question.paths & (answer.paths | {c.path for c in choices}):
                    continue
                hints = _hints(question, answer, columns)
                entry = Entry("prompt", (question.main, path, *hints[:1]), "question-with-choices")
                evidence = (f"{question.words}, with choices", answer.words)
                subject = (question.main, answer.main)
                score = question.score + answer.score
                yield Offer((entry, answer.entry(role)), score, evidence, subject)


def _hints(question: Take, answer: Take, columns: Sequence[Column]) -> list[str]:
    """Return what is to be read before a question is answered by one of its choices."""
    found = [c for c in contexts_of(question, answer.main, columns) if not is_meta(c.path)]
    found = [c for c in found if c.path == "hint" or weight("context", c.path) >= 4]
    hints = [c.path for c in columns if c.path == "hint" and c.holds == Holds.TEXT]
    return hints or [c.path for c in found if c.holds == Holds.TEXT and c.path not in answer.paths]


def _choices(columns: Sequence[Column]) -> Iterator[tuple[tuple[Column, ...], Any]]:
    """Yield the columns that hold choices, and how a mapping names them."""
    for column in columns:
        is_list = (column.holds == Holds.TEXTS and _are_distinct(column)) or (
            column.holds == Holds.TEXT and spells_lists(column)
        )
        if is_list and (
            weight("choices", column.path) > 0 or max(lengths_of(column), default=0) > 1
        ):
            yield (column,), column.path
    for group in groups(columns, Holds.TEXT):
        if len(group) > 2 or weight("choices", group[0].path) > 0:
            yield group, tuple(column.path for column in group)


def _chosen(columns: Sequence[Column], choices: tuple[Column, ...], path: Any) -> Iterator[Take]:
    """Yield what tells which of the choices is the answer."""
    named = 2.5 if weight("choices", choices[0].path) > 0 or len(choices) > 2 else 0.0
    count = min(lengths_of(choices[0]), default=0) if len(choices) == 1 else len(choices)
    for column in columns:
        if column in choices or "[*]" in column.path:
            continue
        values, key = values_at(column), weight("key", column.path) / 2
        score = 3 + named + key - 4 * (is_meta(column.path) and not key) - column.depth
        if isinstance(path, str) and _marks_one(column, choices[0]):
            words = f"{column.path} marks one of {path}"
            yield Take("best-by-rating", (path, column.path), score + 2, words, column.path)
        elif not _is_from_1(path) and count and _tells_which(column, choices, count):
            words = f"{column.path} tells which of {choices[0].path}"
            if not named and {*values} <= {0, 1}:
                score, words = min(score, _YES_OR_NO), f"{words}, if it is no yes or no"
            if key or named or len(_indexes(columns, count)) == 1:
                yield Take("choice-by-index", (path, column.path), score, words, column.path)
        elif column.holds in (Holds.TEXT, Holds.CLASS) and values:
            labels = _labels(columns, choices[0], values)
            if labels is not None and isinstance(path, str):
                words = f"{column.path} names one of {labels}"
                columns_ = (path, labels, column.path)
                yield Take("choice-by-label", columns_, score + 1, words, column.path)
            elif are_letters(column):
                score += _key_weight(column) / 2 - key
                yield as_is(column, score, f"{column.path} is the letter of a choice")


def are_letters(column: Column) -> bool:
    """Whether texts are letters of choices."""
    return all(_LETTER.fullmatch(str(value).strip()) for value in values_at(column))


def _key_weight(column: Column) -> float:
    """Return how much a name says that it tells the right choice, such as ``answer_idx``."""
    words = words_of(column.path)
    is_key = len(words) > 1 and words[-1] in _KEYS
    return weight("key", "_".join(words[:-1]) if is_key else column.path)


def _marks_one(column: Column, choices: Column) -> bool:
    """Whether lists of 0 and 1 beside choices hold one 1 each."""
    if column.holds != Holds.NUMBERS or lengths_of(column) != lengths_of(choices):
        return False
    rows = values_at(column)
    are_marks = all(mark in (0, 1, "0", "1") for row in rows for mark in row)
    return are_marks and all(sum(mark in (1, "1") for mark in row) == 1 for row in rows)


def _are_distinct(column: Column) -> bool:
    return all(len(set(map(str, value))) == len(value) for value in values_at(column))


def _indexes(columns: Sequence[Column], count: int) -> list[Column]:
    """Return the columns of numbers that may tell which of some choices."""
    numbers = [c for c in columns if c.holds == Holds.NUMBER and "[*]" not in c.path]
    return [c for c in numbers if all(_is_index(value, count) for value in values_at(c))]


def _is_from_1(path: Any) -> bool:
    """Whether the names of choices count from 1, and so perhaps what tells the right one."""
    return not isinstance(path, str) and path[0].endswith("1")


def _tells_which(column: Column, choices: tuple[Column, ...], count: int) -> bool:
    """Whether values count choices, of which rows may have more or fewer."""
    lengths, values = lengths_of(choices[0]), values_at(column)
    if len(choices) == 1 and column.holds == Holds.NUMBER and len(lengths) == len(values):
        return all(_is_index(value, n) for value, n in zip(values, lengths, strict=True))
    return _are_indexes(column, count)


def _are_indexes(column: Column, count: int) -> bool:
    """Whether values count choices from 0; spelled ones often count from 1: a 0 tells."""
    values = values_at(column)
    if column.holds == Holds.TEXT:
        spelled = {str(number) for number in range(count)}
        return "0" in values and all(value in spelled for value in values)
    return column.holds == Holds.NUMBER and all(_is_index(value, count) for value in values)


def _is_index(value: Any, count: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < count


def _labels(columns: Sequence[Column], choices: Column, values: Sequence[Any]) -> str | None:
    """Return the list of labels beside the choices in which all values stand."""
    for column in columns:
        is_list = column.holds in (Holds.TEXTS, Holds.NUMBERS) and column is not choices
        if is_list and lengths_of(column) == lengths_of(choices):
            pairs = zip(values, values_at(column), strict=False)
            if all(value in labels for value, labels in pairs):
                return column.path
    return None
