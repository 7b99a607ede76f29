"""Mappings that make conversations and answers, from likely columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vlm_datakit.mapping.columns import SPEAKERS, Column, Holds
from vlm_datakit.mapping.fieldmap import COLUMN, Entry
from vlm_datakit.mapping.lists import lengths_of, values_at
from vlm_datakit.mapping.names import is_meta, weight
from vlm_datakit.mapping.offers import Offer, part_facts, pictured, with_system
from vlm_datakit.mapping.questions import singles
from vlm_datakit.mapping.showing import pictures
from vlm_datakit.mapping.takes import Take, speaker_of
from vlm_datakit.mapping.wording import has_mark

_CHAT, _TURNS = 14.0, 5.0
_ORDER = 0.15  # too little to decide alone


def conversations(columns: Sequence[Column], *, is_answer: bool) -> list[Offer]:
    """Return mappings that make conversations, or answers to prompts, likeliest first.

    Args:
        columns: Of the rows.
        is_answer: Whether the last answer is to be learned, and the rest is its prompt.
    """
    images = pictures(columns)
    found = [*_chats(columns, images, is_answer=is_answer), *_pairs(columns, is_answer=is_answer)]
    found += singles(columns, images, is_answer=is_answer)
    if images:
        found = [pictured(offer, images[0], columns) for offer in found]
        found += _other_pictures(found, images, columns)
    return sorted(found, key=lambda offer: -offer.score)


def _other_pictures(
    found: Sequence[Offer], images: Sequence[Take], columns: Sequence[Column]
) -> Iterator[Offer]:
    """Yield the best offer with pictures that are as likely as the best."""
    best = max(found, key=lambda offer: offer.score, default=None)
    for take in images[1:4]:
        if best is not None and take.score > images[0].score - 0.5:
            bare = tuple(entry for entry in best.entries if entry.role != "images")
            words = tuple(w for w in best.evidence if w != images[0].words)
            score = best.score - (images[0].score - take.score)
            yield pictured(best._replace(entries=bare, evidence=words, score=score), take, columns)


def _chats(
    columns: Sequence[Column], images: Sequence[Take], *, is_answer: bool
) -> Iterator[Offer]:
    for column in columns:
        is_text = column.holds == Holds.TRANSCRIPT
        if "[*]" in column.path or weight("rejected", column.path):
            continue
        if column.holds not in (Holds.MESSAGES, Holds.TURNS) and not is_text:
            continue
        if not is_text and speaker_of(column, -1) != "assistant":
            continue
        if not is_text and speaker_of(column, 0) == "assistant":
            continue
        score = _CHAT + weight("chat", column.path) - 2 * column.depth
        score -= 5 * (weight("chosen", column.path) > 0) + 3 * (not column.is_filled)
        words = f"{column.path} holds {column.holds.value}"
        entries = _chat_entries(column, with_images=bool(images), is_answer=is_answer)
        offer = Offer(entries, score, (words,), (column.path,))
        yield offer
        if not _has_system(column):
            yield from with_system(offer, columns)


def _chat_entries(column: Column, *, with_images: bool, is_answer: bool) -> tuple[Entry, ...]:
    path = (column.path,)
    if is_answer:
        prompt = Entry("prompt", path, "before-last-assistant")
        return (prompt, Entry("completion", path, "last-assistant"))
    if column.holds == Holds.TRANSCRIPT:
        return (Entry("messages", path, "transcript"),)
    if column.holds == Holds.TURNS:
        return (Entry("messages", path, "sharegpt"),)
    if part_facts(column).indexed:
        return (Entry("messages", path, "without-index"),)
    is_marked = with_images and has_mark(column)
    return (Entry("messages", path, "image-places" if is_marked else COLUMN),)


def _has_system(column: Column) -> bool:
    if column.holds == Holds.TRANSCRIPT:
        return False
    return any(
        "system" in (message.get("role"), message.get("from"))
        for value in values_at(column)
        for message in value
        if isinstance(message, dict)
    )


def _pairs(columns: Sequence[Column], *, is_answer: bool) -> Iterator[Offer]:
    """Yield questions and answers in two lists, or in a list of objects."""
    lists = [c for c in columns if c.holds == Holds.TEXTS and not weight("choices", c.path)]
    lists = [c for c in lists if not is_meta(c.path)]
    for asked in lists:
        for said in lists:
            if asked is said or lengths_of(asked) != lengths_of(said):
                continue
            score = _pair_score(asked, said, lists)
            if score > 0:
                yield _pair(asked, said, score, is_answer=is_answer)


def _pair_score(asked: Column, said: Column, lists: Sequence[Column]) -> float:
    """Return how likely the texts of two lists ask and answer; 0 if they do not."""
    parent, beside = asked.path.rpartition("[*]")[0], said.path.rpartition("[*]")[0]
    if parent != beside:
        return 0.0
    texts = [*_words(asked)]
    if sum(bool(text.strip()) for text in texts) * 2 <= len(texts):
        return 0.0
    if any({*_words(column)} <= SPEAKERS for column in (asked, said)):
        return 0.0
    asking = sum(text.rstrip().endswith(("?", "\uff1f", "\u061f")) for text in texts) / max(
        1, len(texts)
    )
    question, answer = weight("prompt", asked.path), weight("answer", said.path)
    are_only = bool(parent) and sum(c.path.startswith(f"{parent}[*]") for c in lists) == 2
    is_named = question >= 3 and answer > 0
    if not (is_named or asking > 0.5 or (are_only and weight("answer", asked.path) <= question)):
        return 0.0
    score = (
        _TURNS + question + answer + 2 * asking + _ORDER * (1 if asked.order < said.order else -1)
    )
    return score - weight("prompt", said.path) / 2 - weight("answer", asked.path) / 2


def _words(column: Column) -> Iterator[str]:
    return (one for value in values_at(column) for one in value if isinstance(one, str))


def _pair(asked: Column, said: Column, score: float, *, is_answer: bool) -> Offer:
    words = f"{asked.path} and {said.path} are questions and answers"
    subject = (asked.path, said.path)
    if is_answer and set(lengths_of(asked)) == {1}:
        one, other = (
            path.replace("[*]", "[0]", 1) if "[*]" in path else f"{path}[0]" for path in subject
        )
        entries = (Entry("prompt", (one,)), Entry("completion", (other,)))
        return Offer(entries, score, (f"{words}, one in each row",), subject)
    return Offer((Entry("messages", subject, "turns"),), score, (words,), subject)
