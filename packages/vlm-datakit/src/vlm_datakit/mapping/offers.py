"""A mapping that may do: what it is about, why, and the pictures that belong to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from vlm_datakit.mapping.columns import Column, Holds
from vlm_datakit.mapping.fieldmap import Entry
from vlm_datakit.mapping.lists import values_at
from vlm_datakit.mapping.takes import Take, systems


class Offer(NamedTuple):
    """A mapping that may do, how sure it is, why, and the columns it is about."""

    entries: tuple[Entry, ...]
    score: float
    evidence: tuple[str, ...]
    subject: tuple[str, ...]
    format: str | None = None


def pictured(offer: Offer, take: Take, columns: Sequence[Column]) -> Offer:
    """Add the pictures to an offer, unless its messages hold them."""
    if any(entry.role == "images" for entry in offer.entries):
        return offer
    chat = next((c for c in columns if c.path == offer.subject[0]), None)
    if chat is not None and part_facts(chat).inline:
        return offer
    entry, words = take.entry("images"), take.words
    if chat is not None and part_facts(chat).indexed:
        entry = Entry("images", (*take.columns, chat.path), "images-by-index")
    return offer._replace(
        entries=(*offer.entries, entry),
        evidence=(*offer.evidence, words),
        subject=(*offer.subject, take.words),
    )


class PartFacts(NamedTuple):
    """What the parts of messages hold: pictures, places of them, numbers of pictures."""

    inline: bool = False
    places: bool = False
    indexed: bool = False


def part_facts(column: Column) -> PartFacts:
    """Tell how messages speak of pictures."""
    inline = places = indexed = False
    if column.holds != Holds.MESSAGES:
        return PartFacts()
    for part in _parts(values_at(column)):
        inline |= any(part.get(key) for key in ("image_url", "image", "base64", "source"))
        places |= part.get("type") == "image"
        indexed |= isinstance(part.get("index"), int)
    return PartFacts(inline, places, indexed)


def _parts(values: Iterable[Any]) -> Iterator[dict[str, Any]]:
    for messages in values:
        for message in messages:
            content = message.get("content") if isinstance(message, dict) else None
            for part in content if isinstance(content, list) else ():
                if isinstance(part, dict):
                    yield part


def with_system(offer: Offer, columns: Sequence[Column]) -> Iterator[Offer]:
    """Yield an offer with the text that tells the model who it is, if there is one."""
    used = {path for entry in offer.entries for path in entry.columns}
    for column in systems(columns)[:1]:
        if column.path not in used:
            yield offer._replace(
                entries=(*offer.entries, Entry("system", (column.path,))),
                score=offer.score + 1,
                evidence=(*offer.evidence, f"{column.path} tells the model who it is"),
            )
