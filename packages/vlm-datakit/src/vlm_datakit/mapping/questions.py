"""Mappings of one question and one answer, from likely columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vlm_datakit.mapping.choices import are_letters, choosing
from vlm_datakit.mapping.columns import Column
from vlm_datakit.mapping.contexts import contexts_joined
from vlm_datakit.mapping.doubts import Case, doubt
from vlm_datakit.mapping.fieldmap import COLUMN
from vlm_datakit.mapping.lists import values_at
from vlm_datakit.mapping.names import weight, words_of
from vlm_datakit.mapping.offers import Offer, with_system
from vlm_datakit.mapping.takes import (
    Take,
    answers,
    constant,
    prompts,
)

_ORDER = 0.15  # too little to decide alone
_WEAK = 2.4  # a question that neither asks nor is called so
_UNSURE = 0.7  # what is no clear choice, were it the only one
_ASKING = 1.5  # beside a caption, a column that does not ask is rather another text
_MUTE = -0.9  # an answer that nothing speaks for
_MOST = 10  # questions and answers that are tried with each other


def singles(
    columns: Sequence[Column], images: Sequence[Take], *, is_answer: bool
) -> Iterator[Offer]:
    """Yield one question with one answer."""
    asked = prompts(columns, with_images=bool(images))[:_MOST]
    said = answers(columns)[:_MOST]
    by_path = {column.path: column for column in columns}
    for question in [*asked, *_constants(said, images)]:
        for answer in said:
            offer = _single(
                question, answer, by_path, is_answer=is_answer, has_pictures=bool(images)
            )
            is_mute = bool(images) and bool(question.main) and question.score < _ASKING
            if is_mute and weight("caption", answer.main) > 0 and offer is not None:
                offer = offer._replace(score=offer.score - 0.6)
            if offer is not None:
                full = _enriched(offer, question, answer, columns)
                yield from (
                    _doubted(one, answer, columns, has_pictures=bool(images)) for one in full
                )
    yield from choosing(columns, asked, is_answer=is_answer)


def _doubted(offer: Offer, answer: Take, columns: Sequence[Column], *, has_pictures: bool) -> Offer:
    """Return an offer as one that is not sure, if something speaks against it."""
    asked = tuple(path for path in offer.entries[0].columns if isinstance(path, str))
    words = doubt(Case(asked, answer, columns, has_pictures))
    if words is None:
        return offer
    evidence = (*offer.evidence, f"but {words}")
    return offer._replace(score=min(offer.score, _UNSURE), evidence=evidence)


def _single(
    question: Take,
    answer: Take,
    by_path: dict[str, Column],
    *,
    is_answer: bool,
    has_pictures: bool,
) -> Offer | None:
    if question.paths & answer.paths:
        return None
    question = _as_source(question, answer, has_pictures=has_pictures)
    score = question.score + answer.score
    is_weak = question.score < _WEAK and answer.score < (2 if _is_title(answer) else -1)
    if question.main and (question.score < 0 or is_weak or _ends_with(question, answer, by_path)):
        return None
    asks_more = weight("prompt", answer.main) >= 5 and weight("answer", answer.main) <= 0
    if (
        asks_more
        and question.main
        and weight("prompt", question.main) <= weight("prompt", answer.main)
    ):
        return None
    is_class = answer.how in _NO__CLASS
    if not question.main and answer.score < _MUTE and not is_class:
        return None
    if not question.main:
        is_caption = weight("caption", answer.main) > 0 or is_class
        score = score + 3 if is_caption else min(score, _UNSURE)
        if answer.how == COLUMN and answer.main in by_path and are_letters(by_path[answer.main]):
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


def _as_source(question: Take, answer: Take, *, has_pictures: bool) -> Take:
    """Return a text that describes as what is asked about, if another is rather the answer."""
    named = weight("answer", question.main)
    is_rather = answer.how in _NO__CLASS or weight("answer", answer.main) > named
    if (
        has_pictures
        or not is_rather
        or _is_title(question)
        or weight("caption", question.main) <= 0
        or named <= 0
    ):
        return question
    if weight("prompt", question.main) >= named:
        return question
    return question._replace(score=question.score + named / 2)


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
    (("label", "class", "cls", "species", "breed", "emotion"), _CLASS),
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
