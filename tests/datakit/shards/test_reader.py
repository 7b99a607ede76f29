"""A finished folder reads as a sequence; a folder that is none says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from vlm_datakit.conversation import Conversation
from vlm_datakit.errors import SourceError, UsageError
from vlm_datakit.plan import Plan, SourceFile
from vlm_datakit.shards.manifest import Receipt, Stats, manifest_of, to_json
from vlm_datakit.shards.reader import open_shards
from vlm_datakit.shards.writer import ShardSizes, ShardSpec, ShardWriter


@pytest.fixture
def rows(chat: Callable[..., Conversation]) -> list[Conversation]:
    return [chat(f"{n} + 1?", f"{n + 1}", id=str(n)) for n in range(7)]


@pytest.fixture
def finished(tmp_path: Path, rows: list[Conversation]) -> Path:
    """Return an output folder: four files of one or two rows in split train, none in test."""
    (tmp_path / "data").mkdir()
    sizes = ShardSizes(group_rows=2, shard_bytes=1)
    with ShardWriter(tmp_path / "data", ShardSpec("conversation", True, "train-00000", sizes)) as w:
        for row in rows:
            w.add(str(row.id), row)
        receipt = Receipt("p", 0, "train", 7, 7, {}, w.close(), None, Stats())
    files = [SourceFile(split, f"{split}.jsonl", "", 1, 1) for split in ("train", "test")]
    manifest = manifest_of(Plan(tuple(files), "openai"), "p", [receipt])
    (tmp_path / "manifest.json").write_bytes(to_json(manifest))
    return tmp_path


def test_rows_come_back_in_order_and_at_random(finished: Path, rows: list[Conversation]) -> None:
    shards = open_shards(finished)

    assert (len(shards), list(shards)) == (7, rows)
    assert [shards.get(n) for n in (6, 0, 3, 6)] == [rows[n] for n in (6, 0, 3, 6)]


def test_a_split_without_rows_is_empty(finished: Path) -> None:
    assert list(open_shards(f"{finished}", "test")) == []


@pytest.mark.parametrize("index", [-1, 7])
def test_an_index_outside_is_an_error(finished: Path, index: int) -> None:
    with pytest.raises(IndexError):
        open_shards(finished).get(index)


def test_an_unknown_split_names_the_known_ones(finished: Path) -> None:
    with pytest.raises(UsageError) as caught:
        open_shards(finished, "validation")

    words = f"{finished}: no split 'validation'; it has train, test"
    assert str(caught.value) == words


def test_a_folder_without_a_manifest_is_no_import(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        open_shards(tmp_path)

    assert str(caught.value) == f"{tmp_path}: no manifest.json; not a finished import"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(None, "the manifest lists this shard, and it is missing", id="missing"),
        pytest.param(b"", "not a readable shard: ", id="empty"),
        pytest.param(b"PAR1 and so on", "not a readable shard: ", id="foreign"),
    ],
)
def test_a_shard_that_cannot_be_opened_is_named(
    finished: Path, data: bytes | None, words: str
) -> None:
    path = finished / "data" / "train-00000-001.parquet"
    path.unlink()
    if data is not None:
        path.write_bytes(data)

    with pytest.raises(SourceError) as caught:
        open_shards(finished)

    assert str(caught.value).startswith(f"{path}: {words}")


def test_a_shard_whose_pages_are_overwritten_is_named_when_they_are_read(finished: Path) -> None:
    path = finished / "data" / "train-00000-000.parquet"
    start, end = 4, pq.ParquetFile(path).metadata.row_group(0).column(0).total_compressed_size
    data = bytearray(path.read_bytes())
    data[start:end] = b"\xff" * (end - start)
    path.write_bytes(data)

    with pytest.raises(SourceError) as caught:
        open_shards(finished).get(0)

    assert str(caught.value).startswith(f"{path}: ")
