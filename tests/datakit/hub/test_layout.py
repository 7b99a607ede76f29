"""Which files of a repository hold which split, by its card and by names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlm_datakit.errors import SourceError
from vlm_datakit.hub.card import card_of
from vlm_datakit.hub.layout import chosen, layout_of


def splits_of(paths: list[str], card: dict[str, Any] | None = None) -> dict[str, list[str]]:
    layout = layout_of(paths, card or {})
    assert layout.default is not None
    return {split: [*files] for split, files in layout.configs[layout.default].items() if files}


@pytest.mark.parametrize(
    ("paths", "splits"),
    [
        (
            ["train.jsonl", "validation.jsonl", "train_copy", "README.md", ".gitattributes"],
            {"train": ["train.jsonl"], "validation": ["validation.jsonl"]},
        ),
        (
            ["data/sft-00000-of-00002.parquet", "data/sft-00001-of-00002.parquet", "x.csv"],
            {"sft": ["data/sft-00000-of-00002.parquet", "data/sft-00001-of-00002.parquet"]},
        ),
        (
            ["test/0.jsonl.gz", "my-val/0.jsonl.gz", "notes/train.txt"],
            {"validation": ["my-val/0.jsonl.gz"], "test": ["test/0.jsonl.gz"]},
        ),
        (["a/dev.csv", "eval.csv"], {"validation": ["a/dev.csv"], "test": ["eval.csv"]}),
        (["rows.tar"], {"train": ["rows.tar"]}),
        (["part-1.parquet", "part-02.parquet"], {"train": ["part-02.parquet", "part-1.parquet"]}),
        (["llava_80k.json", "detail.json"], {}),
        (["dataset_infos.json", "script.py", "model.bin", ".cache/train.jsonl"], {}),
        (["trainer.jsonl", "contest.jsonl"], {}),
    ],
    ids=str,
)
def test_names_say_the_split_and_what_says_nothing_is_not_taken(
    paths: list[str], splits: dict[str, list[str]]
) -> None:
    assert splits_of(paths) == splits


@pytest.mark.parametrize(
    "paths",
    [
        ["train.jsonl", "validation.jsonl"],
        ["data/sft-00000-of-00002.parquet", "data/sft-00001-of-00002.parquet"],
        ["test/0.jsonl", "my-val/0.jsonl", "train.jsonl"],
        ["a/dev.csv", "eval.csv", "x_training_2.csv"],
        ["part-1.parquet", "part-2.parquet"],
        ["0.train.json", "evaluation 3.json", "1-test.json"],
        ["trainer.jsonl", "test.jsonl"],
    ],
    ids=str,
)
def test_names_are_split_as_datasets_splits_them(paths: list[str], tmp_path: Path) -> None:
    from datasets.data_files import DataFilesDict, get_data_patterns

    for path in paths:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    patterns = get_data_patterns(str(tmp_path))
    theirs = DataFilesDict.from_patterns(patterns, base_path=str(tmp_path))

    assert {split: {*files} for split, files in splits_of(paths).items()} == {
        str(split): {os.path.relpath(file, tmp_path) for file in files}
        for split, files in theirs.items()
    }


@pytest.mark.parametrize(
    ("data_files", "splits"),
    [
        ("a/*.jsonl", {"train": ["a/1.jsonl", "a/2.jsonl"]}),
        (["a/2.jsonl", "a/1.jsonl"], {"train": ["a/2.jsonl", "a/1.jsonl"]}),
        ({"x": "**/1.jsonl"}, {"x": ["a/1.jsonl", "b/1.jsonl"]}),
        ({"y": ["b/[2-3].jsonl", "b/[!3].jsonl"]}, {"y": ["b/3.jsonl", "b/1.jsonl"]}),
        ([{"split": "train", "path": "./b/?.jsonl"}], {"train": ["b/1.jsonl", "b/3.jsonl"]}),
        ([{"split": "test", "path": "raw"}], {"test": ["raw"]}),
        ("**", {"train": ["a/1.jsonl", "a/2.jsonl", "b/1.jsonl", "b/3.jsonl"]}),
    ],
    ids=str,
)
def test_a_card_names_files_in_four_ways(data_files: Any, splits: dict[str, list[str]]) -> None:
    paths = ["a/1.jsonl", "a/2.jsonl", "b/1.jsonl", "b/3.jsonl", "raw", "README.md"]

    assert splits_of(paths, {"configs": [{"data_files": data_files}]}) == splits


def test_a_config_may_be_a_folder_and_one_may_be_the_default() -> None:
    paths = ["en/train.csv", "en/test.csv", "de/train.csv"]
    configs = [{"config_name": name, "data_dir": name} for name in ("de", "en")]
    configs[1]["default"] = True  # type: ignore[assignment]

    layout = layout_of(paths, {"configs": configs})

    assert layout.default == "en"
    assert chosen(layout, None, "all", "set") == {
        "train": ["en/train.csv"],
        "test": ["en/test.csv"],
    }
    assert chosen(layout, "de", "training", "set") == {"train": ["de/train.csv"]}


def test_two_kinds_of_one_split_are_not_mixed() -> None:
    layout = layout_of(["train.csv", "train.jsonl"], {})

    with pytest.raises(SourceError) as caught:
        chosen(layout, None, "train", "set")

    assert str(caught.value) == (
        "set: train.csv or train.jsonl: both could be the split train; name one of them"
    )


@pytest.mark.parametrize("configs", ["x", [1], [{"data_files": 3}], [{"data_files": {"a": [2]}}]])
def test_a_card_that_is_not_understood_is_refused(configs: Any) -> None:
    with pytest.raises(SourceError, match=r"README\.md: "):
        layout_of(["train.csv"], {"configs": configs})


@given(
    st.lists(st.from_regex(r"[a-z./ *\[\]!?\\-]{1,20}", fullmatch=True)), st.text("ab*?[]!\\-/.")
)
def test_any_names_and_patterns_give_files_that_are_there(paths: list[str], glob: str) -> None:
    found = splits_of(paths, {"configs": [{"data_files": glob}]}) if glob else splits_of(paths)

    assert {file for files in found.values() for file in files} <= {*paths}


@pytest.mark.parametrize("text", ["---\n- a\n---\n", "---\na: [\n---\n"])
def test_a_head_that_is_no_mapping_is_refused(text: str) -> None:
    with pytest.raises(SourceError, match="the YAML at its head"):
        card_of(text, "README.md")


def test_a_text_without_a_head_is_a_card_that_says_nothing() -> None:
    assert card_of("# A set\n---\nno: head\n---\n", "README.md") == {}


def test_what_a_card_names_and_nobody_has_is_refused_for_that_split_alone() -> None:
    files = [
        {"split": "train", "path": ["a.jsonl", "b-*.jsonl"]},
        {"split": "test", "path": "t.csv"},
    ]
    card = {"configs": [{"config_name": "x", "data_files": files}]}

    layout = layout_of(["a.jsonl", "b.jsonl"], card)

    assert layout.unmatched == {"x": {"test": ("t.csv",)}}
    assert chosen(layout, None, "train", "set") == {"train": ["a.jsonl"]}
    for split in ("test", "all"):
        with pytest.raises(SourceError, match=r"README.md names t.csv, and none is called so"):
            chosen(layout, None, split, "set")


@pytest.mark.parametrize("nothing", [[], {}, ""], ids=str)
def test_data_files_that_are_empty_are_no_files(nothing: Any) -> None:
    card = {"configs": [{"config_name": "x", "data_files": nothing}]}

    with pytest.raises(SourceError, match="the data_files of its README"):
        chosen(layout_of(["train.jsonl"], card), None, "train", "set")
