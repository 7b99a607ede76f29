"""The card keeps loaders to the data, and tells people what was refused."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from vlm_datakit.shards.card import card

MANIFEST: dict[str, Any] = {
    "layout": "conversation",
    "versions": {"vlm-datakit": "0.1.0"},
    "source": {"format": "openai"},
    "splits": {
        "train": {"rows": 1200, "bytes": 34567, "shards": [{"sha256": "ab"}, {"sha256": "cd"}]},
        "test": {"rows": 0, "bytes": 0, "shards": []},
    },
    "rejects": {"total": 0, "by_reason": {}},
}


def front_matter(text: str) -> Any:
    return yaml.safe_load(text.split("---\n")[1])


def test_loaders_are_told_the_files_of_every_split_that_has_rows() -> None:
    front = front_matter(card(MANIFEST, "out"))

    (config,) = front["configs"]
    assert config["config_name"] == "default"
    assert config["data_files"] == [{"split": "train", "path": "data/train-*.parquet"}]


def test_another_set_in_a_folder_of_the_same_name_has_another_description() -> None:
    train = {**MANIFEST["splits"]["train"], "shards": [{"sha256": "ef"}]}

    first, same = (front_matter(card(MANIFEST, name)) for name in ("out", "elsewhere"))
    other = front_matter(card({**MANIFEST, "splits": {"train": train}}, "out"))

    assert first == same
    assert first["configs"][0]["description"] != other["configs"][0]["description"]


@pytest.mark.parametrize("name", ["no", "on", "1", "null", "a_1.b"])
def test_a_split_stays_a_text_whatever_its_name(name: str) -> None:
    split = MANIFEST["splits"]["train"]

    front = front_matter(card({**MANIFEST, "splits": {name: split}}, "out"))

    assert front["configs"][0]["data_files"][0]["split"] == name


def test_people_are_told_rows_and_refusals() -> None:
    rejects = {"total": 3, "by_reason": {"json-invalid": 3}}

    text = card({**MANIFEST, "rejects": rejects}, "out")

    assert "| train | 1,200 | 34,567 |\n" in text
    assert "3 rows were refused; `rejects/` says which and why:\n\n- `json-invalid`: 3\n" in text
    assert "No row was refused.\n" in card(MANIFEST, "out")
