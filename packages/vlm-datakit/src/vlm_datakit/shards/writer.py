"""Conversations into Parquet files: row groups bounded by bytes, files by size.

A file gets its final name only when it is whole and on the disk.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

from vlm_datakit.conversation import Conversation
from vlm_datakit.plain import PlainColumns, PlainRow
from vlm_datakit.plan import MIB
from vlm_datakit.shards import columns
from vlm_datakit.shards.batch import Batch
from vlm_datakit.shards.layout import schema
from vlm_datakit.shards.manifest import ShardFile

_PIECE_BYTES = MIB
_IMAGE_BYTES = "images.list.element.bytes"
_WITH_STATISTICS = ("id", ".role", ".type", ".width", ".height")


@dataclass(frozen=True, slots=True)
class ShardSizes:
    """Where row groups end and files roll over."""

    group_bytes: int = 16 * MIB
    group_rows: int = 4096
    shard_bytes: int = 512 * MIB


@dataclass(frozen=True, slots=True)
class ShardSpec:
    """What a writer writes: the layout, and the start of its file names.

    ``token`` keeps the temporary files of two writers of the same shard apart.
    """

    layout: str
    with_images: bool
    stem: str  # "train-00003": split and slice number
    sizes: ShardSizes = field(default_factory=ShardSizes)
    token: str = ""


class ShardWriter:
    """Writes the conversations of one slice as ``{stem}-{part:03d}.parquet`` in a folder.

    Texts are compressed and written by a thread while the next row group is collected; what
    fails there is raised by the next call. Pictures are not compressed: a thread would win
    nothing, and a second row group of them take memory.

    Args:
        folder: Where the files go; must exist.
        spec: Layout, names, sizes.

    Call `add` for each row and `close` once; without `close` only dot-files remain.
    """

    def __init__(self, folder: Path, spec: ShardSpec) -> None:
        self._folder, self._spec = folder, spec
        self._schema = schema(spec.layout, with_images=spec.with_images)
        self._batch = Batch(spec.layout, with_images=spec.with_images)
        self._thread = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None
        self._writer: pq.ParquetWriter | None = None  # the thread's while it writes
        self._digest: _Digest | None = None  # as long as there is a writer
        self._file_rows = self._file_groups = 0
        self._done: list[ShardFile] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()
        if self._digest is not None:
            self._digest.close()
        if self._writer is not None:
            self._writer.close()
            self._temporary().unlink(missing_ok=True)

    def add(self, row_id: str, row: Conversation) -> None:
        """Append one row; a full row group is written out at once."""
        self._batch.add(row_id, row)
        self._write_group_if_full()

    def add_run(self, ids: Sequence[str], rows: Sequence[PlainRow]) -> None:
        """Append plain rows as `add` would what they stand for; row groups end at the same rows."""
        start = 0
        while start < len(rows):
            part = rows[start : start + self._room()]
            part = part[: self._batch.rows_up_to(self._spec.sizes.group_bytes, part)]
            self._batch.add_run(ids[start : start + len(part)], part)
            self._write_group_if_full()
            start += len(part)

    def add_columns(self, ids: Sequence[str], rows: PlainColumns) -> None:
        """Append rows as `add` would one by one; row groups end at the same rows."""
        start = 0
        while start < len(rows):
            part = rows.cut(start, start + self._room())
            part = part.cut(0, self._batch.rows_up_to(self._spec.sizes.group_bytes, part))
            self._batch.add_columns(ids[start : start + len(part)], part)
            self._write_group_if_full()
            start += len(part)

    def _room(self) -> int:
        """Return how many rows fit into the row group."""
        return self._spec.sizes.group_rows - len(self._batch)

    def _write_group_if_full(self) -> None:
        sizes = self._spec.sizes
        if self._batch.reaches(sizes.group_bytes) or len(self._batch) >= sizes.group_rows:
            self._write_group()

    def close(self) -> tuple[ShardFile, ...]:
        """Write what is pending, name the last file, and return all files in order."""
        self._write_group()
        self._wait()
        self._finish_file()
        self._batch.close()
        return tuple(self._done)

    def _write_group(self) -> None:
        if not self._batch:
            return  # an empty row group breaks load_dataset
        rows = self._batch.taken()
        self._wait()
        if self._spec.with_images:
            self._write(rows)
        else:
            self._writing = self._thread.submit(self._write, rows)

    def _wait(self) -> None:
        """Wait for the thread, and raise what it raised."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()

    def _write(self, rows: pa.RecordBatch) -> None:
        if self._writer is None or self._digest is None:
            self._writer = self._opened(rows)
            self._digest = _Digest(self._temporary())
        self._writer.write_batch(rows, row_group_size=rows.num_rows)
        self._file_rows += rows.num_rows
        self._file_groups += 1
        if self._digest.follow() >= self._spec.sizes.shard_bytes:
            self._finish_file()

    def _opened(self, first: pa.RecordBatch) -> pq.ParquetWriter:
        """Open the file; by its first row group it is settled what becomes of equal pictures."""
        leaves = [leaf for column in self._schema for leaf in _leaves(column.name, column.type)]
        repeating: tuple[str, ...] = (".role", ".type")
        if self._spec.with_images and has_equal_pictures(first):
            repeating += (_IMAGE_BYTES,)  # each is stored once; a third of the time of writing
        return pq.ParquetWriter(
            self._temporary(),
            self._schema,
            compression={leaf: "none" if leaf == _IMAGE_BYTES else "zstd" for leaf in leaves},
            use_dictionary=[leaf for leaf in leaves if leaf.endswith(repeating)],
            dictionary_pagesize_limit=8 * MIB,
            # Statistics of a 64 MiB value cost 400 MB of memory, and nobody filters on the
            # least and greatest text or picture.
            write_statistics=[leaf for leaf in leaves if leaf.endswith(_WITH_STATISTICS)],
            write_page_index=True,
        )

    def _name(self) -> str:
        return f"{self._spec.stem}-{len(self._done):03d}.parquet"

    def _temporary(self) -> Path:
        return temporary_path(self._folder / self._name(), self._spec.token)

    def _finish_file(self) -> None:
        if self._writer is None or self._digest is None:
            return
        self._writer.close()
        self._writer = None
        digest, size = self._digest.settle(self._folder / self._name())
        self._digest = None
        name = f"data/{self._name()}"
        self._done.append(ShardFile(name, self._file_rows, self._file_groups, size, digest))
        self._file_rows = self._file_groups = 0


def has_equal_pictures(rows: pa.RecordBatch) -> bool:
    """Whether two pictures of rows are the same file, or look so by size and checksum."""
    pictures = rows.column("images").values.field("bytes")
    data, places = memoryview(pictures.buffers()[2]), columns.ends(pictures)
    files = [data[start:end] for start, end in pairwise(places)]
    sizes = Counter(map(len, files))
    twins = [file for file in files if sizes[len(file)] > 1]
    return len({(len(file), zlib.crc32(file)) for file in twins}) < len(twins)


def _leaves(path: str, kind: pa.DataType) -> list[str]:
    """Return the Parquet paths of the leaf columns below an Arrow column."""
    if pa.types.is_list(kind):
        return _leaves(f"{path}.list.element", kind.value_type)
    if pa.types.is_struct(kind):
        return [leaf for inner in kind for leaf in _leaves(f"{path}.{inner.name}", inner.type)]
    return [path]


def temporary_path(final: Path, token: str = "") -> Path:
    """Return the hidden name under which a file is made.

    Example:
        >>> temporary_path(Path("data/a.parquet"), "5f2e").as_posix()
        'data/.a.parquet.5f2e'
    """
    return final.with_name(f".{final.name}.{token}" if token else f".{final.name}")


class _Digest:
    """The digest of a file that grows at its end: what was written is read while it is at hand.

    Args:
        path: The file; it exists.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._file = path, path.open("rb", buffering=0)
        self._sha256, self._size = hashlib.sha256(), 0

    def follow(self) -> int:
        """Read what was written since, and return the size of the file."""
        piece = memoryview(bytearray(_PIECE_BYTES))
        while count := self._file.readinto(piece):
            self._sha256.update(piece[:count])
            self._size += count
        return self._size

    def settle(self, final: Path) -> tuple[str, int]:
        """Put the file, which is finished, on the disk and under its name."""
        self.follow()
        os.fsync(self._file.fileno())
        self._file.close()
        self._path.replace(final)
        sync_folder(final.parent)
        return self._sha256.hexdigest(), self._size

    def close(self) -> None:
        """Let go of a file that is not finished."""
        self._file.close()


def settle(temporary: Path, final: Path) -> tuple[str, int]:
    """Put a finished temporary file on the disk and under its name; return sha256 and size."""
    return _Digest(temporary).settle(final)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
