"""ms-swift reads our swift rows with its own loader, and none of them is bad to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import PIL.Image
from swift.dataset import load_dataset

from .conftest import PAIRS, ROWS, pictures_of, pixels, texts_of


def read(rows: Path) -> list[dict[str, Any]]:
    train, _ = load_dataset(
        [str(rows)], split_dataset_ratio=0, strict=True, load_from_cache_file=False
    )
    return list(train)


def test_conversations_have_the_same_texts_and_pictures(converted) -> None:
    out = converted(ROWS, "swift", "--write-images", "files", "--lossy", "joined-texts")

    for row, found in zip(ROWS, read(out), strict=True):
        assert [(turn["role"], turn["content"]) for turn in found["messages"]] == texts_of(row)
        opened = [PIL.Image.open(out.parent / image["path"]) for image in found["images"] or []]
        assert [*map(pixels, opened)] == [*map(pixels, pictures_of(row))]


def test_pairs_have_the_same_texts(converted) -> None:
    for pair, found in zip(PAIRS, read(converted(PAIRS, "swift")), strict=True):
        texts = [turn["content"] for turn in found["messages"]]
        assert texts == [pair["prompt"], pair["chosen"]]
        assert found["rejected_response"] == pair["rejected"]
