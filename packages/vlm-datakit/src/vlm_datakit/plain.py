"""Rows of texts and pictures with nothing beside them: most rows of most data sets.

As a conversation of objects such a row costs several times its parsing, so it is kept as its
texts. What it becomes is what it would become as a conversation, to the byte; a row with
anything else in it, or of which a word is to be said, is not plain.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from vlm_datakit.conversation import (
    Conversation,
    Image,
    ImageRef,
    ImageSource,
    Message,
    Text,
)

if TYPE_CHECKING:
    import pyarrow as pa

TEXT, PICTURE = "t", "p"


class Turn(NamedTuple):
    """A message without its content: the role, and a letter for each part."""

    role: str
    parts: str = TEXT


#: The turns of a row, by column of the layout.
Shape = tuple[tuple[Turn, ...], ...]


class PlainDraft(NamedTuple):
    """A plain row as parsed: its texts and its pictures in order, over all turns."""

    shape: Shape
    texts: tuple[str, ...]
    images: tuple[ImageSource, ...] = ()
    id: str | None = None


class PlainRow(NamedTuple):
    """A plain row with its pictures opened."""

    shape: Shape
    texts: tuple[str, ...]
    images: tuple[Image, ...] = ()
    id: str | None = None


#: Returns a row's plain form, or None if it has none; then it is parsed.
Plain = Callable[[Mapping[str, Any]], PlainDraft | None]


@dataclass(frozen=True, slots=True)
class PlainRows:
    """Plain rows of one source, one after the other, each with its byte offset."""

    source: str
    offsets: Sequence[int]
    rows: Sequence[PlainRow]


class TextColumns(NamedTuple):
    """The fields of a plain row that is nothing but these texts, and maybe an ``id``.

    ``shape`` is what such a row becomes; ``differing`` are the numbers of two fields whose
    texts must not be the same.
    """

    names: tuple[str, ...]
    shape: Shape
    differing: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class PlainColumns:
    """Plain rows of one shape and one source, one after the other, as columns.

    ``ids`` are None where no row has one; ``texts`` has a string array for each text of a row,
    without a null.
    """

    source: str
    offsets: Sequence[int]
    shape: Shape
    texts: tuple[pa.Array, ...]
    ids: Sequence[str | None] | None = None

    def __len__(self) -> int:
        return len(self.offsets)

    def cut(self, start: int, stop: int) -> PlainColumns:
        """Return some of the rows, as a slice of a list does; no text is copied."""
        texts = tuple([column.slice(start, stop - start) for column in self.texts])
        ids = None if self.ids is None else self.ids[start:stop]
        return PlainColumns(self.source, self.offsets[start:stop], self.shape, texts, ids)


def plain_bytes(row: PlainRow) -> int:
    """Return about what a row takes in memory: characters, and bytes of pictures."""
    size = sum(map(len, row.texts))
    for image in row.images:
        size += len(image.data)
    return size


def conversation_of(row: PlainRow) -> Conversation:
    """Return the conversation that a plain row stands for.

    Example:
        >>> row = PlainRow(((Turn("user"),), (Turn("assistant"),)), ("2 + 2?", "4"))
        >>> conversation_of(row).prompt_messages
        1
    """
    texts = iter(row.texts)
    columns = [tuple([_message(turn, texts) for turn in turns]) for turns in row.shape]
    return Conversation(
        tuple(message for column in columns[:2] for message in column),
        row.images,
        row.id,
        prompt_messages=len(columns[0]) if len(columns) > 1 else None,
        rejected=columns[2] if len(columns) > 2 else (),
    )


def _message(turn: Turn, texts: Any) -> Message:
    parts = [Text(next(texts)) if part == TEXT else ImageRef() for part in turn.parts]
    return Message(turn.role, tuple(parts))
