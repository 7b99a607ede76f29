"""The columns of a shard: what stands where, and how a conversation comes back from them.

docs/shards.md is the contract in words. The content part has exactly the two fields
``type`` and ``text``: a third one comes back from Arrow as ``image: None`` in every part,
and the Qwen template then renders text parts as pictures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any

import orjson
import pyarrow as pa

from vlm_datakit.conversation import (
    Conversation,
    Image,
    ImageRef,
    Message,
    Origin,
    Part,
    Text,
)
from vlm_datakit.errors import SourceError
from vlm_datakit.images.magic import HEAD_BYTES, media_type
from vlm_datakit.plain import TEXT, PlainRow, Shape, conversation_of
from vlm_datakit.shards import columns

SCHEMA_VERSION = 1
ID_CHARS = 16

#: Message columns of each layout, in the order in which their messages are numbered.
LAYOUTS = {
    "conversation": ("messages",),
    "answer": ("prompt", "completion"),
    "pair": ("prompt", "chosen", "rejected"),
}

_PART = pa.struct([("type", pa.string()), ("text", pa.string())])
_MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.list_(_PART))]))
_IMAGES = pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
_SIZES = pa.list_(pa.struct([("width", pa.int32()), ("height", pa.int32())]))


def _text_value() -> dict[str, str]:
    return {"dtype": "string", "_type": "Value"}


def features(layout: str, *, with_images: bool) -> dict[str, Any]:
    """Return the Hugging Face features, in the spelling that loads in datasets 3 to 5."""
    part = {"type": _text_value(), "text": _text_value()}
    messages = [{"role": _text_value(), "content": [part]}]
    size = {"dtype": "int32", "_type": "Value"}
    pictures = {"images": [{"_type": "Image"}], "image_sizes": [{"width": size, "height": size}]}
    return {
        "id": _text_value(),
        **dict.fromkeys(LAYOUTS[layout], messages),
        **(pictures if with_images else {}),
        "tools": _text_value(),
        "extras": _text_value(),
    }


def schema(layout: str, *, with_images: bool) -> pa.Schema:
    """Return the Arrow schema of a layout, its ``huggingface`` metadata written by hand."""
    fields = [pa.field("id", pa.string(), nullable=False)]
    fields += [pa.field(name, _MESSAGES) for name in LAYOUTS[layout]]
    if with_images:
        fields += [pa.field("images", _IMAGES), pa.field("image_sizes", _SIZES)]
    fields += [pa.field("tools", pa.string()), pa.field("extras", pa.string())]
    info = {"info": {"features": features(layout, with_images=with_images)}}
    return pa.schema(fields, metadata={"huggingface": orjson.dumps(info)})


def derived_id(origin: Origin) -> str:
    """Return the id of a row that has none: 16 hex digits of its source and offset.

    Example:
        >>> derived_id(Origin("a.jsonl", 0))
        'e41bee6fb2137069'
    """
    place = f"{origin.source}\0{origin.offset}".encode()
    return hashlib.sha256(place).hexdigest()[:ID_CHARS]


def derived_ids(source: str, offsets: Iterable[int]) -> list[str]:
    """Return `derived_id` of many rows of one source, by their offsets."""
    hashes, start = [], hashlib.sha256(f"{source}\0".encode())
    for offset in offsets:
        hashed = start.copy()
        hashed.update(b"%d" % offset)
        hashes.append(hashed.hexdigest()[:ID_CHARS])
    return hashes


def sections(conversation: Conversation) -> tuple[tuple[Message, ...], ...]:
    """Return the messages by column of the conversation's layout."""
    boundary = conversation.prompt_messages
    if boundary is None:
        return (conversation.messages,)
    parts = (conversation.messages[:boundary], conversation.messages[boundary:])
    return (*parts, conversation.rejected) if conversation.rejected else parts


def to_batch(
    rows: Sequence[tuple[str, Conversation | PlainRow]], layout: str, *, with_images: bool
) -> pa.RecordBatch:
    """Return rows (id, conversation) as one record batch of the layout's schema."""
    plain = [row for _, row in rows if isinstance(row, PlainRow)]
    if len(plain) == len(rows):
        arrays = _plain_arrays(plain, layout, with_images=with_images)
    else:
        found = [conversation_of(r) if isinstance(r, PlainRow) else r for _, r in rows]
        arrays = _arrays(found, layout, with_images=with_images)
    ids = columns.texts([row_id for row_id, _ in rows])
    kind = schema(layout, with_images=with_images)
    return pa.RecordBatch.from_arrays([ids, *arrays], schema=kind)


def _arrays(rows: Sequence[Conversation], layout: str, *, with_images: bool) -> list[pa.Array]:
    parts = [sections(row) for row in rows]
    arrays = [_message_array([s[n] for s in parts]) for n in range(len(LAYOUTS[layout]))]
    if with_images:
        arrays += _image_arrays([row.images for row in rows])
    tools = columns.texts([row.tools for row in rows])
    return [*arrays, tools, columns.texts([_extras_text(section) for section in parts])]


def _plain_arrays(rows: Sequence[PlainRow], layout: str, *, with_images: bool) -> list[pa.Array]:
    """Return what `_arrays` would of the same rows as conversations."""
    arrays = [_plain_message_array(rows, column) for column in range(len(LAYOUTS[layout]))]
    if with_images:
        arrays += _image_arrays([row.images for row in rows])
    return [*arrays, *[columns.texts([None] * len(rows)) for _ in ("tools", "extras")]]


def _plain_message_array(rows: Sequence[PlainRow], column: int) -> pa.Array:
    places = {shape: _place(shape, column) for shape in {row.shape for row in rows}}
    turns = [turn for row in rows for turn in row.shape[column]]
    parts = "".join([turn.parts for turn in turns])
    texts: list[str | None] = [text for row in rows for text in row.texts[places[row.shape]]]
    if len(texts) == len(parts):
        kinds = columns.repeated("text", len(parts))
    else:
        said = iter(texts)
        texts = [next(said) if part == TEXT else None for part in parts]
        kinds = columns.texts(["text" if part == TEXT else "image" for part in parts])
    part = columns.structs({"type": kinds, "text": columns.texts(texts)})
    content = columns.lists([len(turn.parts) for turn in turns], part)
    roles = columns.texts([turn.role for turn in turns])
    message = columns.structs({"role": roles, "content": content})
    return columns.lists([len(row.shape[column]) for row in rows], message)


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


def _image_arrays(rows: Sequence[tuple[Image, ...]]) -> list[pa.Array]:
    images = [image for row in rows for image in row]
    lengths = [len(row) for row in rows]
    paths = pa.nulls(len(images), pa.string())
    stored = columns.structs(
        {"bytes": columns.binaries([image.data for image in images]), "path": paths}
    )
    sizes = columns.structs(
        {
            "width": columns.int32s([image.width_px for image in images]),
            "height": columns.int32s([image.height_px for image in images]),
        }
    )
    return [columns.lists(lengths, stored), columns.lists(lengths, sizes)]


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


def from_columns(row: Mapping[str, Any], layout: str) -> Conversation:
    """Return the conversation of one row as Arrow gives it.

    Raises:
        SourceError: if the row does not hold to the contract.
    """
    try:
        extras = orjson.loads(row["extras"]) if row["extras"] else {}
        numbered = count()
        parts = [
            tuple(_message(value, extras, numbered) for value in row[name])
            for name in LAYOUTS[layout]
        ]
        images = tuple(_images(row))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise SourceError(f"row {row.get('id')!r} is not of the shard layout: {error}") from error
    return Conversation(
        messages=tuple(message for section in parts[:2] for message in section),
        images=images,
        id=row["id"],
        tools=row["tools"],
        prompt_messages=len(parts[0]) if len(parts) > 1 else None,
        rejected=parts[2] if len(parts) > 2 else (),
    )


def _message(
    value: Mapping[str, Any], extras: Mapping[str, Any], numbers: Iterator[int]
) -> Message:
    mine = dict(extras.get(str(next(numbers)), {}))
    details = iter(mine.pop("detail", ()))
    content: tuple[Part, ...] = tuple(
        Text(part["text"]) if part["type"] == "text" else ImageRef(next(details, None))
        for part in value["content"]
    )
    return Message(value["role"], content, mine)


def _images(row: Mapping[str, Any]) -> Iterator[Image]:
    for image, size in zip(row.get("images", ()), row.get("image_sizes", ()), strict=True):
        data = image["bytes"]
        kind = media_type(data[:HEAD_BYTES]) or "application/octet-stream"
        yield Image(data, kind, size["width"], size["height"])
