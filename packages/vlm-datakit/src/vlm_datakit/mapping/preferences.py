"""Mappings that make preference pairs, from likely columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

from vlm_datakit.mapping.choosing import MARKS
from vlm_datakit.mapping.columns import Column, Holds
from vlm_datakit.mapping.contexts import contexts_joined
from vlm_datakit.mapping.fieldmap import COLUMN, Entry
from vlm_datakit.mapping.fieldmap import Column as Path
from vlm_datakit.mapping.lists import lengths_of, values_at
from vlm_datakit.mapping.names import WORDS, is_meta, stem_of, weight, words_of
from vlm_datakit.mapping.offers import Offer, pictured
from vlm_datakit.mapping.showing import pictures
from vlm_datakit.mapping.takes import (
    Take,
    groups,
    prompts,
    speaker_of,
    systems,
)
from vlm_datakit.mapping.wording import asks, is_coded

_CHATS = frozenset({Holds.MESSAGES, Holds.TURNS, Holds.TRANSCRIPT})
_ANSWERS = _CHATS | {Holds.TEXT, Holds.TURN, Holds.TEXTS}


_INDEXES = frozenset({"choice", "id", "idx", "index", "winner", "winning"})
_TIES = frozenset({"tie", "draw", "both", "neither"})


_BEARING = frozenset({"positive", "negative", "pos", "neg"})
_NEAR = 15.0


class Pair(NamedTuple):
    """Two answers of which one is better: how each is taken, and the column they lie in."""

    chosen: Entry
    rejected: Entry
    score: float
    words: str
    first: Column
    are_chats: bool

    @property
    def paths(self) -> frozenset[str]:
        """All columns that it reads."""
        flat = (*self.chosen.columns, *self.rejected.columns)
        return frozenset(p for c in flat for p in ((c,) if isinstance(c, str) else c))


def preferences(columns: Sequence[Column]) -> list[Offer]:
    """Return mappings that make preference pairs, likeliest first."""
    images = pictures(columns)
    asked = prompts(columns, with_images=bool(images))[:8]
    found = list[Offer]()
    for pair in sorted(_pairs(columns), key=lambda pair: -pair.score)[:12]:
        found += _offers(pair, asked, columns)
    if images:
        found = [pictured(offer, images[0], columns) for offer in found]
    return sorted(found, key=lambda offer: -offer.score)


def _offers(pair: Pair, asked: Sequence[Take], columns: Sequence[Column]) -> Iterator[Offer]:
    answers, orders = (pair.chosen, pair.rejected), {c.path: c.order for c in columns}
    if pair.are_chats:
        yield from _with_common_prompt(pair)
    for question in asked:
        if question.paths & pair.paths:
            continue
        subject = (question.main, str(pair.chosen))
        is_before = orders.get(question.main, 0) < pair.first.order
        score = pair.score + question.score + (0.15 if is_before else -0.15)
        score -= _NEAR * (_is_near(pair) and weight("prompt", question.main) < 6)
        words = (question.words, pair.words)
        offer = Offer((question.entry("prompt"), *answers), score, words, subject)
        offer = contexts_joined(offer, question, "", columns)
        yield offer
        for column in systems(columns)[:1]:
            if column.path not in question.paths | pair.paths:
                entry = Entry("system", (column.path,))
                yield offer._replace(entries=(*offer.entries, entry), score=offer.score + 1)


def _is_near(pair: Pair) -> bool:
    """Whether names say which text is near to another, as for a search: positive, negative."""
    said = {word for path in pair.paths for word in words_of(path)}
    return bool(said & _BEARING) and not said & WORDS["answer"].keys()


def _with_common_prompt(pair: Pair) -> Iterator[Offer]:
    """Yield a pair of whole conversations, which begin alike."""
    words = (pair.words, "they begin with the same messages")
    subject = ("", str(pair.chosen))
    if pair.chosen.how != COLUMN:
        answers = (pair.chosen, pair.rejected)
        yield Offer(answers, pair.score + 8, words, subject, "preference")
        return
    both = (pair.chosen.columns[0], pair.rejected.columns[0])
    entries = (
        Entry("prompt", both, "common-prefix"),
        Entry("chosen", both, "after-common-prefix"),
        Entry("rejected", both[::-1], "after-common-prefix"),
    )
    yield Offer(entries, pair.score + 8, words, subject)


def _pairs(columns: Sequence[Column]) -> Iterator[Pair]:
    usable = [c for c in columns if not (c.holds == Holds.TEXT and _is_said(c))]
    yield from _named(usable)
    yield from _unnamed(usable)
    yield from _untold(usable)
    for first, second, paths in _twos(usable):
        yield from _marked(columns, first, paths, second)
    for answers in usable:
        if answers.holds in (Holds.TEXTS, Holds.OTHER) and answers.values:
            yield from _rated(columns, answers)
            is_two = answers.holds == Holds.TEXTS and set(lengths_of(answers)) == {2}
            if is_two and weight("choices", answers.path) < 5:
                yield from _marked(columns, answers, answers.path, None)


def _is_said(column: Column) -> bool:
    """Whether texts are something said about a row, such as the id of an answer."""
    return is_meta(column.path) and (is_coded(column) or not _has_words(column))


def _has_words(column: Column) -> bool:
    return any(isinstance(value, str) and " " in value.strip() for value in values_at(column))


def _named(columns: Sequence[Column]) -> Iterator[Pair]:
    """Yield two columns whose names say which is the better."""
    bads = [c for c in columns if weight("rejected", c.path) > 0 and c.holds in _ANSWERS]
    rests = {_rest(c.path, "rejected") for c in bads} - {""}
    goods = [c for c in columns if c.holds in _ANSWERS]
    goods = [c for c in goods if weight("chosen", c.path) > 0 or _rest(c.path, "") in rests]
    for good in goods:
        for bad in bads:
            if good is bad or good.holds != bad.holds or "[*]" in good.path + bad.path:
                continue
            if good.holds == Holds.TEXTS and {*lengths_of(good), *lengths_of(bad)} != {1}:
                continue
            score = weight("chosen", good.path) + weight("rejected", bad.path)
            score -= 6 * (is_meta(good.path) + is_meta(bad.path)) + good.depth + bad.depth
            score -= 6 * (weight("rejected", good.path) > 0 or weight("chosen", bad.path) > 0)
            score += 2 * (weight("chosen", good.path) <= 0)
            score -= 2 * (_rest(good.path, "chosen") != _rest(bad.path, "rejected"))
            words = f"{good.path} is preferred to {bad.path}, as they are called"
            yield _pair(good, bad, score, words)


def _rest(path: str, role: str) -> str:
    """Return a name without the words that say which answer it is."""
    return " ".join(word for word in words_of(path) if word not in WORDS.get(role, ()))


def _pair(good: Column, bad: Column, score: float, words: str) -> Pair:
    are_chats = good.holds == Holds.TRANSCRIPT or (
        good.holds in _CHATS and speaker_of(good, 0) != "assistant"
    )
    chosen, rejected = (_entry(c, r) for c, r in ((good, "chosen"), (bad, "rejected")))
    if are_chats:
        chosen, rejected = Entry("chosen", (good.path,)), Entry("rejected", (bad.path,))
    return Pair(chosen, rejected, score, words, good, are_chats)


def _entry(column: Column, role: str) -> Entry:
    if column.holds == Holds.TURN:
        key = "value" if "value" in column.values[0] else "content"
        return Entry(role, (f"{column.path}.{key}",))
    how = {Holds.TURNS: "sharegpt", Holds.TEXTS: "first-of-list"}.get(column.holds, COLUMN)
    return Entry(role, (column.path,), how)


def _unnamed(columns: Sequence[Column]) -> Iterator[Pair]:
    """Yield two conversations that begin alike; which is the better, nothing says."""
    chats = [c for c in columns if c.holds in _CHATS and "[*]" not in c.path]
    chats = [c for c in chats if not weight("chosen", c.path) and not weight("rejected", c.path)]
    for good in chats:
        for bad in chats:
            if good is not bad and good.holds == bad.holds and _part_late(good, bad):
                words = f"{good.path} and {bad.path} begin alike; which is better, nothing says"
                yield _pair(good, bad, -4 + 0.1 * (good.order < bad.order), words)


def _part_late(one: Column, other: Column) -> bool:
    """Whether conversations begin alike, and differ later."""
    pairs = list(zip(values_at(one), values_at(other), strict=False))
    alike = [a for a, b in pairs if a != b and a and b and (a[0] == b[0])]
    return bool(pairs) and len(alike) * 2 > len(pairs)


def _twos(columns: Sequence[Column]) -> Iterator[tuple[Column, Column, Path]]:
    """Yield two columns that a name counts: ``response_a`` and ``response_b``."""
    for holds in (Holds.TEXT, Holds.MESSAGES, Holds.TURNS, Holds.TRANSCRIPT):
        for group in groups(columns, holds):
            are_two = len(group) == 2 and all(c.holds == holds for c in group)
            if are_two and not all(is_coded(c) for c in group):
                yield group[0], group[1], (group[0].path, group[1].path)


def _marked(
    columns: Sequence[Column], first: Column, paths: Path, second: Column | None
) -> Iterator[Pair]:
    """Yield the better of two answers, as another column says."""
    taken = {paths} if isinstance(paths, str) else set(paths)
    base = 4.0 - first.depth + (weight("answer", stem_of(first.path)) > 0)
    are_chats = first.holds in _CHATS and (
        first.holds == Holds.TRANSCRIPT or speaker_of(first, 0) != "assistant"
    )
    for column in columns:
        if column.path in taken or "[*]" in column.path:
            continue
        for how, other, sure in _deciding(column):
            score = base + sure + weight("mark", column.path) - 0.5 * column.depth
            words = f"{column.path} tells which of {_named_paths(paths)} is better"
            chosen = Entry("chosen", (paths, column.path), how)
            rejected = Entry("rejected", (paths, column.path), other)
            yield Pair(chosen, rejected, score, words, first, are_chats)
            if how == "choice-by-index" and not _is_index(column, paths):
                words = f"{column.path} is 1 where {first.path} is better, if it is no number of it"
                turned = replace(chosen, how=other), replace(rejected, how=how)
                yield Pair(*turned, score - 0.1, words, first, are_chats)
    if second is not None:
        yield from _scored(columns, first, paths)


def _is_index(column: Column, paths: Path) -> bool:
    """Whether 0 and 1 count answers: by the mark's name, or as the answers' own names do."""
    if isinstance(paths, str) or not _INDEXES.isdisjoint(words_of(column.path)):
        return True
    return [path[-1:] for path in paths] == ["0", "1"]


def _deciding(column: Column) -> Iterator[tuple[str, str, float]]:
    """Yield the steps that a column can decide with, and how sure that is."""
    values, named = values_at(column), weight("mark", column.path) > 0
    if column.holds == Holds.NUMBER and not any(isinstance(v, bool) for v in values):
        if all(value in (0, 1) and isinstance(value, int) for value in values):
            is_told = not is_meta(column.path) and len(set(values)) > 1
            # Of one answer, or of neither, and not of both.
            is_flag = stem_of(column.path) != column.path or bool(_TIES & {*words_of(column.path)})
            if (named or is_told) and not is_flag:
                yield "choice-by-index", "other-than-choice", 1.0 if named else -6.8
        if any(value < 0 for value in values) and (named or weight("rating", column.path)):
            yield "preferred-by-sign", "other-by-sign", 1.0
    elif column.holds in (Holds.TEXT, Holds.CLASS):
        marked = sum(value in MARKS for value in values)
        is_said = is_meta(column.path) and not named
        if values and marked * 2 > len(values) and not is_said:
            yield "winner", "loser", 2.0


def _scored(columns: Sequence[Column], first: Column, paths: Path) -> Iterator[Pair]:
    """Yield the better of two answers by two columns of numbers."""
    for numbers in groups(columns, Holds.NUMBER):
        role = "rank" if weight("rank", numbers[0].path) else "rating"
        stem = stem_of(numbers[0].path)
        known = weight(role, stem) or weight("mark", stem)
        if len(numbers) == 2 and known:
            beside = tuple(c.path for c in numbers)
            words = f"{', '.join(beside)} tell which of {_named_paths(paths)} is better"
            chosen, rejected = _by(role, (paths, beside))
            yield Pair(chosen, rejected, 3 + known, words, first, first.holds in _CHATS)


def _rated(columns: Sequence[Column], answers: Column) -> Iterator[Pair]:
    """Yield the best and the worst of a list, by numbers beside it."""
    parent = answers.path.rpartition("[*]")[0]
    if "[*]" in answers.path.replace(parent, "", 1)[3:] or weight("choices", answers.path) > 4:
        return
    for column in columns:
        if column.holds != Holds.NUMBERS or lengths_of(column) != lengths_of(answers):
            continue
        role = "rank" if weight("rank", column.path) else "rating"
        known = weight(role, column.path)
        if column.path.partition("[*]")[0] != parent and parent:
            continue
        said = weight("answer", answers.path)
        if not (said or known) or is_meta(answers.path):
            continue
        score = 2 + known + said / 2 - 0.5 * (column.depth - answers.depth) - 2 * (not known)
        words = f"{column.path} tells which of {answers.path} is the best"
        chosen, rejected = _by(role, (answers.path, column.path))
        yield Pair(chosen, rejected, score, words, answers, are_chats=False)


def _by(role: str, columns: tuple[Path, Path]) -> tuple[Entry, Entry]:
    return Entry("chosen", columns, f"best-by-{role}"), Entry(
        "rejected", columns, f"worst-by-{role}"
    )


def _named_paths(paths: Any) -> str:
    return paths if isinstance(paths, str) else " and ".join(paths)


def _untold(columns: Sequence[Column]) -> Iterator[Pair]:
    """Yield two answers beside each other of which nothing says which is the better."""
    usable = [c for c in columns if "[*]" not in c.path and _says_nothing(c)]
    for one, other in pairwise(usable):
        if one.holds == other.holds and other.order == one.order + 1 and _are_alike(one, other):
            words = f"{one.path} and {other.path} are alike; which is better, nothing says"
            yield _pair(one, other, -2.0, words)
            yield _pair(other, one, -2.1, words)


def _says_nothing(column: Column) -> bool:
    """Whether the name of a column of answers says nothing of what it is."""
    if any(word in table for word in words_of(column.path) for table in WORDS.values()):
        return stem_of(column.path) != column.path and weight("answer", column.path) > 0
    is_answer = column.holds == Holds.TURN or (
        column.holds in (Holds.MESSAGES, Holds.TURNS) and speaker_of(column, 0) == "assistant"
    )
    return not is_meta(column.path) and (is_answer or column.holds == Holds.TEXT)


def _are_alike(one: Column, other: Column) -> bool:
    """Whether texts are about as long, and no code of something."""
    if one.holds != Holds.TEXT:
        return True
    if is_coded(one) or is_coded(other) or asks(one) > 0.5 or asks(other) > 0.5:
        return False
    sizes = [sum(len(v) for v in values_at(c) if isinstance(v, str)) for c in (one, other)]
    return min(sizes) * 4 >= max(sizes) > 0
