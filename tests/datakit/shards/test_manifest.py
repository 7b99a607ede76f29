"""Receipts prove slices; the manifest is all of them, the same whatever their order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from vlm_datakit.errors import SourceError
from vlm_datakit.plan import Plan, SourceFile
from vlm_datakit.shards.manifest import (
    Receipt,
    RejectsFile,
    ShardFile,
    Stats,
    has_its_files,
    manifest_of,
    parse_receipt,
    read_manifest,
    size_of,
    summed,
    to_json,
)

SHARD = ShardFile("data/train-00000-000.parquet", 2, 1, 5, "ab")
LEDGER = RejectsFile("rejects/rejects-00000.jsonl", 1, 3, "cd")
STATS = Stats(1, 9, {"alpha": 1}, {"answer-empty": 1}, {"user": 2}, {"2": 2}, {"0": 1, "1": 1})
RECEIPT = Receipt("plan", 0, "train", 3, 2, {"json-invalid": 1}, (SHARD,), LEDGER, STATS)
PLAN = Plan((SourceFile("train", "a.jsonl", "/x/a.jsonl", 9, 7),), "openai")


@pytest.mark.parametrize(
    "receipt",
    [
        pytest.param(RECEIPT, id="with a ledger"),
        pytest.param(replace(RECEIPT, rejects=None, shards=()), id="empty"),
    ],
)
def test_a_receipt_comes_back_from_its_bytes(receipt: Receipt) -> None:
    assert parse_receipt(to_json(receipt)) == receipt


@pytest.mark.parametrize("cut", [0, 1, 100, -3])
def test_a_receipt_cut_short_is_none(cut: int) -> None:
    assert parse_receipt(to_json(RECEIPT)[:cut]) is None


@pytest.mark.parametrize(
    "data",
    [b"null", b"[]", b"{}", b"7", b'{"shards": 7}', b'{"shards": [{}]}', b'{"shards": [7]}'],
    ids=bytes.decode,
)
def test_foreign_json_is_no_receipt(data: bytes) -> None:
    assert parse_receipt(data) is None


def test_a_receipt_with_a_key_too_many_is_none() -> None:
    assert parse_receipt(to_json(RECEIPT).replace(b'"slice"', b'"part": 1, "slice"')) is None


@pytest.mark.parametrize(
    ("sizes", "has_all"),
    [
        pytest.param({SHARD.file: 5, LEDGER.file: 3}, True, id="both as written"),
        pytest.param({SHARD.file: 5, LEDGER.file: 2}, False, id="a ledger cut"),
        pytest.param({SHARD.file: 6, LEDGER.file: 3}, False, id="a shard grown"),
        pytest.param({SHARD.file: 5}, False, id="a ledger gone"),
        pytest.param({}, False, id="nothing"),
    ],
)
def test_a_receipt_proves_by_files_and_sizes(
    tmp_path: Path, sizes: dict[str, int], has_all: bool
) -> None:
    for name, size in sizes.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(bytes(size))

    assert has_its_files(RECEIPT, tmp_path) is has_all


def test_only_a_regular_file_has_a_size(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"five.")
    (tmp_path / "link").symlink_to("file")

    sizes = [size_of(tmp_path / name) for name in ("file", "link", ".", "missing")]

    assert sizes == [5, None, None, None]


def test_counts_add_up_in_any_order() -> None:
    other = Stats(2, 1, {"depth": 4, "alpha": 1}, {}, {"system": 1}, {"10": 1}, {"2": 1})

    total = summed([STATS, other])

    assert total == summed([other, STATS])
    assert (total.images, total.image_bytes) == (3, 10)
    assert total.rewritten == {"alpha": 2, "depth": 4}
    assert summed([]) == Stats()


def test_the_manifest_is_the_same_whatever_the_order_of_receipts() -> None:
    second = replace(RECEIPT, slice=1, by_reason={"field-missing": 2}, shards=(), rejects=None)

    manifest = manifest_of(PLAN, "plan", [second, RECEIPT])

    assert to_json(manifest) == to_json(manifest_of(PLAN, "plan", [RECEIPT, second]))
    assert manifest["rejects"]["by_reason"] == {"field-missing": 2, "json-invalid": 1}
    assert manifest["rejects"]["total"] == 3
    assert manifest["splits"]["train"]["rows"] == 4
    assert [shard["file"] for shard in manifest["splits"]["train"]["shards"]] == [SHARD.file]


def test_the_manifest_names_sources_without_their_place_on_disk() -> None:
    manifest = manifest_of(PLAN, "plan", [RECEIPT])

    assert manifest["source"]["files"] == [{"split": "train", "name": "a.jsonl", "bytes": 9}]
    assert b"/x/" not in to_json(manifest)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b"{", "not a manifest: ", id="cut"),
        pytest.param(b"[]", "schema version None, and this tool reads 1", id="a list"),
        pytest.param(b"{}", "schema version None, and this tool reads 1", id="an object"),
        pytest.param(
            b'{"schema_version": 2}', "schema version 2, and this tool reads 1", id="newer"
        ),
    ],
)
def test_a_manifest_that_is_none_is_named(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "manifest.json").write_bytes(data)

    with pytest.raises(SourceError) as caught:
        read_manifest(tmp_path)

    assert str(caught.value).startswith(f"{tmp_path}/manifest.json: {words}")


def test_a_manifest_comes_back_from_disk(tmp_path: Path) -> None:
    manifest = manifest_of(PLAN, "plan", [RECEIPT])

    (tmp_path / "manifest.json").write_bytes(to_json(manifest))

    assert to_json(read_manifest(tmp_path)) == to_json(manifest)
