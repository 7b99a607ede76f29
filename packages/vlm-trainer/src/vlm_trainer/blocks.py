"""Row groups of a shard that lies elsewhere: found by its footer, each fetched by its range.

What is fetched of a group is its bytes and the footer behind them, so that a group can be read
wherever it is kept.
"""

from __future__ import annotations

import io
import mmap
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from vlm_trainer.addresses import Address
from vlm_trainer.errors import SourceError
from vlm_trainer.remote import MissingError, read_range

FIRST_TAIL_BYTES = 64 * 1024
HOLE_BYTES = 4096  # read along with what lies around it
MAGIC = b"PAR1"
Content = bytes | memoryview | mmap.mmap


class Blocks(NamedTuple):
    """The row groups of a shard.

    Args:
        key: Names this shard of this import.
        address: Where it lies.
        starts: First row of each group, and the end.
        spans: First byte of each group, and the end.
        footer: First byte of the footer.
        size: Bytes of the shard.
    """

    key: str
    address: Address
    starts: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]
    footer: int
    size: int


class Block(NamedTuple):
    """A row group."""

    blocks: Blocks
    number: int

    @property
    def key(self) -> str:
        """Its name among those of all shards."""
        return f"{self.blocks.key}-{self.number}"

    @property
    def size(self) -> int:
        """Bytes that are fetched."""
        start, end = self.blocks.spans[self.number]
        return end - start + self.blocks.size - self.blocks.footer

    def fetch(self) -> bytes:
        """Return its bytes with the footer behind them.

        Raises:
            SourceError: They cannot be read.
        """
        return read_range(self.blocks.address, *self.blocks.spans[self.number]) + _tail(self.blocks)

    def read(self, content: Content) -> Any:
        """Return the rows of what was fetched, as a table of pyarrow.

        Raises:
            OSError, ValueError: They cannot be decoded.
        """
        view = memoryview(content)
        start, end = self.blocks.spans[self.number]
        metadata = _metadata(bytes(view[end - start :]))
        return _table(Extract([(start, view[: end - start])]), metadata, self.number)


class Extract(io.RawIOBase):
    """Pieces of a file at their places in it, as pyarrow reads a file.

    Args:
        pieces: First byte and content of each.
    """

    def __init__(self, pieces: Sequence[tuple[int, Content]]) -> None:
        self.pieces = [(start, memoryview(piece)) for start, piece in pieces]
        self.at = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a byte."""
        end = max(start + len(piece) for start, piece in self.pieces)
        self.at = offset + {io.SEEK_CUR: self.at, io.SEEK_END: end}.get(whence, 0)
        return self.at

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as the piece goes.

        Raises:
            OSError: There is no piece here.
        """
        for start, piece in self.pieces:
            if start <= self.at < start + len(piece):
                found = piece[self.at - start : self.at - start + len(buffer)]
                buffer[: len(found)] = found
                self.at += len(found)
                return len(found)
        raise OSError(f"no page lies at byte {self.at:,}")


def read_blocks(address: Address, size: int, key: str) -> Blocks:
    """Read the footer of a shard and find its row groups.

    Args:
        address: Of the shard.
        size: Its bytes by the manifest: where it does not end there it is another file.
        key: Names this shard of this import.

    Raises:
        SourceError: Missing, changed, or no Parquet.
    """
    start = max(0, size - FIRST_TAIL_BYTES)
    try:
        tail = read_range(address, start, size)
    except MissingError as error:
        raise SourceError(f"{address}: missing, though the manifest lists it") from error
    length = int.from_bytes(tail[-8:-4], "little") + 8
    if tail[-4:] != MAGIC or length > size:
        raise SourceError(
            f"{address}: does not end at byte {size:,} as the manifest says: it was damaged or "
            "written anew; import again"
        )
    if length > len(tail):
        tail = read_range(address, size - length, start) + tail
    try:
        metadata = _metadata(tail[-length:])
    except (OSError, ValueError) as error:
        raise unreadable(address, error) from error
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    chunks = [[_span(group.column(at)) for at in range(group.num_columns)] for group in groups]
    spans = tuple((min(spans)[0], max(end for _, end in spans)) for spans in chunks)
    return Blocks(
        key,
        address,
        (0, *accumulate(group.num_rows for group in groups)),
        spans,
        size - length,
        size,
    )


def read_headers(block: Block, metadata: Any) -> Any:
    """Return a row group without its pictures, of which nothing is transferred.

    Args:
        block: The group.
        metadata: As `read_metadata` gives it.

    Raises:
        SourceError: It cannot be read.
    """
    group = metadata.row_group(block.number)
    chunks = [group.column(at) for at in range(group.num_columns)]
    wanted = [chunk for chunk in chunks if _column(chunk) != "images"]
    address = block.blocks.address
    pieces = [(start, read_range(address, start, end)) for start, end in _runs(map(_span, wanted))]
    names = list(dict.fromkeys(map(_column, wanted)))
    try:
        return _table(Extract(pieces), metadata, block.number, names)
    except (OSError, ValueError) as error:
        raise unreadable(address, error) from error


def read_metadata(blocks: Blocks) -> Any:
    """Return the footer of a shard as pyarrow has it.

    Raises:
        SourceError: It cannot be read.
    """
    try:
        return _metadata(_tail(blocks))
    except (OSError, ValueError) as error:
        raise unreadable(blocks.address, error) from error


def unreadable(where: object, error: Exception) -> SourceError:
    """Return the error of a shard that cannot be decoded."""
    first_line = (str(error).splitlines() or [""])[0]
    return SourceError(f"{where}: not a readable shard ({first_line}); import again")


def _tail(blocks: Blocks) -> bytes:
    return read_range(blocks.address, blocks.footer, blocks.size)


def _metadata(tail: bytes) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    return pq.read_metadata(pa.BufferReader(MAGIC + tail))


def _table(file: Extract, metadata: Any, number: int, columns: Sequence[str] | None = None) -> Any:
    import pyarrow.parquet as pq

    # Without pre_buffer it reads column by column, and none of the holes between.
    with pq.ParquetFile(file, metadata=metadata, pre_buffer=False) as parquet:
        return parquet.read_row_group(number, columns=columns)


def _column(chunk: Any) -> str:
    name: str = chunk.path_in_schema.partition(".")[0]
    return name


def _span(chunk: Any) -> tuple[int, int]:
    start = chunk.data_page_offset
    if chunk.has_dictionary_page and 0 < chunk.dictionary_page_offset < start:
        start = chunk.dictionary_page_offset
    return start, start + chunk.total_compressed_size


def _runs(spans: Any) -> list[tuple[int, int]]:
    """Join ranges that touch, or nearly.

    Example:
        >>> _runs([(9_000, 9_500), (0, 100), (100, 200)])
        [(0, 200), (9000, 9500)]
    """
    runs: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if runs and start - runs[-1][1] <= HOLE_BYTES:
            runs[-1] = (runs[-1][0], max(end, runs[-1][1]))
        else:
            runs.append((start, end))
    return runs
