"""The shards as a sequence of conversations: opened by row, verified by manifest.

Random access costs one row group (about 16 MiB by contract); the groups used last are
kept. Pictures stay the bytes they are in the file until a row is rendered.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

from vlm_trainer.augment import altered
from vlm_trainer.chat import read_json
from vlm_trainer.conversation import Conversation, from_columns
from vlm_trainer.errors import Refused, RowError, SourceError
from vlm_trainer.lengths import Measure
from vlm_trainer.pairs import Pair
from vlm_trainer.render import Rendered

CACHE_BYTES = 256 * 1024**2
HEADER_BATCH_ROWS = 1024
SHARD_FILE = re.compile(r"data/[\w.]+-\d+-\d+\.parquet")
SCHEMA_VERSION = 1
LAYOUTS = {"sft": ("conversation", "answer"), "dpo": ("pair",)}


@dataclass(frozen=True, slots=True)
class Split:
    """One split of an import, as its manifest lists it.

    Args:
        folder: The OUT folder.
        name: Such as ``train``.
        files: Shards relative to the folder, in order, with their rows.
        manifest_sha256: Of the manifest's bytes: names the data of a run.
    """

    folder: Path
    name: str
    files: tuple[tuple[str, int], ...]
    manifest_sha256: str

    @property
    def rows(self) -> int:
        """Rows of all shards."""
        return sum(rows for _, rows in self.files)


def method_of(folder: Path) -> str:
    """Return the method that fits the layout of a folder's shards: dpo for pairs, else sft."""
    return "dpo" if read_json(folder / "manifest.json").get("layout") == "pair" else "sft"


def find_split(folder: Path, name: str, method: str = "sft") -> Split:
    """Find a split by the folder's manifest, and check that its shards are there.

    Args:
        folder: What ``vlm-datakit import`` wrote.
        name: The split.
        method: What the rows are for: ``sft`` or ``dpo``.

    Raises:
        SourceError: No such folder, no manifest (a killed import or a foreign folder), a
            manifest of a layout that is not the method's, no such split, a missing or short
            shard.
    """
    path = folder / "manifest.json"
    if not folder.is_dir():
        raise SourceError(f"{folder}: no such folder; --data wants the folder of an import")
    if not path.is_file():
        raise SourceError(
            f"{folder}: no manifest.json: an import that did not finish, or no import at all; "
            "run its `vlm-datakit import` again"
        )
    manifest = read_json(path)
    splits = manifest.get("splits") or {}
    _check_layout(folder, manifest, method)
    if name not in splits:
        known = ", ".join(sorted(splits)) or "none"
        raise SourceError(f"{folder}: no split {name!r}; it has {known}")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    try:
        files = _checked_files(folder, splits[name]["shards"])
    except (KeyError, TypeError) as error:
        raise SourceError(f"{path}: not the manifest of an import ({error!r})") from error
    return Split(folder, name, files, digest)


def joined_split(splits: Sequence[Split]) -> Split:
    """Return the splits of several folders as one; a single one stays as it is."""
    first, *others = splits
    if not others:
        return first
    files = [(str(split.folder / file), rows) for split in splits for file, rows in split.files]
    digests = "".join(split.manifest_sha256 for split in splits)
    digest = hashlib.sha256(digests.encode()).hexdigest()
    return Split(Path(), first.name, tuple(files), digest)


def _check_layout(folder: Path, manifest: Mapping[str, Any], method: str) -> None:
    version, layout = manifest.get("schema_version"), manifest.get("layout")
    if version != SCHEMA_VERSION:
        raise SourceError(
            f"{folder}/manifest.json: not the manifest of an import that this trainer reads "
            f"(schema version {version}; it reads {SCHEMA_VERSION})"
        )
    if layout not in LAYOUTS[method]:
        hint = "; these are preference pairs, for --method dpo" if layout == "pair" else ""
        raise SourceError(
            f"{folder}: layout {layout!r}, and {method} reads {' and '.join(LAYOUTS[method])}{hint}"
        )


def _checked_files(folder: Path, shards: list[dict[str, Any]]) -> tuple[tuple[str, int], ...]:
    for shard in shards:
        file = shard["file"]
        if not SHARD_FILE.fullmatch(file):
            raise SourceError(f"{folder}/manifest.json: {file!r} is not the name of a shard")
        path = folder / file
        if not path.is_file():
            raise SourceError(f"{path}: missing, though the manifest lists it; import again")
        if path.stat().st_size != shard["bytes"]:
            raise SourceError(
                f"{path}: {path.stat().st_size} bytes, the manifest says {shard['bytes']}; "
                "the file is damaged, import again"
            )
    return tuple((shard["file"], shard["rows"]) for shard in shards)


class ShardSet:
    """The rows of one split, by number; keeps file handles, so it must be closed.

    Not shared between processes: a worker opens its own (pickling drops the handles).
    """

    def __init__(self, split: Split) -> None:
        self.split = split
        self._starts = [0, *accumulate(rows for _, rows in split.files)]
        self._opened: dict[int, tuple[Any, list[int]]] = {}
        self._groups: OrderedDict[tuple[int, int], Any] = OrderedDict()
        self._kept_bytes = 0

    def __len__(self) -> int:
        return self._starts[-1]

    def get(self, row: int) -> Conversation:
        """Return one conversation with the bytes of its pictures.

        Args:
            row: 0 to len - 1, over all shards of the split in order.

        Raises:
            IndexError: Outside the range.
            SourceError: The shard cannot be read.
        """
        if not 0 <= row < len(self):
            raise IndexError(row)
        number = bisect_right(self._starts, row) - 1
        _, group_starts = self._open(number)
        within = row - self._starts[number]
        group = bisect_right(group_starts, within) - 1
        table = self._group(number, group)
        return from_columns(table.slice(within - group_starts[group], 1).to_pylist()[0])

    def folder_of(self, row: int) -> str:
        """Name the folder of a row in a mix; of a single folder nothing needs to be said."""
        file = Path(self.split.files[bisect_right(self._starts, row) - 1][0])
        return str(file.parents[1]) if len(file.parents) > 2 else ""

    def headers(self) -> Iterator[Conversation]:
        """Yield all conversations without their pictures, in order, reading no image."""
        for number in range(len(self.split.files)):
            file, _ = self._open(number)
            columns = [name for name in file.schema_arrow.names if name != "images"]
            try:
                for batch in file.iter_batches(HEADER_BATCH_ROWS, columns=columns):
                    yield from map(from_columns, batch.to_pylist())
            except (OSError, ValueError) as error:  # ArrowInvalid is a ValueError
                raise self._unreadable(number, error) from error

    def close(self) -> None:
        """Close the files; the set opens them again when used."""
        for file, _ in self._opened.values():
            file.close()
        self._opened.clear()
        self._groups.clear()
        self._kept_bytes = 0

    def __getstate__(self) -> Split:
        return self.split

    def __setstate__(self, split: Split) -> None:
        self.__init__(split)  # type: ignore[misc]

    def _open(self, number: int) -> tuple[Any, list[int]]:
        if number not in self._opened:
            import pyarrow.parquet as pq

            try:
                file = pq.ParquetFile(self.split.folder / self.split.files[number][0])
            except (OSError, ValueError) as error:
                raise self._unreadable(number, error) from error
            metadata = file.metadata
            rows = (metadata.row_group(group).num_rows for group in range(metadata.num_row_groups))
            self._opened[number] = (file, [0, *accumulate(rows)])
        return self._opened[number]

    def _group(self, number: int, group: int) -> Any:
        key = (number, group)
        if key in self._groups:
            self._groups.move_to_end(key)
            return self._groups[key]
        file, _ = self._open(number)
        try:
            table = file.read_row_group(group)
        except (OSError, ValueError) as error:
            raise self._unreadable(number, error) from error
        self._groups[key] = table
        self._kept_bytes += table.nbytes
        while self._kept_bytes > CACHE_BYTES and len(self._groups) > 1:
            self._kept_bytes -= self._groups.popitem(last=False)[1].nbytes
        return table

    def _unreadable(self, number: int, error: Exception) -> SourceError:
        file = self.split.folder / self.split.files[number][0]
        first_line = (str(error).splitlines() or [""])[0]
        return SourceError(f"{file}: not a readable shard ({first_line}); import again")


class Showing(NamedTuple):
    """A row as asked for at one place of a run.

    Args:
        time: How often the rows of its folder had been shown before: the epoch, without a mix.
        place: Of the row within those kept.
    """

    time: int
    place: int


class RenderedRows:
    """The kept rows of a split, rendered when asked for: what torch calls a map-style dataset.

    Args:
        shards: The split.
        kept: Row numbers in rising order; index n of this set is row ``kept[n]``.
        how: Words and pixels of the model.
        augment: Seed by which pictures are altered; None leaves them as they are.
    """

    def __init__(
        self, shards: ShardSet, kept: Sequence[int], how: Measure, augment: int | None = None
    ) -> None:
        self.shards = shards
        self.kept = kept
        self.how = how
        self.augment = augment

    def __len__(self) -> int:
        return len(self.kept)

    def __getitem__(self, asked: int | Showing) -> Rendered | Pair | Refused:
        """Return a rendered row; one whose picture fails comes back as `Refused`, as data."""
        time, place = asked if isinstance(asked, Showing) else (0, asked)
        row = int(self.kept[place])
        conversation = self.shards.get(row)
        alter = None if self.augment is None else partial(altered, self.augment, time, row)
        rendered = self.how.render_pair if self.how.pairs else self.how.render
        try:
            return rendered(conversation, alter)
        except RowError as error:
            folder = self.shards.folder_of(row)
            return Refused(conversation.id, error.reason, error.where, error.seen, folder)
