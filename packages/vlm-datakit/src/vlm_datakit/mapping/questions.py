"""Mappings of one question and one answer, from likely columns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from vlm_datakit.mapping.columns import Column, Holds
from vlm_datakit.mapping.fieldmap import COLUMN, Entry
from vlm_datakit.mapping.names import is_meta, weight, words_of
from vlm_datakit.mapping.offers import Offer, with_system
from vlm_datakit.mapping.takes import (
    Take,
    answers,
    as_is,
    constant,
    groups,
    lengths_of,
    prompts,
    values_at,
)
from vlm_datakit.mapping.wording import is_coded, spells_lists

_ORDER = 0.15  # too little to decide alone
_WEAK = 2.4  # a question that neither asks nor is called so
_UNSURE = 0.7  # what is no clear choice, were it the only one
_ASKING = 1.5  # beside a caption, a column that does not ask is rather another text
_MUTE = -0.9  # an answer that nothing speaks for
_MOST = 10  # questions and answers that are tried with each other
_LETTER = re.compile(r"\(?[A-H]\)?")


def singles(
    columns: Sequence[Column], images: Sequence[Take], *, is_answer: bool
) -> Iterator[Offer]:
    """Yield one question with one answer."""
    asked = prompts(columns, with_images=bool(images))[:_MOST]
    said = answers(columns)[:_MOST]
    by_path = {column.path: column for column in columns}
    for question in [*asked, *_constants(said, images)]:
        for answer in said:
            offer = _single(question, answer, by_path, is_answer=is_answer)
            is_mute = bool(images) and bool(question.main) and question.score < _ASKING
            if is_mute and weight("caption", answer.main) > 0 and offer is not None:
                offer = offer._replace(score=offer.score - 0.6)
            if offer is not None:
                yield from _enriched(offer, question, answer, columns)
    yield from _choosing(columns, asked, is_answer=is_answer)


def _single(
    question: Take, answer: Take, by_path: dict[str, Column], *, is_answer: bool
) -> Offer | None:
    if question.paths & answer.paths:
        return None
    score = question.score + answer.score
    is_weak = question.score < _WEAK and answer.score < (2 if _is_title(answer) else -1)
    if question.main and (question.score < 0 or is_weak or _ends_with(question, answer, by_path)):
        return None
    asks_more = weight("prompt", answer.main) >= 5 and weight("answer", answer.main) <= 0
    if (
        asks_more
        and question.main
        and weight("prompt", question.main) < weight("prompt", answer.main)
    ):
        return None
    is_class = answer.how in _NO__CLASS
    if not question.main and answer.score < _MUTE and not is_class:
        return None
    if not question.main:
        is_caption = weight("caption", answer.main) > 0 or is_class
        score = score + 3 if is_caption else min(score, _UNSURE)
        if answer.how == COLUMN and answer.main in by_path and _are_letters(by_path[answer.main]):
            return None
        question = question._replace(text=_instruction(answer))
        question = constant(question.text or "", question.score)
    else:
        is_before = by_path[question.main].order < by_path[answer.main].order
        score += _ORDER if is_before else -_ORDER
        # A column before a question, which no name calls its answer, is as well its title.
        score = score if is_before or weight("answer", answer.main) > 0 else min(score, _UNSURE)
    role = "completion" if is_answer else "response"
    entries = (question.entry("prompt"), answer.entry(role))
    return Offer(entries, score, (question.words, answer.words), (question.main, answer.main))


def _ends_with(question: Take, answer: Take, by_path: dict[str, Column]) -> bool:
    """Whether a text is a question with its answer behind it, put together from both."""
    if question.how != COLUMN or answer.how != COLUMN or answer.main not in by_path:
        return False
    asked, said = (values_at(by_path[take.main]) for take in (question, answer))
    pairs = [(str(a).strip(), str(b).strip()) for a, b in zip(asked, said, strict=False)]
    ending = [a.endswith(b) and len(a) > len(b) > 0 for a, b in pairs]
    return sum(ending) * 2 > len(ending)


def _is_title(answer: Take) -> bool:
    """Whether an answer is the title of a text, which nobody asked for."""
    return words_of(answer.main)[-1:] == ("title",)


_NO__CLASS = ("class-name", "json-sub-field")
_CLASS = "What is in the picture? Answer with its class."
_JSON = "Read the document, and answer in JSON."
_INSTRUCTIONS = (
    (("latex", "formula"), "Write the formula as LaTeX."),
    (("html",), "Write what the picture shows as HTML."),
    (("markdown",), "Write what the picture shows as Markdown."),
    (("transcription", "ocr", "transcript"), "Read the text in the picture."),
    (("parse", "truth", "json"), _JSON),
    (("label", "class", "cls", "species", "emotion"), _CLASS),
)
_ASKED = {"class-name": _CLASS, "json-text": _JSON, "json-sub-field": _JSON}


def _instruction(answer: Take) -> str:
    """Return what is asked of a picture beside which only an answer stands."""
    if answer.how in _ASKED:
        return _ASKED[answer.how]
    said = words_of(answer.main)
    for words, text in _INSTRUCTIONS:
        if any(word in said for word in words):
            return text
    return "Describe the picture."


def _constants(said: Sequence[Take], images: Sequence[Take]) -> list[Take]:
    """Return an instruction for all rows, if they have pictures to ask of."""
    return [constant("", -1.5)] if images and said else []


def _enriched(
    offer: Offer, question: Take, answer: Take, columns: Sequence[Column]
) -> Iterator[Offer]:
    """Yield an offer, and the same with what belongs to its question."""
    joined = contexts_joined(offer, question, answer.main, columns)
    yield joined
    if joined is not offer:
        yield offer
    yield from with_system(joined, columns)


def contexts_joined(offer: Offer, question: Take, answer: str, columns: Sequence[Column]) -> Offer:
    """Return an offer with what belongs to its question before or behind it.

    Args:
        offer: Its first entry is the question.
        question: How that is taken.
        answer: The column that answers it.
        columns: Of the rows.
    """
    contexts = [] if question.how != COLUMN else list(_contexts(question, answer, columns))
    if not contexts:
        return offer
    before = [c.path for c in contexts if weight("prompt", c.path) < 4]
    behind = [c.path for c in contexts if weight("prompt", c.path) >= 4]
    prompt = Entry("prompt", (*before, question.main, *behind), "join-nonempty")
    return offer._replace(
        entries=(prompt, *offer.entries[1:]),
        score=offer.score + 1,
        evidence=(*offer.evidence, f"{', '.join(before + behind)} belongs to the question"),
    )


def _contexts(question: Take, answer: str, columns: Sequence[Column]) -> Iterator[Column]:
    named = weight("prompt", question.main)
    for column in columns:
        belonging = weight("context", column.path)
        if column.path in (question.main, answer) or is_meta(column.path):
            continue
        is_text = column.holds in (Holds.TEXT, Holds.NOTHING) and "[*]" not in column.path
        is_near = column.path.rpartition(".")[0] == question.main.rpartition(".")[0]
        is_equal = weight("prompt", column.path) > named
        if (
            is_text
            and not _are_numbers(column)
            and is_near
            and not is_equal
            and not is_coded(column)
            and (
                belonging >= 4 or (belonging > 0 and (named < 5 or _is_its_title(column, question)))
            )
        ):
            yield column


def _are_numbers(column: Column) -> bool:
    return bool(column.values) and all(str(v).strip().isdigit() for v in values_at(column))


def _is_its_title(column: Column, question: Take) -> bool:
    """Whether names say that one is the title of the other: question_title, question_body."""
    head, _, last = column.path.rpartition("_")
    return last.lower() == "title" and question.main.rpartition("_")[0] == head != ""


def _choosing(
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
    found = [c for c in _contexts(question, answer.main, columns) if not is_meta(c.path)]
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
        if not _is_from_1(path) and count and _tells_which(column, choices, count):
            words = f"{column.path} tells which of {choices[0].path}"
            if key or named or len(_indexes(columns, count)) == 1:
                yield Take("choice-by-index", (path, column.path), score, words, column.path)
        elif column.holds in (Holds.TEXT, Holds.CLASS) and values:
            labels = _labels(columns, choices[0], values)
            if labels is not None and isinstance(path, str):
                words = f"{column.path} names one of {labels}"
                columns_ = (path, labels, column.path)
                yield Take("choice-by-label", columns_, score + 1, words, column.path)
            elif _are_letters(column):
                yield as_is(column, score, f"{column.path} is the letter of a choice")


def _are_letters(column: Column) -> bool:
    """Whether texts are letters of choices."""
    return all(_LETTER.fullmatch(str(value).strip()) for value in values_at(column))


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
