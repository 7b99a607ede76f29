"""How the texts of a column are worded: as questions, commands, codes, or the same in all rows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from vlm_datakit.mapping.columns import Column
from vlm_datakit.mapping.names import is_meta, words_of
from vlm_datakit.mapping.pictures import PLACE

_CODED = re.compile(
    r"[0-9a-f]{8,}|[0-9a-f]{8}-[0-9a-f-]{27}|\d{4}-\d\d-\d\d.*|[\w.+-]+://\S+"
    r"|/?(?:[\w.-]+/)+[\w.-]*|[A-Za-z]+[_-]?\d[\w-]*|[\w-]+\.[a-z]{2,4}"
    r"|\S+@\S+\.\w+|[\d|_.,:/-]*[|_][\d|_.,:/-]*"
    r"|(?=\S*\d)[A-Za-z<]+[-_:][\w:<>-]+|[a-z]+(?:_[a-z0-9]+)+",
)
_WORDED = re.compile(r"\w\W*\s+\W*\w|[\u0e00-\u0fff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]{3}")
_ASKS = re.compile(r"[?\uff1f\u061f;]\s*(?:</?\w+>|<image>)?\s*$")
_COMMANDS = re.compile(
    r"\s*(?:please |can you |could you )?(?:answer|classify|compare|convert|count|create|describe"
    r"|determine|explain|extract|find|generate|give|how|identify|list|name|predict|provide|read"
    r"|sort|summari[sz]e|tell|translate|what|which|who|why|write)\b",
    re.IGNORECASE,
)
_INSTRUCTS = re.compile(
    r"\s*(?:in this task|your task|given (?:an?|the)|you(?:'re| are| will be) given)\b",
    re.IGNORECASE,
)
_SHOWS_CHOICES = re.compile(r"(?:^|[\s(,;])[Aa]\s?[.):]\s*\S.*?[\s(,;][Bb]\s?[.):]\s*\S", re.DOTALL)
_SPELLED_LIST = re.compile(r"""\s*\[\s*["'].*["']\s*\]\s*""", re.DOTALL)


def is_coded(column: Column) -> bool:
    """Whether texts are rather ids, dates, addresses or file names than words."""
    said = [value for value in column.values if isinstance(value, str) and value.strip()]
    return bool(said) and all(_CODED.fullmatch(value.strip()) for value in said[:20])


def is_worded(column: Column) -> bool:
    """Whether most texts have several words."""
    said = [value for value in column.values if isinstance(value, str) and value.strip()]
    return (
        bool(said)
        and sum(bool(_WORDED.search(value[:400])) for value in said) * 10 >= len(said) * 9
        and not is_about_rows(column)
    )


def is_about_rows(column: Column) -> bool:
    """Whether a column says something about rows by its name, and holds no text of a source."""
    if words_of(column.path) != ("source",):
        return is_meta(column.path)
    said = [value for value in column.values if isinstance(value, str)]
    return len({*said}) < len(said) or not all(len(value.split()) > 2 for value in said)


def asks(column: Column) -> float:
    """Return the share of texts that end as a question does."""
    said = [value for value in column.values if isinstance(value, str) and value.strip()]
    return sum(bool(_ASKS.search(value[-40:])) for value in said) / len(said) if said else 0.0


def commands(column: Column) -> float:
    """Return the share of texts that begin as a command or a question does."""
    said = [value for value in column.values if isinstance(value, str) and value.strip()]
    return sum(bool(_COMMANDS.match(value)) for value in said) / len(said) if said else 0.0


def instructs(column: Column) -> bool:
    """Whether texts say what is to be done with another."""
    said = [value for value in column.values if isinstance(value, str) and value.strip()]
    return sum(bool(_INSTRUCTS.match(value)) for value in said) * 2 > len(said)


def is_repeated(column: Column) -> bool:
    """Whether few values stand in many rows, as those of a category do."""
    texts = [value for value in column.values if isinstance(value, str)]
    return is_constant(column) or (len(texts) >= 8 and len(set(texts)) * 4 <= len(texts))


def is_constant(column: Column) -> bool:
    """Whether one text stands in all of several rows."""
    texts = [value for value in column.values if isinstance(value, str)]
    return len(texts) >= 3 and len(set(texts)) == 1


def spells_lists(column: Column) -> bool:
    """Whether texts spell lists of texts."""
    given = [value for value in column.values if isinstance(value, str)]
    return bool(given) and all(_SPELLED_LIST.fullmatch(value) for value in given[:20])


def shows_choices(column: Column) -> bool:
    """Whether most texts show choices by their letters: ``A. ice B. steam``."""
    said = [value for value in column.values if isinstance(value, str) and value.strip()]
    return sum(bool(_SHOWS_CHOICES.search(value)) for value in said) * 2 > len(said)


def has_mark(column: Column) -> bool:
    """Whether ``<image>`` stands in texts, or in the texts of messages."""
    return any(PLACE.search(text) for value in column.values for text in _texts_in(value))


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key in ("content", "value"):
            yield from _texts_in(value.get(key))
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _texts_in(one)
