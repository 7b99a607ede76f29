"""Shards: whole files only, row groups bounded by bytes, equal bytes for equal rows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from vlm_datakit.conversation import Conversation, Image, Message, Text
from vlm_datakit.shards.manifest import ShardFile
from vlm_datakit.shards.writer import ShardSizes, ShardSpec, ShardWriter

Chat = Callable[..., Conversation]


def spec(**sizes: int) -> ShardSpec:
    return ShardSpec(
        "conversation", with_images=True, stem="train-00003", sizes=ShardSizes(**sizes)
    )


def write(folder: Path, rows: list[Conversation], **sizes: int) -> tuple[ShardFile, ...]:
    """Write rows numbered from 0 and return the files."""
    folder.mkdir(exist_ok=True)
    with ShardWriter(folder, spec(**sizes)) as writer:
        for number, conversation in enumerate(rows):
            writer.add(str(number), conversation)
        return writer.close()


def test_a_file_is_named_counted_and_hashed(tmp_path: Path, chat: Chat) -> None:
    (shard,) = write(tmp_path / "data", [chat()] * 3)

    data = (tmp_path / shard.file).read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    assert shard == ShardFile("data/train-00003-000.parquet", 3, 1, len(data), digest)


def test_a_row_group_ends_at_so_many_rows(tmp_path: Path, chat: Chat) -> None:
    (shard,) = write(tmp_path / "data", [chat()] * 5, group_rows=2)

    metadata = pq.ParquetFile(tmp_path / shard.file).metadata
    assert [metadata.row_group(n).num_rows for n in range(shard.row_groups)] == [2, 2, 1]


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param({"images": (Image(bytes(60), "image/gif", 1, 1),)}, id="pictures"),
        pytest.param({"answer": "x" * 60}, id="texts"),
        pytest.param({"tools": "x" * 60}, id="tools"),
        pytest.param({"rejected": (Message("assistant", (Text("x" * 60),)),)}, id="rejected"),
    ],
)
def test_a_row_group_ends_at_so_many_bytes(
    tmp_path: Path, chat: Chat, facts: dict[str, object]
) -> None:
    (shard,) = write(tmp_path / "data", [chat(**facts)] * 4, group_bytes=100)

    assert (shard.rows, shard.row_groups) == (4, 2)


def test_large_tool_calls_count_as_bytes_too(tmp_path: Path, chat: Chat) -> None:
    call = Message("assistant", (), {"tool_calls": [{"arguments": "x" * 60}]})
    conversation = Conversation((chat().messages[0], call))

    (shard,) = write(tmp_path / "data", [conversation] * 4, group_bytes=100)

    assert (shard.rows, shard.row_groups) == (4, 4)


def test_a_file_rolls_over_at_a_row_group(tmp_path: Path, chat: Chat) -> None:
    shards = write(tmp_path / "data", [chat()] * 5, group_rows=2, shard_bytes=1)

    assert [shard.file for shard in shards] == [
        "data/train-00003-000.parquet",
        "data/train-00003-001.parquet",
        "data/train-00003-002.parquet",
    ]
    assert [(shard.rows, shard.row_groups) for shard in shards] == [(2, 1), (2, 1), (1, 1)]


def test_no_rows_are_no_file(tmp_path: Path) -> None:
    assert write(tmp_path / "data", []) == ()
    assert list((tmp_path / "data").iterdir()) == []


def test_equal_rows_give_equal_bytes(tmp_path: Path, chat: Chat) -> None:
    first, second = (write(tmp_path / name, [chat()] * 9, group_rows=4) for name in ("data", "b"))

    assert first == second


def test_a_writer_that_is_not_closed_leaves_nothing(tmp_path: Path, chat: Chat) -> None:
    with pytest.raises(ZeroDivisionError), ShardWriter(tmp_path, spec(group_rows=1)) as writer:
        writer.add("0", chat())
        raise ZeroDivisionError

    assert list(tmp_path.iterdir()) == []


def pictures_of(shard: Path) -> Any:
    """Return what the footer says of the pictures of the first row group."""
    group = pq.ParquetFile(shard).metadata.row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    return next(one for one in columns if one.path_in_schema == "images.list.element.bytes")


def test_pictures_of_which_none_is_like_another_pass_no_dictionary(
    tmp_path: Path, chat: Chat
) -> None:
    images = [Image(hashlib.shake_256(bytes([n])).digest(9_000), "image/png", 1, 1) for n in (1, 2)]

    (shard,) = write(tmp_path / "data", [chat(images=(image,)) for image in images])
    (twice,) = write(tmp_path / "other", [chat(images=(image,)) for image in [*images, images[0]]])

    assert not pictures_of(tmp_path / shard.file).has_dictionary_page
    assert pictures_of(tmp_path / "other" / Path(twice.file).name).has_dictionary_page


def test_equal_adjacent_pictures_are_stored_once_and_unpacked(tmp_path: Path, chat: Chat) -> None:
    noise = hashlib.shake_256(b"noise").digest(50_000)
    image = Image(noise, "image/png", 1, 1)

    (shard,) = write(tmp_path / "data", [chat(images=(image,))] * 9)

    column = pictures_of(tmp_path / shard.file)
    assert 50_000 < column.total_compressed_size < 51_000
    assert (column.compression, column.is_stats_set) == ("UNCOMPRESSED", False)
