"""The columns of a shard: what stands where, and how a conversation comes back from them.

docs/shards.md is the contract in words. The content part has exactly the two fields
``type`` and ``text``: a third one comes back from Arrow as ``image: None`` in every part,
and the Qwen template then renders text parts as pictures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
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
