"""Which columns may be the question, the answer, the pictures of a row, and how sure that is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import orjson

from vlm_datakit.mapping.columns import Column, Holds
from vlm_datakit.mapping.fieldmap import COLUMN, CONSTANT, Entry
from vlm_datakit.mapping.fieldmap import Column as Path
from vlm_datakit.mapping.lists import (
    are_pieces,
    are_tags,
    are_votes,
    has_spaces,
    lengths_of,
    token_lists,
    values_at,
)
from vlm_datakit.mapping.names import is_meta, stem_of, weight, words_of
from vlm_datakit.mapping.wording import (
    asks,
    commands,
    has_mark,
    is_about_rows,
    is_coded,
    is_constant,
    is_repeated,
    is_worded,
    spells_lists,
)

_CHATS = frozenset({Holds.MESSAGES, Holds.TURNS})
_RIGHT = frozenset({"accepted", "best", "chosen", "correct", "preferred"})
_LIKELY = 5  # questions of which fuller ones are looked for
_DEEPER = 0.7  # less for each object in which a text lies
_MOST_VOICES = 12  # in a list of answers


class Take(NamedTuple):
    """A way to take a value from rows: how sure it is, and why, in words.

    ``main`` is the column that it is about.
    """

    how: str
    columns: tuple[Path, ...]
    score: float
    words: str
    main: str
    text: str | None = None

    def entry(self, role: str) -> Entry:
        """Return it as an entry of a mapping."""
        return Entry(role, self.columns, self.how, self.text)

    @property
    def paths(self) -> frozenset[str]:
        """All columns that it reads."""
        flat = ((c,) if isinstance(c, str) else c for c in self.columns)
        return frozenset(path for paths in flat for path in paths)


def as_is(column: Column, score: float, words: str) -> Take:
    """Return a column as it is."""
    return Take(COLUMN, (column.path,), score, words, column.path)


def constant(text: str, score: float) -> Take:
    """Return a text that is the same for all rows."""
    return Take(CONSTANT, (), score, f'no column asks: "{text}" is asked of all', "", text)


def speaker_of(column: Column, index: int) -> str:
    """Return who says the first or the last message in most rows of a chat."""
    said = Counter(
        message.get("role", message.get("from"))
        for value in values_at(column)
        if value and isinstance(message := value[index], Mapping)
    )
    best = said.most_common(1)
    name = best[0][0] if best else None
    return "assistant" if name in ("assistant", "gpt", "bot", "model") else str(name)


def prompts(columns: Sequence[Column], *, with_images: bool) -> list[Take]:
    """Return what may be the question, likeliest first."""
    found = list[Take]()
    for column in columns:
        if column.holds == Holds.TEXT and not spells_lists(column):
            found += _text_prompt(column, with_images=with_images)
        elif column.holds == Holds.TRANSCRIPT and "[*]" not in column.path:
            score = 3 + weight("prompt", column.path) - _pair_name(column)
            found.append(
                Take("transcript", (column.path,), score, f"{column.path} is a transcript",
                     column.path)
            )  # fmt: skip
        elif column.holds in _CHATS and speaker_of(column, -1) != "assistant":
            found.append(_chat_prompt(column, with_images=with_images))
    by_path = {column.path: column for column in columns}
    likely = sorted(found, key=lambda take: -take.score)[:_LIKELY]
    found = _lifted([_fuller(take, likely, by_path) for take in found], columns)
    return sorted(found, key=lambda take: -take.score)


def _lifted(found: Iterable[Take], columns: Sequence[Column]) -> list[Take]:
    """Return takes with no less for depth where all texts lie in objects."""
    texts = [c.depth for c in columns if c.holds == Holds.TEXT and "[*]" not in c.path]
    depth = min(texts, default=0)
    return [take._replace(score=take.score + _DEEPER * depth) for take in found]


def _fuller(take: Take, found: Sequence[Take], by_path: Mapping[str, Column]) -> Take:
    """Return a text that holds a question and more of its row as likelier than the question."""
    for other in found:
        is_plain = take.how == other.how == COLUMN and take.main != other.main
        if is_plain and _adds_to(by_path[take.main], by_path[other.main]):
            words = f"{take.main} holds {other.main} and more"
            return take._replace(score=max(take.score, other.score + 0.5), words=words)
    return take


def _adds_to(whole: Column, part: Column) -> bool:
    """Whether texts end with others, with something new before in each row."""
    pairs = list(zip(values_at(whole), values_at(part), strict=False))
    if whole.holds != Holds.TEXT or part.holds != Holds.TEXT:
        return False
    if len(pairs) < 2 or len(whole.values) != len(part.values):
        return False
    if not all(a.strip().endswith(b.strip()) and b.strip() for a, b in pairs):
        return False
    added = {a.strip().removesuffix(b.strip()) for a, b in pairs}
    return len(added) == len(pairs) and "" not in added


def _text_prompt(column: Column, *, with_images: bool) -> Iterator[Take]:
    named, asking = weight("prompt", column.path), asks(column)
    if "[*]" in column.path or (named <= 0 and not is_worded(column)):
        return
    score = named + 2 * asking + 0.5 * is_worded(column) - _DEEPER * column.depth
    score += commands(column) > 0.5 > asking
    score -= 4 * (is_about_rows(column) + is_coded(column)) + _pair_name(column)
    score -= 3 * (not column.is_filled) + 2 * (is_repeated(column) and named < 5)
    score -= 3 * (weight("system", column.path) > 0 or _is_persona(column))
    if weight("answer", column.path) > named:
        score -= weight("answer", column.path) / 2
    words = f"{column.path} asks" if asking > 0.5 else f"{column.path} holds texts"
    words += " and is called so" if named >= 3 else ""
    if with_images and has_mark(column):
        words = f"{column.path} holds <image>"
        yield Take("image-places", (column.path,), score + 1, words, column.path)
    else:
        yield as_is(column, score, words)


def _chat_prompt(column: Column, *, with_images: bool) -> Take:
    score = 7 + weight("prompt", column.path) / 2 - _pair_name(column)
    words = f"{column.path} holds {column.holds.value} that end with a question"
    if column.holds == Holds.TURNS:
        return Take("sharegpt", (column.path,), score, words, column.path)
    if with_images and has_mark(column):
        return Take("image-places", (column.path,), score, words, column.path)
    return as_is(column, score, words)


def _pair_name(column: Column) -> float:
    is_pair = weight("chosen", column.path) or weight("rejected", column.path)
    return 4 if is_pair else 0


def _is_persona(column: Column) -> bool:
    """Whether texts tell a model who it is."""
    said = [value for value in column.values if isinstance(value, str) and value.strip()]
    starts = ("You are ", "You're ", "Act as ", "You will be given")
    return bool(said) and all(value.lstrip().startswith(starts) for value in said)


def answers(columns: Sequence[Column]) -> list[Take]:
    """Return what may be the answer, likeliest first."""
    tokens, lettered = set(token_lists(columns)), _lettered(columns)
    found = list[Take]()
    for column in columns:
        if column.path not in tokens and not column.path.endswith("[*]"):
            found += _answer(column, is_letter=column.path in lettered)
    worked = [c for c in columns if c.holds == Holds.TEXT and weight("answer", c.path) >= 5.5]
    values = {c.path for c in worked if any(_comes_to(other, c) for other in worked)}
    found = [t._replace(score=t.score - 1) if t.main in values else t for t in found]
    found = [t._replace(score=t.score - 4) if _is_told_inside(t, found) else t for t in found]
    found += [best for take in found for best in _best_rated(take, columns)]
    found = _lifted(found, columns)
    return sorted(found, key=lambda take: -take.score)


def _best_rated(take: Take, columns: Sequence[Column]) -> Iterator[Take]:
    """Yield the best of a list of answers, where numbers beside them rate each."""
    parent = take.main.rpartition(".")[0]
    if take.how != "first-of-list" or not parent:
        return
    lengths = next(lengths_of(c) for c in columns if c.path == take.main)
    for column in columns:
        is_near = column.path.rpartition(".")[0] == parent and column.holds == Holds.NUMBERS
        if is_near and weight("rating", column.path) >= 3 and lengths_of(column) == lengths:
            words = f"{column.path} tells which of {take.main} is the best"
            paths = (take.main, column.path)
            yield Take("best-by-rating", paths, take.score + 0.1, words, take.main)


def _is_told_inside(take: Take, found: Iterable[Take]) -> bool:
    """Whether objects hold a text that is called an answer, as they are."""
    inside = (t for t in found if t.main.startswith(f"{take.main}."))
    return take.how == "json-text" and any(weight("answer", t.main) >= 3 for t in inside)


def _comes_to(solution: Column, value: Column) -> bool:
    """Whether an answer ends with another, which is only what it comes to."""
    pairs = zip(values_at(solution), values_at(value), strict=False)
    if len(solution.values) != len(value.values):
        return False
    return sum(len(a) > len(b) + 3 and b.strip() in a for a, b in pairs) * 2 > len(value.values)


def _lettered(columns: Sequence[Column]) -> set[str]:
    """Return columns called ``a`` and ``b``: there ``a`` is no word for an answer."""
    found = (group for group in groups(columns, Holds.TEXT) if not stem_of(group[0].path))
    return {column.path for group in found for column in group}


def _answer(column: Column, *, is_letter: bool) -> Iterator[Take]:
    path, score = column.path, _answer_score(column)
    score -= weight("answer", path) * is_letter
    if score < -3 or ("[*]" in path and column.holds != Holds.TEXTS):
        return
    if column.holds == Holds.TEXT and not spells_lists(column):
        is_called = weight("answer", path) >= 3 and not is_letter
        named = " and is called an answer" if is_called else ""
        if (key := _json_key(column)) is not None:
            words = f"{path} holds JSON with {key}"
            yield Take("json-sub-field", (path,), score + 1, words, path, key)
        yield as_is(column, score, f"{path} holds texts{named}")
    elif column.holds == Holds.TEXTS and _is_said(column):
        is_voted = are_votes(column)
        how = "majority-vote" if is_voted else "first-of-list"
        words = f"{path} holds {'answers of several people' if is_voted else 'lists of answers'}"
        score -= 0.3 if is_voted else 0.5 + 4 * are_tags(column)
        score -= 8 * are_pieces(column)
        yield Take(how, (path,), score, words, path)
    elif column.holds == Holds.CLASS:
        score = max(score, -0.5)
        yield Take("class-name", (path,), score, f"{path} holds names of classes", path)
    elif column.holds == Holds.TURN:
        key = "value" if "value" in column.values[0] else "content"
        yield Take(COLUMN, (f"{path}.{key}",), score + 2, f"{path} is one message", path)
    elif column.holds in _CHATS and speaker_of(column, 0) == "assistant":
        how = COLUMN if column.holds == Holds.MESSAGES else "sharegpt"
        yield Take(how, (path,), score + 4, f"{path} holds the assistant's messages", path)
    elif column.holds == Holds.OBJECT and (weight("answer", path) >= 3 or not column.depth):
        score = score - 2 if weight("answer", path) >= 3 else -0.4
        yield Take("json-text", (path,), score, f"{path} holds objects", path)


def _answer_score(column: Column) -> float:
    """Return how likely a column is an answer; below -3 it is none."""
    path = column.path
    named, asked = weight("answer", path), weight("prompt", path)
    score = named - _DEEPER * column.depth - 8 * (weight("rejected", path) > 0)
    score -= (2 if column.holds == Holds.CLASS else 4) * is_meta(path) + 3 * (not column.is_filled)
    score += 0.5 * (named >= 3 and not _RIGHT.isdisjoint(words_of(path)))
    if named <= 0:
        score -= 1.5 * asks(column) + 2 * (is_coded(column) + is_repeated(column))
        score += _wording(column)
        score -= 3 * (
            weight("context", path) + weight("system", path) + weight("choices", path) > 0
        )
        score -= 3 * _is_persona(column) + (weight("context", path) >= 4)
    score -= 4 * (_is_flag(column) or (is_constant(column) and is_worded(column)))
    if asked > named:
        score -= 3
    return score


def _is_flag(column: Column) -> bool:
    """Whether texts are 0 or 1, as a yes or no that nobody says."""
    return column.holds == Holds.TEXT and {*column.values} == {"0", "1"}


def _wording(column: Column) -> float:
    """Return what the look of texts says of an answer that no name tells."""
    if column.holds == Holds.TEXTS:
        return 0.3 if has_spaces(column) else -0.5
    if column.holds == Holds.CLASS:
        return -0.5
    if column.holds != Holds.TEXT:
        return 0.0
    if is_worded(column):
        return 0.3
    return 0.0 if _is_sentence(column) else -2.0


def _is_sentence(column: Column) -> bool:
    """Whether most texts, of a word or so, begin or end as what is said does."""
    said = [value.strip() for value in column.values if isinstance(value, str) and value.strip()]
    spoken = [text for text in said if text[0].isupper() or text[-1] in ".!。)}>"]
    return len(spoken) * 2 > len(said)


def _is_said(column: Column) -> bool:
    """Whether lists hold something to say, and are not choices."""
    if weight("choices", column.path) > 0 or weight("no-picture", column.path) > 0:
        return False
    return weight("answer", column.path) > 0 or max(lengths_of(column), default=0) <= _MOST_VOICES


def _json_key(column: Column) -> str | None:
    """Return the key under which JSON texts hold what is to be read from a document."""
    for value in column.values[:5]:
        try:
            parsed = orjson.loads(value)
        except (ValueError, TypeError):
            return None
        if not isinstance(parsed, dict) or "gt_parse" not in parsed:
            return None
    return "gt_parse" if column.values else None


def groups(columns: Iterable[Column], holds: Holds) -> list[tuple[Column, ...]]:
    """Return columns that one name counts, such as ``image_1`` and ``image_2``."""
    by_stem: dict[str, list[Column]] = {}
    for column in columns:
        stem = stem_of(column.path)
        is_counted = stem != column.path and (not stem or len(stem) > 1) and "[*]" not in stem
        if column.holds in (holds, Holds.NOTHING) and is_counted:
            by_stem.setdefault(stem, []).append(column)
    found = (tuple(group) for group in by_stem.values())
    return [group for group in found if len(group) > 1 and any(c.holds == holds for c in group)]


def systems(columns: Sequence[Column]) -> list[Column]:
    """Return the columns that tell the model who it is."""
    texts = [c for c in columns if c.holds == Holds.TEXT and "[*]" not in c.path]
    named = [c for c in texts if weight("system", c.path) >= 5 and not is_coded(c)]
    named = [c for c in named if not is_meta(c.path)]
    return named or [c for c in texts if _is_persona(c)]
