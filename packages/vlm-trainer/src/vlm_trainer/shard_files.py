"""One shard as it is read: a file of this machine, or row groups that are fetched."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any, TypeVar

from vlm_trainer.block_cache import BlockCache
from vlm_trainer.blocks import Block, Blocks, read_headers, read_metadata, unreadable
from vlm_trainer.conversation import Conversation, from_columns
from vlm_trainer.errors import SourceError

HEADER_BATCH_ROWS = 1024
REQUESTS = 8  # at once, where texts are read ahead
T = TypeVar("T")
Stamp = tuple[int, int]


def stamp_of(path: Path) -> Stamp:
    """Return what tells a file from one that has come into its place."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns


class LocalShard:
    """A shard on this machine; keeps its file open.

    Args:
        path: Of the Parquet file.
        stamp: What `stamp_of` said of it when its rows were counted; None for any file.

    Raises:
        SourceError: It cannot be read, or is another file by now.
    """

    def __init__(self, path: Path, stamp: Stamp | None = None) -> None:
        import pyarrow.parquet as pq

        self.path = path
        try:
            self._file = pq.ParquetFile(path)
            is_other = stamp is not None and stamp_of(path) != stamp  # once it is open
        except (OSError, ValueError) as error:  # ArrowInvalid is a ValueError
            raise unreadable(path, error) from error
        if is_other:
            raise SourceError(f"{path}: another file than when this run began; was it replaced?")
        metadata = self._file.metadata
        rows = (metadata.row_group(group).num_rows for group in range(metadata.num_row_groups))
        self.starts: Sequence[int] = [0, *accumulate(rows)]

    def headers(self) -> Iterator[Conversation]:
        """Yield all rows without their pictures."""
        columns = [name for name in self._file.schema_arrow.names if name != "images"]
        try:
            for batch in self._file.iter_batches(HEADER_BATCH_ROWS, columns=columns):
                yield from map(from_columns, batch.to_pylist())
        except (OSError, ValueError) as error:
            raise unreadable(self.path, error) from error

    def group(self, number: int) -> Any:
        """Return the rows of a group as a table of pyarrow."""
        try:
            return self._file.read_row_group(number)
        except (OSError, ValueError) as error:
            raise unreadable(self.path, error) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@dataclass(frozen=True, slots=True)
class StreamedShard:
    """A shard that lies elsewhere; keeps nothing open.

    Args:
        blocks: Its row groups.
        cache: Where they are kept; None fetches them into memory alone.
    """

    blocks: Blocks
    cache: BlockCache | None = None

    @property
    def starts(self) -> Sequence[int]:
        """First row of each group, and the end."""
        return self.blocks.starts

    def headers(self) -> Iterator[Conversation]:
        """Yield all rows without their pictures; some groups are read ahead."""
        metadata = read_metadata(self.blocks)
        calls = [
            partial(read_headers, Block(self.blocks, number), metadata)
            for number in range(len(self.blocks.spans))
        ]
        for table in called_ahead(calls):
            yield from map(from_columns, table.to_pylist())

    def group(self, number: int) -> Any:
        """Return the rows of a group as a table of pyarrow.

        Raises:
            SourceError: It cannot be fetched, or was fetched twice and is no Parquet.
            OSError: The cache cannot be written.
        """
        block = Block(self.blocks, number)
        try:
            return self._read(block)
        except ValueError:
            if self.cache:
                self.cache.drop(block)  # bytes may have been lost on the way, or by a power cut
        try:
            return self._read(block)
        except ValueError as error:
            raise unreadable(self.blocks.address, error) from error

    def close(self) -> None:
        """Do nothing."""

    def _read(self, block: Block) -> Any:
        content = self.cache.content(block) if self.cache else block.fetch()
        try:
            return block.read(content)
        except OSError as error:  # of pyarrow: the content is here already
            raise ValueError(str(error)) from error


Shard = LocalShard | StreamedShard


def called_ahead(calls: Sequence[Callable[[], T]]) -> Iterator[T]:
    """Yield what calls return, in order, a few of them under way at once.

    Example:
        >>> list(called_ahead([lambda: 1, lambda: 2]))
        [1, 2]
    """
    with ThreadPoolExecutor(REQUESTS) as pool:
        waiting: deque[Future[T]] = deque()
        try:
            for call in calls:
                waiting.append(pool.submit(call))
                if len(waiting) == 2 * REQUESTS:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def shard_at(place: Path | Blocks, cache: BlockCache | None, stamp: Stamp | None = None) -> Shard:
    """Return the shard at a place.

    Raises:
        SourceError: It cannot be read, or is another file by now.
    """
    return LocalShard(place, stamp) if isinstance(place, Path) else StreamedShard(place, cache)
