"""Equal pictures are found wherever they stand, with their rows, and in little memory."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vlm_datakit.conversation import Conversation, Image, Message, Text
from vlm_datakit.errors import SourceError
from vlm_datakit.plan import MIB, Plan, SourceFile
from vlm_datakit.shards.duplicates import Pictures, Place, find_duplicates
from vlm_datakit.shards.layout import schema
from vlm_datakit.shards.manifest import Receipt, ShardFile, Stats, manifest_of, to_json
from vlm_datakit.shards.reader import open_shards
from vlm_datakit.shards.writer import ShardSizes, ShardSpec, ShardWriter

Chat = Callable[..., Conversation]
Rows = Sequence[Sequence[bytes]]  # the pictures of each row
Write = Callable[..., Path]


def noise(seed: object, size_bytes: int = 40) -> bytes:
    return hashlib.shake_256(f"{seed}".encode()).digest(size_bytes)


A, B, C, D = (noise(name) for name in "ABCD")
IMAGES = schema("pair", with_images=True).field("images").type


@pytest.fixture
def write(tmp_path: Path, chat: Chat) -> Write:
    """Write a finished folder of splits; row n of split s has the id ``s-n``."""

    def shards(split: str, rows: Rows, spec: ShardSpec) -> tuple[ShardFile, ...]:
        with ShardWriter(tmp_path / "data", spec) as writer:
            for number, row in enumerate(rows):
                images = [Image(data, "image/png", 1, 1) for data in row]
                writer.add(f"{split}-{number}", chat(images=images))
            return writer.close()

    def finish(splits: Mapping[str, Rows], *, with_images: bool = True, **sizes: int) -> Path:
        (tmp_path / "data").mkdir()
        receipts = []
        for number, (split, rows) in enumerate(splits.items()):
            sized = ShardSizes(**sizes)
            spec = ShardSpec("conversation", with_images, f"{split}-{number:05d}", sized)
            written = shards(split, rows, spec)
            count = len(rows)
            receipts.append(Receipt("p", number, split, count, count, {}, written, None, Stats()))
        files = tuple(SourceFile(split, f"{split}.jsonl", "", 1, 1) for split in splits)
        manifest = manifest_of(Plan(files, "openai", with_images=with_images), "p", receipts)
        (tmp_path / "manifest.json").write_bytes(to_json(manifest))
        return tmp_path

    return finish


def peak_bytes(work: Callable[[], object]) -> int:
    """Return how much Python and Arrow hold at most, together, while work is done."""
    usual = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(usual)
    pa.set_memory_pool(pool)
    tracemalloc.start()
    try:
        work()
        return int(tracemalloc.get_traced_memory()[1] + pool.max_memory())
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(usual)


def test_different_pictures_of_one_size_are_no_duplicates(write: Write) -> None:
    found = find_duplicates(write({"train": [[A], [B]], "test": [[C], [D]]}))

    assert found == Pictures(images=4, distinct=4, duplicates=0, leaked=0)


def test_a_repeat_is_counted_and_its_rows_told(write: Write) -> None:
    found = find_duplicates(write({"train": [[A], [B], [], [C, A], [A, A]]}))

    repeat = (
        Place("train", 0, "train-0", 0, 4),
        Place("train", 3, "train-3", 1, 4),
        Place("train", 4, "train-4", 0, 4),
        Place("train", 4, "train-4", 1, 4),
    )
    assert found == Pictures(6, 3, 3, 0, repeats=(repeat,))


def test_a_leak_is_told_by_its_first_row_in_each_split(write: Write) -> None:
    train, test = [[A], [B], [C], [B]], [[D], [], [B, C], [B]]

    found = find_duplicates(write({"train": train, "dev": [[C]], "test": test}))

    assert found is not None
    assert (found.images, found.distinct, found.duplicates, found.leaked) == (9, 4, 5, 2)
    assert found.leaks == (
        (Place("train", 1, "train-1", 0, 2), Place("test", 2, "test-2", 0, 2)),
        (
            Place("train", 2, "train-2", 0, 1),
            Place("dev", 0, "dev-0", 0, 1),
            Place("test", 2, "test-2", 1, 1),
        ),
    )


def test_a_picture_can_repeat_in_each_split(write: Write) -> None:
    found = find_duplicates(write({"test": [[A], [A]], "train": [[B], [A], [A]]}))

    assert found is not None
    assert [[(place.split, place.row) for place in places] for places in found.repeats] == [
        [("test", 0), ("test", 1)],
        [("train", 1), ("train", 2)],
    ]


def test_rows_are_those_that_the_reader_gives_over_groups_and_files(write: Write) -> None:
    train = [[], [A], [], [], [B, C], [], [D, C], [], []]
    folder = write({"train": train, "test": [[], [D]]}, group_rows=2, shard_bytes=1)

    found = find_duplicates(folder)

    assert found is not None
    for place in (*found.leaks[0], *found.repeats[0]):
        row = open_shards(folder, place.split).get(place.row)
        data = D if place in found.leaks[0] else C
        assert (row.id, row.images[place.image].data) == (place.id, data)


def test_the_first_20_leaks_and_5_repeats_of_5_rows_are_told(write: Write) -> None:
    rows = [[noise(number)] for number in range(30)]

    found = find_duplicates(write({"train": rows * 7, "test": rows[::-1]}))

    assert found is not None
    assert (found.images, found.distinct, found.leaked) == (240, 30, 30)
    assert [leak[0].row for leak in found.leaks] == list(range(20))
    assert [[place.row for place in places] for places in found.repeats] == [
        list(range(first, first + 150, 30)) for first in range(5)
    ]
    assert {place.times for places in found.repeats for place in places} == {7}


def test_a_pair_counts_its_pictures_once(tmp_path: Path, write: Write, chat: Chat) -> None:
    folder = write({"train": []})
    pair = replace(
        chat(images=[Image(A, "image/png", 1, 1)]),
        prompt_messages=1,
        rejected=(Message("assistant", (Text("5"),)),),
    )
    with ShardWriter(tmp_path / "data", ShardSpec("pair", True, "train-00000")) as writer:
        for row_id in "xy":
            writer.add(row_id, pair)
        receipt = Receipt("p", 0, "train", 2, 2, {}, writer.close(), None, Stats())
    plan = Plan((SourceFile("train", "a.jsonl", "", 1, 1),), "trl", layout="pair")
    (folder / "manifest.json").write_bytes(to_json(manifest_of(plan, "p", [receipt])))

    found = find_duplicates(folder)

    places = (Place("train", 0, "x", 0, 2), Place("train", 1, "y", 0, 2))
    assert found == Pictures(2, 1, 1, 0, repeats=(places,))


def test_a_set_without_image_columns_has_nothing_to_say(write: Write) -> None:
    assert find_duplicates(write({"train": [[], []]}, with_images=False)) is None


def test_rows_without_pictures_are_counted_as_none(write: Write) -> None:
    assert find_duplicates(write({"train": [[], []]})) == Pictures(0, 0, 0, 0)


def test_equal_adjacent_pictures_are_stored_once_and_counted_each(write: Write) -> None:
    picture = noise("large", 100_000)

    folder = write({"train": [[picture]] * 50})

    found = find_duplicates(folder)
    assert found is not None
    assert (found.images, found.distinct, found.duplicates) == (50, 1, 49)
    assert (folder / "data" / "train-00000-000.parquet").stat().st_size < 2 * len(picture)


@pytest.mark.parametrize("damage", [b"", b"PAR1 and so on"], ids=["empty", "foreign"])
def test_a_shard_that_cannot_be_read_is_named(write: Write, damage: bytes) -> None:
    shard = write({"train": [[A]]}) / "data" / "train-00000-000.parquet"
    shard.write_bytes(damage)

    with pytest.raises(SourceError) as caught:
        find_duplicates(shard.parents[1])

    assert str(caught.value).startswith(f"{shard}: not a readable shard: ")


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"images": pa.array([["a.png"]])}, "column images is list<element: string>"),
        ({"images": pa.nulls(1)}, "column images is null"),
        ({"images": pa.array([[{"bytes": None, "path": "a"}]], IMAGES)}, "without bytes"),
        ({"images": pa.array([[{"bytes": A}, {"bytes": A}]], IMAGES)}, "column id is missing"),
    ],
    ids=["texts", "nulls", "paths", "no ids"],
)
def test_columns_of_another_kind_are_named(
    write: Write, columns: dict[str, pa.Array], words: str
) -> None:
    shard = write({"train": [[A]]}) / "data" / "train-00000-000.parquet"
    pq.write_table(pa.table(columns), shard)

    with pytest.raises(SourceError) as caught:
        find_duplicates(shard.parents[1])

    assert str(caught.value).endswith(words)


def test_a_set_is_hashed_in_the_memory_of_a_few_row_groups(write: Write) -> None:
    rows = [[noise(number, 300_000)] for number in range(120)]
    folder = write({"train": rows}, group_bytes=MIB)

    peak = peak_bytes(lambda: find_duplicates(folder))

    assert (folder / "data" / "train-00000-000.parquet").stat().st_size > 36_000_000
    assert MIB < peak < 6 * MIB


def test_a_picture_costs_less_than_100_bytes(write: Write) -> None:
    few, many = ([[noise(n, 8) for n in range(k)]] * 100 for k in (50, 250))
    folder = write({"train": many, "test": few}, group_rows=1)

    peak = peak_bytes(lambda: find_duplicates(folder))

    assert peak < 30_000 * 100
