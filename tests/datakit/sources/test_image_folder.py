"""A folder of pictures: its listing, its descriptions, and when neither is certain."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vlm_datakit.conversation import Origin, Row
from vlm_datakit.errors import SourceError
from vlm_datakit.sources.image_folder import described, listing, read_labels
from vlm_datakit.sources.jsonl import Span
from vlm_datakit.sources.left_out import left_out
from vlm_datakit.sources.local import source_files
from vlm_datakit.sources.opening import has_changed

Put = Callable[..., Path]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Make files below the folder ``pics``; return it."""

    def make(*names: str, **contents: bytes) -> Path:
        for name in names:
            path = tmp_path / "pics" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(contents.get(path.stem, b""))
        return tmp_path / "pics"

    return make


def test_folders_are_classes_and_paths_are_sorted(put: Put) -> None:
    folder = put("dog/2.JPG", "cat/10.png", "cat/é.webp", "cat/notes.txt", ".hidden/1.png")

    found = listing(folder)

    assert found.lines.decode().splitlines() == [
        '{"image":"cat/10.png","label":"cat"}',
        '{"image":"cat/é.webp","label":"cat"}',
        '{"image":"dog/2.JPG","label":"dog"}',
    ]
    assert found.others == 1


def test_pictures_without_folders_have_no_label(put: Put) -> None:
    assert listing(put("b.png", "a.png")).lines == b'{"image":"a.png"}\n{"image":"b.png"}\n'


def test_a_folder_beside_pictures_is_no_class(put: Put) -> None:
    folder = put("a.png", "cat/b.png")

    with pytest.raises(SourceError) as caught:
        listing(folder)

    assert str(caught.value).startswith(f"{folder}: a.png and cat/b.png do not stand equally deep")


def test_a_name_that_is_no_text_is_an_error(put: Put) -> None:
    folder = put("a.png")
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.png")).write_bytes(b"")

    with pytest.raises(SourceError, match="name of a picture is not valid UTF-8"):
        listing(folder)


def test_a_picture_that_comes_or_goes_is_a_change(put: Put) -> None:
    folder = put("cat/1.png", "dog/1.png")
    (file,) = source_files([str(folder)], None)
    assert (file.kind, file.is_lines, has_changed(file)) == ("image-folder", True, False)

    put("cat/2.png")

    assert has_changed(file)


def test_labels_are_rows() -> None:
    stream = io.BytesIO('{"a.png": "007", "b/é.png": ["x", {"y": 1}]}'.encode())

    assert list(read_labels(stream, Span("labels.json", keep_raw=True))) == [
        Row(
            Origin("labels.json", 0, 1),
            {"image": "a.png", "label": "007"},
            b'{"image": "a.png", "label": "007"}',
        ),
        Row(
            Origin("labels.json", 1, 2),
            {"image": "b/é.png", "label": ["x", {"y": 1}]},
            rb'{"image": "b/\u00e9.png", "label": ["x", {"y": 1}]}',
        ),
    ]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"[]", "not one object of file names and labels"),
        (b'{"a": 1', "not JSON: "),
        (b"\xff", "not JSON: "),
        (b"[" * 100_000, "not JSON: "),
        (b'{"a": 1, "b": 1, "a": 2}', "a stands in it 2 times"),
    ],
)
def test_labels_that_are_none_are_an_error(data: bytes, words: str) -> None:
    with pytest.raises(SourceError) as caught:
        list(read_labels(io.BytesIO(data), Span("labels.json")))

    assert str(caught.value).startswith(f"labels.json: {words}")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"file_name": "a.png", "text": "x"}, {"image": "a.png", "text": "x"}),
        ({"file_names": ["a.png"]}, {"images": ["a.png"]}),
        ({"left_file_name": "a.png"}, {"left": "a.png"}),
        ({"file_name": "a", "image": "b"}, {"file_name": "a", "image": "b"}),
        ({"file_name": "a", "image_file_name": "b"}, {"file_name": "a", "image_file_name": "b"}),
    ],
)
def test_a_description_names_its_picture(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    (row,) = described(iter([Row(Origin("a", 0), fields)]))

    assert isinstance(row, Row)
    assert row.fields == expected


@pytest.mark.parametrize("name", ["metadata.jsonl", "metadata.csv", "metadata.parquet"])
def test_a_folder_is_read_by_its_description(
    put: Put, source_rows: Callable[[Path], list[Any]], name: str
) -> None:
    out = io.BytesIO()
    pq.write_table(pa.table({"file_name": ["a.png"], "text": ["x"]}), out)
    contents = {
        "metadata.jsonl": b'{"file_name": "a.png", "text": "x"}\n',
        "metadata.csv": b"file_name,text\na.png,x\n",
        "metadata.parquet": out.getvalue(),
    }
    folder = put("train/a.png", f"train/{name}", metadata=contents[name])

    (row,) = source_rows(folder)

    assert row.fields == {"image": "a.png", "text": "x"}
    assert row.origin.source == name


def test_a_folder_is_read_by_its_labels(put: Put, source_rows: Callable[[Path], list[Any]]) -> None:
    folder = put("labels.json", "a.png", labels=b'{\n  "a.png": "cat"\n}\n')

    assert [row.fields for row in source_rows(folder)] == [{"image": "a.png", "label": "cat"}]


def names_of(folder: Path, split: str | None = None) -> list[str]:
    """Return the paths of the files that a folder stands for, below it."""
    found = source_files([str(folder)], split)
    return [os.path.relpath(file.path, folder.resolve()) for file in found]


@pytest.mark.parametrize(
    ("there", "split", "found"),
    [
        (["train.csv", "test.csv"], None, ["train.csv"]),
        (["train-1.csv", "train-0.csv", "training.csv"], None, ["train-0.csv", "train-1.csv"]),
        (["train.csv", "a/1.png"], None, ["train.csv"]),
        (["data/test-00000-of-00002.csv"], "test", ["data/test-00000-of-00002.csv"]),
        (["train/cat/1.png", "test/cat/1.png"], "test", ["test"]),
        (["cat/1.png", "dog/1.png"], None, ["."]),
        (["train/labels.json", "train/1.png"], None, ["train/labels.json"]),
    ],
    ids=str,
)
def test_a_folder_stands_for_the_files_of_a_split(
    put: Put, there: list[str], split: str | None, found: list[str]
) -> None:
    table = b"text,response\n1,2\n"
    names = ["train", "test", "train-0", "train-1", "test-00000-of-00002"]

    folder = put(*there, **dict.fromkeys(names, table), labels=b'{"1.png": "x"}')

    assert names_of(folder, split) == found


@pytest.mark.parametrize(
    ("there", "found"),
    [
        (["cat/1.png", "dog/1.png"], "."),
        (["1.png", "2.png"], "."),
        (["val/cat/1.png", "train/cat/1.png"], "val"),
        (["1.png", "labels.json"], "labels.json"),
        (["1.png", "metadata.csv"], "metadata.csv"),
    ],
    ids=str,
)
def test_a_split_named_for_a_folder_of_pictures_is_all_that_stands_there(
    put: Put, there: list[str], found: str
) -> None:
    folder = put(*there, labels=b'{"1.png": "x"}', metadata=b"file_name,text\n1.png,x\n")

    (file,) = source_files([f"val={folder}"], None)

    assert (file.split, Path(file.path)) == ("val", folder / found)


@pytest.mark.parametrize("there", [["cat/1.png", "test.csv"], ["train/cat/1.png"]], ids=str)
def test_a_split_named_for_a_folder_that_holds_others_is_refused(
    put: Put, there: list[str]
) -> None:
    with pytest.raises(SourceError, match=r"no val\.jsonl, val-\*\.parquet or the like"):
        source_files([f"val={put(*there)}"], None)


@pytest.mark.parametrize(
    ("there", "words"),
    [
        (["train.csv", "train.jsonl"], "train.csv or train.jsonl: both could be the split train"),
        (["train.csv", "data/train-0.csv"], "train.csv or data/train-0.csv: both could be the"),
        (["1.png", "labels.json", "metadata.csv"], "metadata.csv or labels.json: name one of"),
        (["test/1.png"], "no train.jsonl, train-*.parquet or the like in this folder"),
        (["notes.txt"], "no train.jsonl, train-*.parquet or the like in this folder"),
        (["data.csv"], "and not a finished import; files of rows in it: data.csv"),
    ],
    ids=str,
)
def test_a_folder_that_is_not_certain_is_refused(put: Put, there: list[str], words: str) -> None:
    with pytest.raises(SourceError) as caught:
        source_files([str(put(*there))], None)

    assert words in str(caught.value)


def test_what_is_left_out_is_said(put: Put) -> None:
    (file,) = source_files([str(put("cat/1.png", "cat/1.txt", "x.md"))], None)

    assert left_out(file) == "pics: 2 files are no pictures by their names"


def test_a_saved_data_set_is_read_in_its_order(tmp_path: Path) -> None:
    import datasets

    rows = datasets.Dataset.from_dict({"a": ["1", "2", "3"]})
    datasets.DatasetDict({"train": rows}).save_to_disk(tmp_path / "set", num_shards={"train": 2})
    rows.save_to_disk(tmp_path / "one")

    assert names_of(tmp_path / "set") == [
        "train/data-00000-of-00002.arrow",
        "train/data-00001-of-00002.arrow",
    ]
    assert names_of(tmp_path / "one") == ["data-00000-of-00001.arrow"]
