"""Rows from an address: the rows of the folder, in as few bytes as it takes, tried again."""

from __future__ import annotations

import fcntl
import json
import pickle
import resource
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem

from vlm_trainer import remote
from vlm_trainer.addresses import Address, place_of
from vlm_trainer.ahead import AheadOrder, uses_of
from vlm_trainer.block_cache import BlockCache
from vlm_trainer.blocks import Block
from vlm_trainer.data import RenderedRows, ShardSet, Split, find_split, joined_split, method_of
from vlm_trainer.errors import Refused, SourceError, UsageError
from vlm_trainer.failures import is_full
from vlm_trainer.lengths import Measure
from vlm_trainer.shares import NO_ROW
from vlm_trainer.sizes import PixelRule
from vlm_trainer.windows import windows_of

SECRET = "https://me:word@host.example/a?X-Signature=secret"


class Watched(LocalFileSystem):
    """``watched:///folder``: notes what is read of it, and fails as often as it is told."""

    protocol = "watched"
    reads: ClassVar[list[tuple[str, int, int]]] = []
    failing: ClassVar[Counter[str]] = Counter()
    hang_s: ClassVar[float] = 0.0
    lock = threading.Lock()

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **options: Any
    ) -> bytes:
        name = Path(path).name
        with self.lock:
            self.failing[name] -= 1
            if self.failing[name] >= 0:
                time.sleep(self.hang_s)
                raise ConnectionError(f"reset while reading\n{SECRET}")
            self.reads.append((name, start or 0, end or 0))
        found: bytes = super().cat_file(path, start, end, **options)
        return found


@pytest.fixture(autouse=True)
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Watched]]:
    fsspec.register_implementation("watched", Watched, clobber=True)
    Watched.reads.clear()
    Watched.failing.clear()
    monkeypatch.setattr(remote, "WAITS_S", (0.0, 0.0))
    yield Watched


def elsewhere(folder: Path) -> Address:
    place = place_of(f"watched://{folder}")
    assert isinstance(place, Address)
    return place


def noise_rows(rows: Any, count: int) -> list[dict[str, Any]]:
    """Rows whose pictures do not compress: 37 kB each."""
    import numpy as np

    made = []
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 255, (112, 112, 3), dtype=np.uint8)
        asked, answer = (
            rows.message("user", rows.IMAGE, "?"),
            rows.message("assistant", str(number)),
        )
        made.append(rows.chat_row(f"n{number}", asked, answer, images=[rows.picture(pixels)]))
    return made


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory, rows: Any) -> Path:
    """48 rows of 1.8 MB, in row groups of 4."""
    folder = tmp_path_factory.mktemp("noise")
    rows.write_import(folder, {"train": noise_rows(rows, 48)}, group=4)
    return folder


def test_rows_are_those_of_the_folder(noise: Path) -> None:
    here, there = find_split(noise, "train"), find_split(elsewhere(noise), "train")

    local, streamed = ShardSet(here), pickle.loads(pickle.dumps(ShardSet(there)))

    assert here.manifest_sha256 == there.manifest_sha256
    assert [streamed.get(row) for row in (47, 0, 5)] == [local.get(row) for row in (47, 0, 5)]
    assert list(streamed.headers()) == list(local.headers())
    assert streamed.folder_of(3) == ""


def test_any_file_system_of_fsspec_will_do(digits: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.put(str(digits), "/forms", recursive=True)

    split = find_split(place_of("memory://forms"), "test")

    local = ShardSet(find_split(digits, "test"))
    assert ShardSet(split).get(7) == local.get(7)
    memory.rm("/forms", recursive=True)


def test_a_mix_of_both_names_its_folders(noise: Path, digits: Path) -> None:
    there = elsewhere(noise)
    splits = [find_split(digits, "train"), find_split(there, "train")]

    shards = ShardSet(joined_split(splits))

    assert [shards.get(row).id for row in (23, 24, 71)] == ["digit-23", "n0", "n47"]
    assert [shards.folder_of(row) for row in (23, 24)] == [str(digits), str(there)]
    starts, blocks = shards.blocks()
    assert starts == [0, *range(24, 72, 4)]
    assert [block is None for block in blocks] == [True, *[False] * 12]


def test_counting_reads_texts_and_sizes_and_no_picture(noise: Path) -> None:
    split = find_split(elsewhere(noise), "train")
    whole = sum(path.stat().st_size for path in (noise / "data").iterdir())
    (blocks,) = split.blocks.values()

    assert len(list(ShardSet(split).headers())) == 48

    got = sum(end - start for _, start, end in Watched.reads)
    assert got < whole / 10
    pictures = [(start, start + 4 * 37_000) for start, _ in blocks.spans]
    inside = [
        (start, end)
        for _, start, end in Watched.reads
        for first, last in pictures
        if start > first + 20_000 and end < last - 20_000
    ]
    assert inside == []


def held_by(cache: BlockCache) -> int:
    """Count the bytes in a cache while nothing can come to it."""
    sizes = []
    with (cache.folder / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for path in list(cache.folder.iterdir()):
            with suppress(FileNotFoundError):
                sizes.append(path.stat().st_size)
    return sum(sizes)


def in_order(split: Split, cache: BlockCache, how: Measure, seen: int = 0) -> AheadOrder:
    """The rows of an epoch, by windows of half of the cache."""
    windows = windows_of(list(split.blocks.values()), cache.capacity // 2, split.rows)
    rows = RenderedRows(ShardSet(split, cache), range(split.rows), how)
    return AheadOrder(windows.order(0, 42).tolist(), lambda: seen, rows, cache, slack=4)


def test_an_epoch_fetches_each_group_once_and_the_cache_stays_within_its_bounds(
    noise: Path, tmp_path: Path, chat: Any
) -> None:
    split = find_split(elsewhere(noise), "train")
    cache = BlockCache(tmp_path / "cache", 1_000_000)
    order = in_order(split, cache, Measure(chat, PixelRule()))
    Watched.reads.clear()
    held, shown = [], []

    for place in order:
        assert not isinstance(order.rows[place], Refused)
        shown.append(order.rows.shards.get(place).id)
        held.append(held_by(cache))

    assert sorted(shown) == sorted(f"n{number}" for number in range(48))
    assert shown != [f"n{number}" for number in range(48)]
    assert 500_000 < max(held) <= cache.capacity
    (blocks,) = split.blocks.values()
    spans = [(start, end) for _, start, end in Watched.reads if end != blocks.size]
    assert sorted(spans) == sorted(blocks.spans)
    cache.clear()
    assert not cache.folder.exists()


def test_groups_are_fetched_before_a_row_is_read_as_far_as_there_is_room(
    noise: Path, tmp_path: Path, chat: Any
) -> None:
    split = find_split(elsewhere(noise), "train")
    cache = BlockCache(tmp_path / "cache", 700_000)  # 4 groups of 160 kB
    order = in_order(split, cache, Measure(chat, PixelRule()))

    places = iter(order)
    first = next(places)
    for _ in range(500):
        if len(list(cache.folder.glob("*.block"))) == 4:
            break
        time.sleep(0.01)

    (blocks,) = split.blocks.values()
    kept = {path.stem for path in cache.folder.glob("*.block")}
    ahead = dict.fromkeys(place // 4 for place in order.order)
    assert kept == {Block(blocks, number).key for number in list(ahead)[:4]}
    assert first // 4 in list(ahead)[:1]
    order.stop()


def test_entering_an_epoch_fetches_nothing_of_what_was_seen(
    noise: Path, tmp_path: Path, chat: Any
) -> None:
    split = find_split(elsewhere(noise), "train")
    cache = BlockCache(tmp_path / "cache", 700_000)
    order = in_order(split, cache, Measure(chat, PixelRule()), seen=36)
    Watched.reads.clear()

    places = iter(order)
    skipped = [next(places) for _ in range(36)]
    rest = [order.rows.shards.get(place).id for place in places]

    assert sorted([*rest, *(f"n{place}" for place in skipped)]) == sorted(
        f"n{number}" for number in range(48)
    )
    (blocks,) = split.blocks.values()
    needed = {blocks.spans[int(name[1:]) // 4] for name in rest}
    spans = {(start, end) for _, start, end in Watched.reads if end != blocks.size}
    assert spans == needed
    assert len(spans) < 6


def test_places_of_no_row_and_rows_that_lie_here_are_not_fetched(
    noise: Path, digits: Path, tmp_path: Path, chat: Any
) -> None:
    split = joined_split([find_split(digits, "train"), find_split(elsewhere(noise), "train")])
    cache = BlockCache(tmp_path / "cache", 1_000_000)
    rows = RenderedRows(ShardSet(split, cache), range(split.rows), Measure(chat, PixelRule()))
    order = AheadOrder([3, 30, NO_ROW, 5], lambda: 0, rows, cache, slack=0)

    assert list(order) == [3, 30, NO_ROW, 5]
    assert len(order) == 4
    order.stop()
    assert rows.shards.get(30).id == "n6"
    assert len(list(cache.folder.glob("*.block"))) == 1


def test_a_group_that_comes_again_in_an_epoch_is_let_go_between(noise: Path) -> None:
    split = find_split(elsewhere(noise), "train")
    windows = windows_of(list(split.blocks.values()), 500_000, split.rows)
    rows = [*windows.order(0, 42).tolist(), *windows.order(1, 42).tolist()]

    uses = uses_of(ShardSet(split), rows)

    assert sorted(use.block.number for use in uses) == sorted([*range(12)] * 2)
    assert max(use.last - use.first for use in uses) < 3 * 4
    assert [use.first for use in uses] == sorted(use.first for use in uses)
    assert uses_of(ShardSet(split), [NO_ROW, NO_ROW]) == uses_of(ShardSet(split), []) == []


def test_several_readers_fetch_a_group_once_and_never_hold_more_than_the_cache(
    noise: Path, tmp_path: Path
) -> None:
    split = find_split(elsewhere(noise), "train")
    (blocks,) = split.blocks.values()
    groups = [Block(blocks, number) for number in range(len(blocks.spans))]
    roomy, tight = (
        BlockCache(tmp_path / name, size) for name, size in (("a", 10**7), ("b", 400_000))
    )
    held: list[int] = []

    def read(cache: BlockCache, number: int) -> bool:
        block = groups[number % len(groups)]
        content = cache.content(block)
        if cache is tight:
            held.append(held_by(cache))
        return len(content) == block.size and block.read(content).num_rows == 4

    with ThreadPoolExecutor(8) as pool:
        Watched.reads.clear()
        assert all(pool.map(lambda number: read(roomy, number // 4), range(48)))
        fetched = [span for span in Watched.reads if span[2] != blocks.size]
        assert len(fetched) == len(set(fetched)) == 12
        assert all(pool.map(lambda number: read(tight, 5 * number), range(60)))
    assert max(held) <= tight.capacity


def test_what_a_killed_process_left_half_fetched_makes_room(noise: Path, tmp_path: Path) -> None:
    (blocks,) = find_split(elsewhere(noise), "train").blocks.values()
    cache = BlockCache(tmp_path, 200_000)
    (tmp_path / "dead-1.part").write_bytes(bytes(150_000))
    (tmp_path / f"{Block(blocks, 2).key}.part").write_bytes(bytes(20))

    content = cache.content(Block(blocks, 2))

    assert Block(blocks, 2).read(content).num_rows == 4
    assert [path.name for path in tmp_path.glob("*.*")] == [f"{Block(blocks, 2).key}.block"]


def test_a_full_disk_is_said_and_leaves_nothing_half(noise: Path, tmp_path: Path) -> None:
    (blocks,) = find_split(elsewhere(noise), "train").blocks.values()
    cache, block = BlockCache(tmp_path, 10**6), Block(blocks, 0)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            cache.content(block)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert is_full(caught.value)
    assert list(tmp_path.glob("*.*")) == []
    assert block.read(cache.content(block)).num_rows == 4


def test_bytes_lost_in_the_cache_are_fetched_again(noise: Path, tmp_path: Path) -> None:
    split = find_split(elsewhere(noise), "train")
    cache = BlockCache(tmp_path, 10**6)
    (blocks,) = split.blocks.values()
    (tmp_path / f"{Block(blocks, 0).key}.block").write_bytes(bytes(Block(blocks, 0).size))

    assert ShardSet(split, cache).get(0).id == "n0"


@pytest.mark.parametrize("name", ["manifest.json", "train-00000-000.parquet"])
def test_a_read_that_fails_twice_goes_on(noise: Path, name: str) -> None:
    Watched.failing[name] = 2

    assert ShardSet(find_split(elsewhere(noise), "train")).get(9).id == "n9"


def test_a_read_that_always_fails_is_one_line_without_what_is_secret(noise: Path) -> None:
    shards = ShardSet(find_split(elsewhere(noise), "train"))
    Watched.failing["train-00000-000.parquet"] = 1_000

    with pytest.raises(SourceError) as caught:
        shards.get(0)

    said = str(caught.value)
    shard = f"watched://{noise}/data/train-00000-000.parquet"
    assert said == (
        f"{shard}: cannot be read, tried 3 times: reset while reading https://host.example/a"
    )


def test_a_read_that_hangs_and_then_fails_is_not_tried_again(
    noise: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "LONGEST_S", 0.03)
    monkeypatch.setattr(Watched, "hang_s", 0.04)
    monkeypatch.setitem(Watched.failing, "manifest.json", 1_000)

    with pytest.raises(SourceError, match="cannot be read, tried once: reset while reading"):
        find_split(elsewhere(noise), "train")


def test_what_s3_says_is_told_without_a_number_that_means_something_else(
    noise: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def moved(*_: object, **__: object) -> bytes:
        raise OSError(78, "Moved Permanently")

    monkeypatch.setattr(Watched, "cat_file", moved)

    with pytest.raises(SourceError, match=r"tried 3 times: Moved Permanently$"):
        find_split(elsewhere(noise), "train")


def test_what_a_backend_logs_is_for_those_who_listen(noise: Path) -> None:
    code = (
        "import logging, sys; from vlm_trainer.remote import read_whole\n"
        "from vlm_trainer.addresses import Address\n"
        f"read_whole(Address('file://{noise}/manifest.json'))\n"
        "logging.getLogger('fsspec').error('Traceback of a secret')\n"
        "logging.basicConfig(); logging.getLogger('fsspec').error('heard')"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)

    assert done.stderr == "ERROR:fsspec:heard\n"


def spoil(folder: Path, how: str) -> None:
    shard = folder / "data" / "train-00000-000.parquet"
    content = shard.read_bytes()
    match how:
        case "missing":
            shard.unlink()
        case "shorter":
            shard.write_bytes(content[:-20])
        case "longer":
            shard.write_bytes(bytes(20) + content)
        case "no footer":
            shard.write_bytes(content[:-100] + bytes(92) + content[-8:])
        case "no manifest":
            (folder / "manifest.json").unlink()
        case "broken manifest":
            (folder / "manifest.json").write_text("[")
        case "other rows":
            manifest = json.loads((folder / "manifest.json").read_text())
            manifest["splits"]["train"]["shards"][0]["rows"] += 1
            (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("missing", "missing, though the manifest lists it"),
        ("shorter", "cannot be read, tried 3 times: .* bytes came for"),
        ("longer", "does not end at byte [0-9,]+ as the manifest says"),
        ("no footer", "not a readable shard"),
        ("no manifest", "no manifest.json: an import that did not finish"),
        ("broken manifest", "manifest.json: not JSON"),
        ("other rows", "24 rows, the manifest says 25"),
    ],
)
def test_what_is_not_as_the_manifest_says_is_refused_by_its_address(
    digits: Path, how: str, words: str
) -> None:
    spoil(digits, how)

    with pytest.raises(SourceError, match=f"watched://.*{words}"):
        find_split(elsewhere(digits), "train")


def test_the_method_is_told_by_the_layout(digits: Path, tmp_path: Path, rows: Any) -> None:
    rows.write_import(tmp_path / "pairs", {"train": rows.shade_pairs(range(4))}, layout="pair")

    assert method_of(elsewhere(tmp_path / "pairs")) == "dpo"
    assert method_of(elsewhere(digits)) == "sft"


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("s3://key:secret@bucket/forms", "s3://bucket/forms: an address has no password"),
        ("https://host/forms?signature=secret", "https://host/forms: an address has no password"),
        ("zip://a::s3://bucket/b.zip", "one file system inside another"),
    ],
)
def test_an_address_holds_no_credentials(address: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        place_of(address)

    assert "secret" not in str(caught.value)


def test_a_scheme_that_nothing_knows_is_named() -> None:
    with pytest.raises(UsageError, match=r"bucket9://a/manifest\.json: no file system is known by"):
        find_split(place_of("bucket9://a"), "train")


def test_addresses_lose_slashes_at_their_end_and_paths_stay_paths() -> None:
    assert str(place_of("S3://bucket/forms//")) == "s3://bucket/forms"
    assert place_of("forms/a") == Path("forms/a")
    assert str(place_of("hf://datasets/me/forms@v1")) == "hf://datasets/me/forms@v1"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"eval_share": 0.5}, "eval_share and an address"),
        ({"packing": True, "max_length": 64}, "packing and an address"),
        ({"mix": ["{data}/"]}, "named twice"),
        ({"mix": ["other"], "eval_share": None}, "other: no such folder"),
    ],
)
def test_what_needs_all_rows_at_once_is_refused(
    digits: Path, given: dict[str, Any], words: str
) -> None:
    from vlm_trainer.errors import VlmTrainerError
    from vlm_trainer.launch import Processes
    from vlm_trainer.run import prepare
    from vlm_trainer.settings import read_config

    data = str(elsewhere(digits))
    mix = [folder.format(data=data) for folder in given.get("mix", [])]
    settings = {"model_name_or_path": "tiny", "data": data, **given, "mix": mix}

    with pytest.raises(VlmTrainerError, match=words):
        prepare(read_config(None, settings), Processes())


def plan_of(data: object, **options: Any) -> Any:
    from vlm_trainer.launch import Processes
    from vlm_trainer.run import prepare
    from vlm_trainer.settings import read_config

    settings = {"model_name_or_path": "tiny", "data": str(data), **options}
    return prepare(read_config(None, settings), Processes())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"eval_split": "test"},
        {"exclude_ids": ["digit-3", "digit-9"]},
        {"limit": 5},
        {"group_by_length": True, "per_device_train_batch_size": 4},
    ],
)
def test_the_plan_is_that_of_the_folder(digits: Path, options: dict[str, Any]) -> None:
    here, there = plan_of(digits, **options), plan_of(elsewhere(digits), **options)

    assert there.facts() == here.facts()
    assert there.lengths.rows.tolist() == here.lengths.rows.tolist()
    assert [line for line in there.lines() if not line.startswith("stream")] == here.lines()


def test_the_plan_says_what_is_streamed(noise: Path, digits: Path) -> None:
    alone = plan_of(elsewhere(noise), stream_cache_mib=1)
    mixed = plan_of(digits, mix=[f"{elsewhere(noise)}=2"], stream_cache_mib=2)

    said = [line for line in [*alone.lines(), *mixed.lines()] if line.startswith("stream")]
    line = "stream  48 rows in 12 row groups, 1.92 MiB, shuffled in windows of {} MiB"
    assert said == [line.format(0.5), line.format(1)]


def test_an_evaluation_of_what_lies_elsewhere_gives_the_figures_of_the_folder(
    digits: Path, tiny_folder: Path
) -> None:
    from vlm_trainer.evaluate import EvaluateConfig, evaluate

    model: dict[str, Any] = {"model_name_or_path": str(tiny_folder), "max_new_tokens": 2}
    configs = [EvaluateConfig(data, use_cpu=True, **model) for data in (digits, elsewhere(digits))]

    here, there = map(evaluate, configs)

    assert replace(there, seconds=0.0) == replace(here, seconds=0.0)
    assert here.rows == 8
