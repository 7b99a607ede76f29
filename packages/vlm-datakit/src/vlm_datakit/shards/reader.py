"""A finished output folder as a sequence of conversations, by split and index."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vlm_datakit.conversation import Conversation
from vlm_datakit.errors import SourceError, UsageError
from vlm_datakit.shards.layout import from_columns
from vlm_datakit.shards.manifest import read_manifest

_GROUPS_KEPT = 2  # row groups held decoded, about 16 MiB each


class ShardSet:
    """The rows of one split, read at random; holds at most two row groups in memory.

    Args:
        folder: A finished output folder.
        split: A split of its manifest.

    Raises:
        SourceError: if the folder is not a finished import or a shard cannot be read.
        UsageError: if there is no such split; the message lists them.

    Example:
        ``ShardSet(Path("out"), "train").get(0).messages``
    """

    def __init__(self, folder: Path, split: str = "train") -> None:
        manifest = read_manifest(folder)
        if split not in manifest["splits"]:
            known = ", ".join(manifest["splits"])
            raise UsageError(f"{folder}: no split {split!r}; it has {known}")
        self._layout: str = manifest["layout"]
        self._paths = [folder / shard["file"] for shard in manifest["splits"][split]["shards"]]
        self._files = [_opened(path) for path in self._paths]
        groups = [
            (file, number)
            for file in range(len(self._files))
            for number in range(self._files[file].num_row_groups)
        ]
        self._groups = groups
        rows = [self._files[f].metadata.row_group(n).num_rows for f, n in groups]
        self._starts: list[int] = list(accumulate(rows, initial=0))
        self._group = lru_cache(maxsize=_GROUPS_KEPT)(self._read_group)

    def __len__(self) -> int:
        return self._starts[-1]

    def get(self, index: int) -> Conversation:
        """Return the conversation at an index, counted from 0.

        Raises:
            IndexError: outside 0 to ``len(self) - 1``.
            SourceError: if the shard cannot be read.
        """
        if not 0 <= index < len(self):
            raise IndexError(index)
        number = bisect_right(self._starts, index) - 1
        row = self._group(number).slice(index - self._starts[number], 1)
        return from_columns(row.to_pylist()[0], self._layout)

    def __iter__(self) -> Iterator[Conversation]:
        for index in range(len(self)):
            yield self.get(index)

    def _read_group(self, number: int) -> pa.Table:
        file, group = self._groups[number]
        try:
            return self._files[file].read_row_group(group, use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise SourceError(f"{self._paths[file]}: {error}") from error


def open_shards(folder: Path | str, split: str = "train") -> ShardSet:
    """Open a split of a finished output folder; see `ShardSet`."""
    return ShardSet(Path(folder), split)


def _opened(path: Path) -> Any:
    try:
        return pq.ParquetFile(path)
    except FileNotFoundError as error:
        raise SourceError(f"{path}: the manifest lists this shard, and it is missing") from error
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{path}: not a readable shard: {error}") from error
