"""The shards as a sequence: any row, any order, and foreign folders are refused."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vlm_trainer.conversation import ImageSize
from vlm_trainer.data import RenderedRows, ShardSet, Showing, find_split, joined_split
from vlm_trainer.errors import Reason, Refused, SourceError
from vlm_trainer.lengths import Measure
from vlm_trainer.sizes import PixelRule


def test_every_row_comes_back_by_number(make_import: Callable[..., Path], rows: Any) -> None:
    written = rows.digit_rows(range(10))
    shards = ShardSet(find_split(make_import(written, group=3), "train"))

    back = [shards.get(number) for number in (9, 0, 4, 3, 2)]

    assert len(shards) == 10
    assert [row.id for row in back] == [f"digit-{number}" for number in (9, 0, 4, 3, 2)]
    assert back[0].images == (written[9]["images"][0]["bytes"],)
    assert back[0].image_sizes == (ImageSize(56, 56),)
    assert list(back[0].messages) == written[9]["messages"]


def test_rows_equal_those_that_datasets_reads(digits: Path) -> None:
    from datasets import Image, load_dataset

    files = {"test": str(digits / "data" / "test-*.parquet")}
    theirs = load_dataset("parquet", data_files=files, split="test")
    theirs = theirs.cast_column("images", [Image(decode=False)])

    shards = ShardSet(find_split(digits, "test"))

    for number, row in enumerate(theirs):
        ours = shards.get(number)
        assert ours.id == row["id"]
        assert list(ours.messages) == row["messages"]
        assert [image["bytes"] for image in row["images"]] == list(ours.images)


def test_headers_read_no_picture(digits: Path) -> None:
    headers = list(ShardSet(find_split(digits, "train")).headers())

    assert [row.images for row in headers] == [()] * 24
    assert [row.image_sizes for row in headers] == [(ImageSize(56, 56),)] * 24


@pytest.mark.parametrize("row", [-1, 24])
def test_a_row_outside_is_an_index_error(digits: Path, row: int) -> None:
    with pytest.raises(IndexError):
        ShardSet(find_split(digits, "train")).get(row)


def test_a_set_travels_to_a_worker(digits: Path) -> None:
    shards = ShardSet(find_split(digits, "train"))
    before = shards.get(3)

    after = pickle.loads(pickle.dumps(shards)).get(3)
    shards.close()

    assert after == before == shards.get(3)


def broken(folder: Path, how: str) -> Path:
    shard = folder / "data" / "train-00000-000.parquet"
    manifest = folder / "manifest.json"
    listed = json.loads(manifest.read_text())
    if how == "no manifest":
        manifest.unlink()
    elif how == "missing":
        shard.unlink()
    elif how == "short":
        shard.write_bytes(shard.read_bytes()[:-1])
    elif how == "not json":
        manifest.write_text("{")
    elif how == "pair":
        manifest.write_text(json.dumps({**listed, "layout": "pair"}))
    elif how == "outside":
        listed["splits"]["train"]["shards"][0]["file"] = "../data/x.parquet"
        manifest.write_text(json.dumps(listed))
    elif how == "foreign manifest":
        manifest.write_text(json.dumps({"splits": {"train": {"rows": 3}}}))
    elif how == "newer":
        manifest.write_text(json.dumps({**listed, "schema_version": 2}))
    elif how == "no shards listed":
        manifest.write_text(json.dumps({**listed, "splits": {"train": {"rows": 3}}}))
    elif how == "not parquet":
        shard.write_bytes(bytes(shard.stat().st_size))
    return folder


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("no manifest", "an import that did not finish"),
        ("missing", "missing, though the manifest lists it"),
        ("short", "the file is damaged"),
        ("not json", "not JSON"),
        ("pair", "these are preference pairs, for --method dpo"),
        ("outside", "is not the name of a shard"),
        ("foreign manifest", "not the manifest of an import"),
        ("newer", "schema version 2"),
        ("no shards listed", "not the manifest of an import"),
        ("not parquet", "not a readable shard"),
    ],
)
def test_a_broken_folder_is_one_clear_line(digits: Path, how: str, said: str) -> None:
    with pytest.raises(SourceError) as caught:
        list(ShardSet(find_split(broken(digits, how), "train")).headers())

    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_folder_or_split_is_named(digits: Path) -> None:
    with pytest.raises(SourceError, match="no such folder"):
        find_split(digits / "nothing", "train")
    with pytest.raises(SourceError, match="no split 'dev'; it has test, train"):
        find_split(digits, "dev")


def test_each_showing_of_a_row_has_its_own_picture(
    make_import: Callable[..., Path], rows: Any, chat: Any
) -> None:
    shards = ShardSet(find_split(make_import(rows.digit_rows(range(3))), "train"))
    how = Measure(chat, PixelRule())
    plain, altered = RenderedRows(shards, [0, 2], how), RenderedRows(shards, [0, 2], how, 42)

    def pixels(shown: RenderedRows, time: int, place: int) -> bytes:
        return bytes(shown[Showing(time, place)].images[0].values_PD.tobytes())

    assert pixels(plain, 0, 1) == pixels(plain, 1, 1) == plain[1].images[0].values_PD.tobytes()
    assert pixels(altered, 0, 1) == pixels(altered, 0, 1)
    assert len({pixels(altered, time, 1) for time in range(5)} | {pixels(plain, 0, 1)}) == 6


def test_folders_joined_are_numbered_one_after_another(
    make_import: Callable[..., Path], rows: Any
) -> None:
    folders = [
        make_import(rows.digit_rows(numbers), name=name)
        for name, numbers in (("one", range(3)), ("other", range(7, 9)))
    ]
    splits = [find_split(folder, "train") for folder in folders]

    shards = ShardSet(joined_split(splits))

    assert [row.id for row in shards.headers()] == [f"digit-{n}" for n in (0, 1, 2, 7, 8)]
    assert shards.get(3).id == "digit-7"
    assert [shards.folder_of(row) for row in (2, 3)] == [str(folder) for folder in folders]
    assert joined_split(splits[:1]) is splits[0]
    assert ShardSet(splits[0]).folder_of(2) == ""
    assert joined_split(splits).manifest_sha256 != joined_split(splits[::-1]).manifest_sha256


def test_a_picture_that_fails_is_a_refused_row_in_its_place(
    make_import: Callable[..., Path], rows: Any, chat: Any
) -> None:
    written = rows.digit_rows(range(3))
    written[1]["images"][0]["bytes"] = b"no picture"
    shards = ShardSet(find_split(make_import(written), "train"))

    rendered = RenderedRows(shards, [0, 1], Measure(chat, PixelRule()))

    assert len(rendered) == 2
    assert isinstance(rendered[1], Refused)
    assert rendered[1].row_id == "digit-1"
    assert rendered[1].reason is Reason.IMAGE_UNREADABLE
    assert not isinstance(rendered[0], Refused)


def test_a_shard_that_was_replaced_since_the_rows_were_counted_is_not_read(
    digits: Path, tmp_path: Path, rows: Any
) -> None:
    split = find_split(digits, "train")
    opened, later = ShardSet(split), ShardSet(joined_split([split, find_split(digits, "test")]))
    first = opened.get(0).id
    other = rows.write_import(tmp_path / "other", {"train": rows.digit_rows(range(50, 74))})
    (other / "data" / "train-00000-000.parquet").replace(digits / split.files[0][0])

    assert opened.get(20).id == "digit-20"
    assert first == "digit-0"
    with pytest.raises(SourceError, match=r"train-00000-000\.parquet: another file than when this"):
        later.get(0)
    assert later.get(24).id == "digit-24"
