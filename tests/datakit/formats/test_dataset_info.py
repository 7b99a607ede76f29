"""What LLaMA-Factory is told of a file of rows."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from vlm_datakit.errors import OutputError, SourceError
from vlm_datakit.formats.dataset_info import dataset_entry
from vlm_datakit.sinks.dataset_info import put_entry


def test_columns_that_no_row_has_are_not_named() -> None:
    entry = dataset_entry("sharegpt", "a.jsonl", {"id": 2, "conversations": 2, "images": 1}, 2)

    assert entry["columns"] == {"messages": "conversations", "images": "images"}
    assert (entry["file_name"], entry["formatting"], "ranking" in entry) == (
        *("a.jsonl", "sharegpt"),
        False,
    )


def test_pairs_are_ranked() -> None:
    columns = {"instruction": 2, "input": 2, "chosen": 2, "rejected": 2, "history": 1, "tools": 1}
    entry = dataset_entry("alpaca", "a.jsonl", columns, 2)

    assert entry == {
        "file_name": "a.jsonl",
        "formatting": "alpaca",
        "ranking": True,
        "columns": {
            "prompt": "instruction",
            "query": "input",
            "history": "history",
            "tools": "tools",
            "chosen": "chosen",
            "rejected": "rejected",
        },
    }


def test_pairs_among_other_rows_have_no_entry() -> None:
    with pytest.raises(SourceError, match=r"^a.jsonl: 1 of 2 rows are pairs"):
        dataset_entry("sharegpt", "a.jsonl", {"conversations": 2, "rejected": 1}, 2)


def test_an_entry_is_added_or_replaced_and_the_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "dataset_info.json"
    put_entry(path, "b", {"file_name": "old.jsonl"})
    put_entry(path, "a", {"file_name": "ä.jsonl"})
    put_entry(path, "b", {"file_name": "b.jsonl"})

    expected = {"b": {"file_name": "b.jsonl"}, "a": {"file_name": "ä.jsonl"}}
    assert list(orjson.loads(path.read_bytes()).items()) == list(expected.items())
    assert [file.name for file in tmp_path.iterdir()] == ["dataset_info.json"]


@pytest.mark.parametrize("text", ["[]", "{", "NaN"])
def test_a_file_of_something_else_is_left_as_it_is(tmp_path: Path, text: str) -> None:
    path = tmp_path / "dataset_info.json"
    path.write_text(text)

    with pytest.raises(SourceError, match=r"dataset_info\.json: not "):
        put_entry(path, "a", {})
    assert path.read_text() == text


def test_a_folder_is_no_file_of_entries(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="Is a directory"):
        put_entry(tmp_path, "a", {})
    with pytest.raises(OutputError):
        put_entry(tmp_path / "no" / "dataset_info.json", "a", {})
