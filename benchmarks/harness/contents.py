"""What a data set holds, whatever its layout: so that only equal work is compared.

Texts are the text parts in order; pictures are the bytes of their files in order.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

TEXT_COLUMNS = ("question", "answer", "prompt", "messages", "completion", "chosen", "rejected")
IMAGE_COLUMNS = ("image", "images")

Row = tuple[list[bytes], list[str]]


@dataclass(frozen=True, slots=True)
class Contents:
    """Counts and digests of a data set."""

    rows: int
    pictures: int
    pictures_sha256: str
    texts_sha256: str


def contents_of(rows: Iterator[Row]) -> Contents:
    """Take the digest of rows in order."""
    count = pictures = 0
    image_digest, text_digest = hashlib.sha256(), hashlib.sha256()
    for images, texts in rows:
        count += 1
        pictures += len(images)
        for image in images:
            image_digest.update(image)
        for text in texts:
            text_digest.update(text.encode() + b"\0")
    return Contents(count, pictures, image_digest.hexdigest(), text_digest.hexdigest())


def contents_in_any_order(rows: Iterator[Row]) -> str:
    """Take the digest of rows whose order is lost."""
    digests = sorted(hashlib.sha256(repr(row).encode()).digest() for row in rows)
    return hashlib.sha256(b"".join(digests)).hexdigest()


def read_rows(place: Path) -> Iterator[Row]:
    """Yield the rows of JSON lines, or of a folder that a way has written."""
    if place.is_file():
        yield from _json_rows(place)
        return
    if (place / "rows.jsonl").exists():
        yield from _json_rows(place / "rows.jsonl")
        return
    for path in sorted(place.rglob("*.parquet")):
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(256):
                for row in batch.to_pylist():
                    yield _images(row), _column_texts(row)


def _json_rows(path: Path) -> Iterator[Row]:
    with path.open("rb") as lines:
        for line in lines:
            row = json.loads(line)
            images = [
                base64.b64decode(part["image_url"]["url"].partition(",")[2])
                for message in row.get("messages", ())
                if isinstance(message["content"], list)
                for part in message["content"]
                if part["type"] == "image_url"
            ]
            yield images, _column_texts(row)


def _images(row: dict[str, Any]) -> list[bytes]:
    found = [row[name] for name in IMAGE_COLUMNS if row.get(name) is not None]
    flat = [image for value in found for image in (value if isinstance(value, list) else [value])]
    return [image["bytes"] if isinstance(image, dict) else image for image in flat]


def _column_texts(row: dict[str, Any]) -> list[str]:
    return [
        text for name in TEXT_COLUMNS if row.get(name) is not None for text in _texts(row[name])
    ]


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts of a column: a text, messages, or the parts of one."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for message in value:
            content = message["content"]
            if isinstance(content, str):
                yield content
            else:
                yield from (part["text"] for part in content if part["type"] == "text")
