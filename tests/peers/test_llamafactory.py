"""LLaMA-Factory reads our sharegpt and alpaca rows by the entry that convert writes for it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from datasets import load_dataset
from llamafactory.data.converter import get_dataset_converter
from llamafactory.data.mm_plugin import get_mm_plugin
from llamafactory.data.parser import get_dataset_list

from .conftest import PAIRS, ROWS, pictures_of, pixels, texts_of

ENTRY = ("--dataset-info", "dataset_info.json")
FILES = ("--write-images", "files", "--lossy", "joined-texts")


def read(rows: Path) -> list[dict[str, Any]]:
    """Return the rows as LLaMA-Factory aligns them."""
    (attributes,) = get_dataset_list(["chat"], str(rows.parent))
    arguments = SimpleNamespace(media_dir=str(rows.parent))
    align = get_dataset_converter(attributes.formatting, attributes, arguments)
    given = load_dataset("json", data_files=str(rows), split="train", cache_dir=str(rows.parent))
    return [align(row) for row in given]


@pytest.mark.parametrize("target", ["sharegpt", "alpaca"])
def test_conversations_have_the_same_texts_and_pictures(converted, target: str) -> None:
    rows = ROWS if target == "sharegpt" else ROWS[1:]

    found = read(converted(rows, target, *FILES, *ENTRY))

    plugin = get_mm_plugin("qwen2_vl", image_token="<|image_pad|>")
    for row, aligned in zip(rows, found, strict=True):
        system = [("system", aligned["_system"])] if aligned["_system"] else []
        turns = [
            (turn["role"], turn["content"]) for turn in aligned["_prompt"] + aligned["_response"]
        ]
        assert system + turns == texts_of(row)
        limits = {"image_max_pixels": 10**6, "image_min_pixels": 1}
        opened = plugin._regularize_images(aligned["_images"] or [], **limits)["images"]
        assert [pixels(picture) for picture in opened] == [*map(pixels, pictures_of(row))]


@pytest.mark.parametrize("target", ["sharegpt", "alpaca"])
def test_pairs_have_the_same_texts(converted, target: str) -> None:
    found = read(converted(PAIRS, target, *ENTRY))

    for pair, aligned in zip(PAIRS, found, strict=True):
        texts = [turn["content"] for turn in aligned["_prompt"] + aligned["_response"]]
        assert texts == [pair["prompt"], pair["chosen"], pair["rejected"]]
