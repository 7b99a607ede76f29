"""Rows on their way into a row group, and the record batch that they become."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from mmap import mmap
from typing import Any

import orjson
import pyarrow as pa

from vlm_datakit.conversation import Conversation, Image, ImageRef, Message, Text
from vlm_datakit.plain import (
    PICTURE,
    TEXT,
    PlainColumns,
    PlainRow,
    Shape,
    Turn,
    conversation_of,
    plain_bytes,
)
from vlm_datakit.plan import MIB
from vlm_datakit.shards import columns
from vlm_datakit.shards.layout import LAYOUTS, schema, sections

_PAGES_BYTES = 20 * MIB  # a row group, and its last row; untouched pages take no memory
_SPARE: list[mmap] = []  # of a batch before, at most one: pages that were touched once are at hand


class Batch:
    """Collects rows of one layout.

    Args:
        layout: conversation, answer or pair.
        with_images: Whether there are image columns.

    Example:
        >>> batch = Batch("conversation", with_images=False)
        >>> batch.add("7", Conversation((Message("user", (Text("Hi"),)),)))
        >>> batch.taken().num_rows, len(batch)
        (1, 0)
    """

    def __init__(self, layout: str, *, with_images: bool) -> None:
        self._layout, self._schema = layout, schema(layout, with_images=with_images)
        self._pictures = _Pictures() if with_images else None
        self._ids: list[str] = []
        self._rows: list[Conversation | PlainRow | PlainColumns] = []
        self._size = 0  # characters, and bytes of pictures
        self._uncounted: list[PlainColumns] = []
        self._uncounted_bytes = 0  # of texts: no fewer than characters

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, row_id: str, row: Conversation) -> None:
        """Append one row; of its pictures the bytes are copied, and not kept a second time."""
        self._ids.append(row_id)
        self._rows.append(replace(row, images=()) if row.images else row)
        self._size += _text_size(row)
        if self._pictures is not None:
            self._size += self._pictures.add([row.images])

    def add_run(self, ids: Sequence[str], rows: Sequence[PlainRow]) -> None:
        """Append plain rows as `add` would the conversations that they stand for."""
        self._ids += ids
        self._rows += [PlainRow(shape, texts, (), row_id) for shape, texts, _, row_id in rows]
        self._size += sum([len(text) for row in rows for text in row.texts])
        if self._pictures is not None:
            self._size += self._pictures.add([row.images for row in rows])

    def add_columns(self, ids: Sequence[str], rows: PlainColumns) -> None:
        """Append rows that stand in columns, in a layout without image columns."""
        self._ids += ids
        self._rows.append(rows)
        self._uncounted.append(rows)
        self._uncounted_bytes += _text_bytes(rows)

    def reaches(self, size: int) -> bool:
        """Whether there are so many characters and bytes of pictures."""
        if self._size + self._uncounted_bytes < size:
            return False
        self._size += sum([sum(_sizes(rows)) for rows in self._uncounted])
        self._uncounted, self._uncounted_bytes = [], 0
        return self._size >= size

    def rows_up_to(self, size: int, rows: PlainColumns | Sequence[PlainRow]) -> int:
        """Return how many rows there are up to the one with which `reaches` comes true, or all."""
        if not isinstance(rows, PlainColumns):
            return self._up_to(size, map(plain_bytes, rows)) or len(rows)
        if not self.reaches(size - _text_bytes(rows)):
            return len(rows)
        return self._up_to(size, _sizes(rows)) or len(rows)

    def _up_to(self, size: int, added: Iterable[int]) -> int:
        """Return how many rows of these sizes it takes; 0 if all are not enough."""
        total = self._size + self._uncounted_bytes
        for number, row_size in enumerate(added, 1):
            total += row_size
            if total >= size:
                return number
        return 0

    def close(self) -> None:
        """Leave the pages of pictures to the next batch; nobody reads what was taken any more."""
        if self._pictures is not None and not _SPARE:
            _SPARE.append(self._pictures.pages)

    def taken(self) -> pa.RecordBatch:
        """Return all rows as one record batch of the layout's schema, and begin anew.

        Its pictures stand in memory that the next `add` writes to.
        """
        ids, arrays = columns.texts(self._ids), _mixed_arrays(self._rows, self._layout)
        if self._pictures is not None:
            arrays[-2:-2] = self._pictures.arrays()  # before tools and extras
            self._pictures = _Pictures(self._pictures.pages)
        self._ids, self._rows, self._size = [], [], 0
        self._uncounted, self._uncounted_bytes = [], 0
        return pa.RecordBatch.from_arrays([ids, *arrays], schema=self._schema)


class _Pictures:
    """The pictures of rows: the bytes of all, one after the other, and their sizes.

    In pages of their own: on the heap, beside rows that come and go, a buffer that grows to 16 MiB
    leaves holes that nothing fits, and a long run takes twice the memory. They are used again:
    getting new ones from the system takes three times as long as filling them.

    Args:
        pages: Of an earlier row group, which nobody reads any more.
    """

    def __init__(self, pages: mmap | None = None) -> None:
        self.pages = pages or (_SPARE.pop() if _SPARE else mmap(-1, _PAGES_BYTES))
        self._ends = array("i", [0])
        self._widths, self._heights, self._counts = array("i"), array("i"), array("i", [0])

    def add(self, rows: Iterable[Sequence[Image]]) -> int:
        """Append the pictures of each row, and return how many bytes they have."""
        before = end = self._ends[-1]
        for images in rows:
            for image in images:
                start, end = end, end + len(image.data)
                if end > len(self.pages):
                    self._grow(start, end)
                self.pages[start:end] = image.data
                self._ends.append(end)
                self._widths.append(image.width_px)
                self._heights.append(image.height_px)
            self._counts.append(len(self._widths))
        return end - before

    def _grow(self, used: int, needed: int) -> None:
        larger = mmap(-1, 2 * needed)
        larger[:used] = self.pages[:used]
        self.pages = larger

    def arrays(self) -> list[pa.Array]:
        """Return the columns images and image_sizes, over this memory."""
        count = len(self._widths)
        data = columns.spans(self._ends, memoryview(self.pages)[: self._ends[-1]])
        paths = pa.nulls(count, pa.string())
        stored = columns.structs({"bytes": data, "path": paths})
        sides = {"width": columns.int32s(self._widths), "height": columns.int32s(self._heights)}
        sizes = columns.structs(sides)
        return [columns.cut_at(self._counts, stored), columns.cut_at(self._counts, sizes)]


def _text_size(row: Conversation) -> int:
    """Return about how many characters a row has."""
    size = len(row.tools or "")
    for message in row.messages + row.rejected:
        for part in message.content:
            if isinstance(part, Text):
                size += len(part.text)
        if message.extras:
            size += len(f"{message.extras}")
    return size


def _text_bytes(rows: PlainColumns) -> int:
    ends = map(columns.ends, rows.texts)
    return sum([places[-1] - places[0] for places in ends])


def _sizes(rows: PlainColumns) -> list[int]:
    """Return `_text_size` of each row."""
    return [*map(sum, zip(*map(columns.characters, rows.texts), strict=True))]


def _mixed_arrays(
    rows: Sequence[Conversation | PlainRow | PlainColumns], layout: str
) -> list[pa.Array]:
    """Return the message columns, tools and extras of rows and rows in columns, in order."""
    parts = [
        _row_arrays([*part], layout) if shape is None else _column_arrays([*part], shape)
        for shape, part in groupby(rows, _shape_of_columns)
    ]
    if len(parts) < 2:
        return parts[0] if parts else _row_arrays([], layout)
    return [pa.concat_arrays(arrays) for arrays in zip(*parts, strict=True)]


def _shape_of_columns(rows: Conversation | PlainRow | PlainColumns) -> Shape | None:
    return rows.shape if isinstance(rows, PlainColumns) else None


def _row_arrays(rows: Sequence[Any], layout: str) -> list[pa.Array]:
    if all(isinstance(row, PlainRow) for row in rows):
        return _plain_arrays(rows, layout)
    found = [conversation_of(row) if isinstance(row, PlainRow) else row for row in rows]
    return _arrays(found, layout)


def _column_arrays(parts: Sequence[Any], shape: Shape) -> list[pa.Array]:
    """Return what `_plain_arrays` would of the same rows, all of one shape, one by one."""
    texts = [pa.concat_arrays(part) for part in zip(*[p.texts for p in parts], strict=True)]
    count, arrays = len(texts[0]), []
    for column, turns in enumerate(shape):
        said = columns.in_turn(texts[_place(shape, column)])
        message = _plain_messages(turns, said, count)
        arrays.append(columns.even_lists(len(turns), message))
    return [*arrays, *[pa.nulls(count, pa.string()) for _ in ("tools", "extras")]]


def _arrays(rows: Sequence[Conversation], layout: str) -> list[pa.Array]:
    """Return the message columns, tools and extras."""
    parts = [sections(row) for row in rows]
    arrays = [_message_array([s[n] for s in parts]) for n in range(len(LAYOUTS[layout]))]
    tools = columns.texts([row.tools for row in rows])
    return [*arrays, tools, columns.texts([_extras_text(section) for section in parts])]


def _plain_arrays(rows: Sequence[PlainRow], layout: str) -> list[pa.Array]:
    """Return what `_arrays` would of the same rows as conversations."""
    arrays = [_plain_message_array(rows, column) for column in range(len(LAYOUTS[layout]))]
    return [*arrays, *[columns.texts([None] * len(rows)) for _ in ("tools", "extras")]]


def _plain_message_array(rows: Sequence[PlainRow], column: int) -> pa.Array:
    shapes = [row.shape for row in rows]
    if shapes and shapes.count(shapes[0]) == len(shapes):
        turns, texts = shapes[0][column], _texts_of_one_shape(rows, column)
        message = _plain_messages(turns, _with_places(turns, texts, len(rows)), len(rows))
        return columns.lists([len(turns)] * len(rows), message)
    places = {shape: _place(shape, column) for shape in set(shapes)}
    all_turns = [turn for shape in shapes for turn in shape[column]]
    texts = [text for row in rows for text in row.texts[places[row.shape]]]
    message = _plain_messages(all_turns, _with_places(all_turns, texts, 1), 1)
    return columns.lists([len(shape[column]) for shape in shapes], message)


def _texts_of_one_shape(rows: Sequence[PlainRow], column: int) -> list[str]:
    place = _place(rows[0].shape, column)
    if place.stop - place.start == 1:
        return [row.texts[place.start] for row in rows]
    return [text for row in rows for text in row.texts[place]]


def _with_places(turns: Sequence[Turn], texts: list[str], times: int) -> pa.Array:
    """Return texts with a null for each picture among the parts of so many times these turns."""
    parts = "".join([turn.parts for turn in turns])
    if PICTURE not in parts:
        return columns.texts(texts)
    said = iter(texts)
    return columns.texts([next(said) if part == TEXT else None for part in parts * times])


def _plain_messages(turns: Sequence[Turn], texts: pa.Array, times: int) -> pa.Array:
    """Return messages whose roles and parts are the turns', so many times one after the other."""
    parts = "".join([turn.parts for turn in turns])
    kinds = tuple(["text" if part == TEXT else "image" for part in parts])
    part = columns.structs({"type": columns.repeated(kinds, times), "text": texts})
    if parts == TEXT * len(turns):
        content = columns.even_lists(1, part)
    else:
        content = columns.lists([len(turn.parts) for turn in turns] * times, part)
    roles = columns.repeated(tuple([turn.role for turn in turns]), times)
    return columns.structs({"role": roles, "content": content})


def _place(shape: Shape, column: int) -> slice:
    """Return where the texts of a column stand among those of a row."""
    counts = [sum(turn.parts.count(TEXT) for turn in turns) for turns in shape]
    start = sum(counts[:column])
    return slice(start, start + counts[column])


def _message_array(turns: Sequence[tuple[Message, ...]]) -> pa.Array:
    messages = [message for row in turns for message in row]
    parts = [part for message in messages for part in message.content]
    part = columns.structs(
        {
            "type": columns.texts(["text" if isinstance(p, Text) else "image" for p in parts]),
            "text": columns.texts([p.text if isinstance(p, Text) else None for p in parts]),
        }
    )
    message = columns.structs(
        {
            "role": columns.texts([message.role for message in messages]),
            "content": columns.lists([len(message.content) for message in messages], part),
        }
    )
    return columns.lists([len(row) for row in turns], message)


def _extras_text(parts: Sequence[tuple[Message, ...]]) -> str | None:
    """Return the extras of all messages, by message index over all columns, or None."""
    found: dict[str, Any] = {}
    for index, message in enumerate([message for section in parts for message in section]):
        details = [part.detail for part in message.content if isinstance(part, ImageRef)]
        if message.extras:
            found[str(index)] = dict(message.extras)
        if details and any(detail is not None for detail in details):
            found.setdefault(str(index), {})["detail"] = details
    return orjson.dumps(found).decode() if found else None
