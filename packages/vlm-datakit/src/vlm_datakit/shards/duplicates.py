"""Pictures that stand more than once in a finished output folder, and in more than one split.

A picture is its bytes: the same scene saved twice is two pictures. Of each picture only a
digest and a row number are kept, and all of them are sorted, so that millions fit in memory.
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from heapq import nsmallest
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from vlm_datakit.errors import SourceError
from vlm_datakit.shards.layout import schema
from vlm_datakit.shards.manifest import read_manifest

_DIGEST_BYTES = 16
_LEAKS, _REPEATS, _PLACES = 20, 5, 5  # how many are told, and rows of each repeat
_READ = schema("conversation", with_images=True)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a picture stands: picture ``image`` of row ``row``, both counted from 0.

    ``row`` is the index that `vlm_datakit.shards.reader.ShardSet.get` takes, ``id`` the row's
    id; ``times`` is how often the same picture stands in this split.
    """

    split: str
    row: int
    id: str
    image: int
    times: int


@dataclass(frozen=True, slots=True)
class Pictures:
    """How many pictures a set has, and which stand more than once.

    ``duplicates`` is ``images - distinct``; ``leaked`` counts distinct pictures that stand in
    two splits or more. ``leaks`` are the first 20 of these, each with its first place in every
    split it stands in. ``repeats`` are the first 5 pictures that stand more than once in one
    split, each with its first 5 places there. Order: split as in the manifest, then row.
    """

    images: int
    distinct: int
    duplicates: int
    leaked: int
    leaks: tuple[tuple[Place, ...], ...] = ()
    repeats: tuple[tuple[Place, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class _Group:
    """A row group: its first row within the split, its first picture within the set."""

    path: Path
    number: int
    split: str
    row: int
    picture: int


@dataclass(frozen=True, slots=True)
class _Hashed:
    """A digest and a row (within its split) for each picture, 24 bytes together."""

    digests: bytearray
    rows: array[int]
    groups: list[_Group]


@dataclass(frozen=True, slots=True)
class _Sorted:
    """Picture numbers in the order of their digests, and where each distinct one ends."""

    pictures: memoryview
    stops: memoryview


def find_duplicates(folder: Path) -> Pictures | None:
    """Hash every picture of a finished import, one row group in memory at a time.

    Args:
        folder: The output folder.

    Returns:
        What stands more than once, or None for a set without image columns.

    Raises:
        SourceError: if the folder is not a finished import or a shard cannot be read.
    """
    hashed = _Hashed(bytearray(), array("q"), [])
    for split, facts in read_manifest(folder)["splits"].items():
        row = 0
        for shard in facts["shards"]:
            row = _hash_shard(hashed, folder / shard["file"], split, row)
    return _pictures(hashed) if hashed.groups else None


def _hash_shard(hashed: _Hashed, path: Path, split: str, row: int) -> int:
    """Add the pictures of a shard that starts at a row; return the next shard's first row."""
    with _opened(path) as file:
        if "images" not in file.schema_arrow.names:
            return row
        for number in range(file.num_row_groups):
            hashed.groups.append(_Group(path, number, split, row, len(hashed.rows)))
            row += _hash_group(hashed, file, row)
    return row


def _hash_group(hashed: _Hashed, file: Any, row: int) -> int:
    """Add the pictures of the last group listed; return its number of rows."""
    images = _column(file, hashed.groups[-1].number, "images")
    data = pc.struct_field(pc.list_flatten(images), "bytes")
    if data.null_count:
        raise ValueError("a picture without bytes")
    for value in data:
        # Half of a SHA-256: at 300 kB a picture twice as fast as BLAKE2b where the processor
        # has SHA instructions (measured in docs/log.md). The buffer is Arrow's own: no copy.
        digest = hashlib.sha256(value.as_buffer(), usedforsecurity=False).digest()
        hashed.digests.extend(digest[:_DIGEST_BYTES])
    hashed.rows.extend(row + parent for parent in pc.list_parent_indices(images).to_pylist())
    return len(images)


def _column(file: Any, group: int, name: str) -> Any:
    table = file.read_row_group(group, columns=[name], use_threads=False)
    if table.schema.types != [_READ.field(name).type]:
        raise ValueError(f"column {name} is {', '.join(map(str, table.schema.types)) or 'missing'}")
    return table.column(name)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a shard for as long as it is read; what Arrow says against it names the file."""
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, OSError, LookupError, ValueError) as error:
        raise SourceError(f"{path}: not a readable shard: {error}") from error


def _pictures(hashed: _Hashed) -> Pictures:
    order = _sorted(hashed.digests)
    images, distinct = len(order.pictures), len(order.stops)
    starts: dict[str, int] = {}
    for group in hashed.groups:
        starts.setdefault(group.split, group.picture)
    bounds = [*starts.values(), images]
    leaks = nsmallest(_LEAKS, _leaks(order, bounds), key=_first)
    repeats = nsmallest(_REPEATS, _repeats(order, bounds), key=_first)
    return Pictures(
        images,
        distinct,
        images - distinct,
        sum(1 for _ in _leaks(order, bounds)),
        tuple(
            tuple(_place(hashed, part[0], len(part)) for part in _by_split(leak, bounds))
            for leak in leaks
        ),
        tuple(
            tuple(_place(hashed, picture, len(part)) for picture in part[:_PLACES])
            for part in repeats
        ),
    )


def _sorted(digests: bytearray) -> _Sorted:
    kind, count = pa.binary(_DIGEST_BYTES), len(digests) // _DIGEST_BYTES
    values = pa.Array.from_buffers(kind, count, [None, pa.py_buffer(digests)])
    pictures = pc.sort_indices(values)  # stable: equal pictures stay in the order of their rows
    stops = pc.run_end_encode(values.take(pictures), run_end_type=pa.int64()).run_ends
    return _Sorted(_integers(pictures), _integers(stops))


def _integers(values: Any) -> memoryview:
    """Return the 64-bit integers of an Arrow array, none below 0, without a copy."""
    view = memoryview(values.buffers()[1] or b"").cast("B").cast("Q")
    return view[values.offset : values.offset + len(values)]


def _runs(order: _Sorted) -> Iterator[memoryview]:
    """Yield each picture that stands more than once: its numbers, least first."""
    for start, stop in pairwise(chain((0,), order.stops)):
        if stop - start > 1:
            yield order.pictures[start:stop]


def _leaks(order: _Sorted, bounds: Sequence[int]) -> Iterator[memoryview]:
    """Yield the runs whose first and last picture stand in different splits."""
    for run in _runs(order):
        if bisect_right(bounds, run[0]) != bisect_right(bounds, run[-1]):
            yield run


def _repeats(order: _Sorted, bounds: Sequence[int]) -> Iterator[memoryview]:
    """Yield the parts of runs that are more than one picture in one split."""
    for run in _runs(order):
        for part in _by_split(run, bounds):
            if len(part) > 1:
                yield part


def _by_split(run: memoryview, bounds: Sequence[int]) -> Iterator[memoryview]:
    """Cut a run where a split ends; ``bounds`` are the splits' first pictures and the end."""
    for start, stop in pairwise(bounds):
        part = run[bisect_left(run, start) : bisect_left(run, stop)]
        if part:
            yield part


def _first(run: memoryview) -> int:
    return int(run[0])


def _place(hashed: _Hashed, picture: int, times: int) -> Place:
    groups, rows = hashed.groups, hashed.rows
    group = groups[bisect_right(groups, picture, key=lambda group: group.picture) - 1]
    row = rows[picture]
    image = picture - bisect_left(rows, row, lo=group.picture, hi=picture)
    with _opened(group.path) as file:
        # Read again: kept for every row, ids of any length could outweigh the digests.
        row_id = _column(file, group.number, "id")[row - group.row].as_py()
    return Place(group.split, row, row_id, image, times)
