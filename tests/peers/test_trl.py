"""TRL reads our trl rows: its own preparation of messages puts each picture into its place."""

from __future__ import annotations

import json
from pathlib import Path

import PIL.Image
from datasets import Image, List, load_dataset
from trl.data_utils import prepare_multimodal_messages

from .conftest import PAIRS, ROWS, pictures_of, pixels, texts_of


def test_conversations_have_the_same_texts_and_pictures(converted) -> None:
    out = converted(ROWS, "trl", "--write-images", "files")

    for row, line in zip(ROWS, out.read_text(encoding="utf-8").split("\n"), strict=False):
        given = json.loads(line)
        images = [PIL.Image.open(out.parent / name) for name in given.get("images", [])]
        messages = prepare_multimodal_messages(given["messages"], images)
        parts = [part for message in messages for part in message["content"]]
        opened = [part["image"] for part in parts if part["type"] == "image"]
        assert texts_of({"messages": messages}) == texts_of(row)
        assert [*map(pixels, opened)] == [*map(pixels, pictures_of(row))]


def test_datasets_loads_pictures_that_lie_beside_the_rows(converted, monkeypatch) -> None:
    out = converted(ROWS[::2], "trl", "--write-images", "files")
    monkeypatch.chdir(out.parent)  # datasets opens relative paths from here

    found = load_dataset("json", data_files=out.name, split="train", cache_dir=".")
    found = found.cast_column("images", List(Image(decode=False)))

    for row, given in zip(ROWS[::2], found, strict=True):
        data = [image["bytes"] or Path(image["path"]).read_bytes() for image in given["images"]]
        assert [*map(pixels, data)] == [*map(pixels, pictures_of(row))]


def test_pairs_are_the_columns_of_dpo(converted) -> None:
    out = converted(PAIRS, "preference")

    found = load_dataset("json", data_files=str(out), split="train", cache_dir=str(out.parent))

    assert [dict(row) for row in found] == PAIRS
