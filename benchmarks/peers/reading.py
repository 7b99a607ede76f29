"""Read a set of pictures back in one way and print what it took as JSON.

    python reading.py WAY FOLDER ROWS check|bytes|pixels

check: sums the pictures' checksums over all rows, in file order where a set has places.
first_row_s: from opening the set to the first row's bytes. shuffled_ms: milliseconds a row over
ROWS rows in a shuffled order, or as many as come in 20 s. random_ms: median milliseconds of
single rows at random places, None where a set has no places.
"""

from __future__ import annotations

import io
import itertools
import json
import os
import statistics
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"

import numpy as np
import PIL.Image

PLACES = 200
SEED = 7
BUFFER_ROWS = 1000
LIMIT_S = 20

Get = Callable[[int], bytes]


def by_place(count: int, get: Get) -> tuple[Callable[[], Iterator[bytes]], Get]:
    """Return a way with places: its shuffle is a permutation."""
    order = np.random.default_rng(SEED).permutation(count).tolist()
    return lambda: map(get, order), get


def ours(folder: Path) -> Any:
    from vlm_datakit import open_shards

    shards = open_shards(folder)
    return by_place(len(shards), lambda row: shards.get(row).images[0].data)


def ours_in_order(folder: Path) -> Any:
    from vlm_datakit import open_shards

    shards = open_shards(folder)
    return lambda: (row.images[0].data for row in shards), None


def trainer(folder: Path) -> Any:
    from vlm_trainer.data import ShardSet, find_split

    shards = ShardSet(find_split(folder, "train"))
    return by_place(len(shards), lambda row: shards.get(row).images[0])


def datasets(folder: Path) -> Any:
    from datasets import Image, List, load_dataset

    rows = load_dataset(str(folder), split="train", cache_dir=str(folder / ".bench-cache"))
    rows = rows.cast_column("images", List(Image(decode=False)))
    return by_place(len(rows), lambda row: rows[row]["images"][0]["bytes"])


def datasets_streamed(folder: Path) -> Any:
    from datasets import Image, List, load_dataset

    rows = load_dataset(str(folder), split="train", streaming=True)
    rows = rows.cast_column("images", List(Image(decode=False)))
    shuffled = rows.shuffle(SEED, buffer_size=BUFFER_ROWS)
    return lambda: (row["images"][0]["bytes"] for row in shuffled), None


def webdataset(folder: Path) -> Any:
    import webdataset as wds

    tars = sorted(map(str, folder.glob("*.tar")))
    rows = wds.WebDataset(tars, shardshuffle=len(tars), seed=SEED).shuffle(BUFFER_ROWS)
    return lambda: (row["jpg"] for row in rows), None


def litdata(folder: Path) -> Any:
    from litdata import StreamingDataset

    rows = StreamingDataset(str(folder), shuffle=True, seed=SEED)
    return lambda: (row["image"] for row in rows), lambda place: rows[place]["image"]


WAYS: dict[str, Callable[[Path], Any]] = {
    "ours": ours,
    "ours_in_order": ours_in_order,
    "trainer": trainer,
    "datasets": datasets,
    "datasets_streamed": datasets_streamed,
    "webdataset": webdataset,
    "litdata": litdata,
}


def checksum(rows: Iterator[bytes]) -> int:
    return sum(map(zlib.crc32, rows))


def take(rows: Iterator[bytes], count: int, *, pixels: bool) -> tuple[float, float]:
    """Return seconds to the first row, and milliseconds a row."""
    start, first_s, taken = time.perf_counter(), 0.0, 0
    for data in itertools.islice(rows, count):
        if taken == 0:
            first_s = time.perf_counter() - start
        if pixels:
            np.asarray(PIL.Image.open(io.BytesIO(data)).convert("RGB"))
        taken += 1
        if time.perf_counter() - start > LIMIT_S:
            break
    return first_s, (time.perf_counter() - start) * 1000 / taken


def random_ms(get: Get, count: int) -> float:
    """Return the median time of one row at a random place."""
    spent = []
    for place in np.random.default_rng(SEED + 1).integers(0, count, PLACES).tolist():
        start = time.perf_counter()
        get(place)
        spent.append((time.perf_counter() - start) * 1000)
    return statistics.median(spent)


def main() -> None:
    way, folder, count, form = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    start = time.perf_counter()
    rows, get = WAYS[way](folder)
    opened_s = time.perf_counter() - start
    if form == "check":
        in_order = map(get, range(count)) if get else rows()
        print(json.dumps({"crc32": checksum(iter(in_order))}))
    else:
        first_s, shuffled_ms = take(iter(rows()), count, pixels=form == "pixels")
        found: dict[str, Any] = {"first_row_s": opened_s + first_s, "shuffled_ms": shuffled_ms}
        found["random_ms"] = random_ms(get, count) if get and form == "bytes" else None
        print(json.dumps(found))
    sys.stdout.flush()
    os._exit(0)  # some keep threads that would wait


if __name__ == "__main__":
    main()
