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
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

from vlm_trainer.addresses import Address, is_address
from vlm_trainer.augment import altered
from vlm_trainer.block_cache import BlockCache
from vlm_trainer.blocks import Block, Blocks, read_blocks
from vlm_trainer.chat import json_object
from vlm_trainer.conversation import Conversation, from_columns
from vlm_trainer.errors import Refused, RowError, SourceError
from vlm_trainer.lengths import Measure
from vlm_trainer.pairs import Pair
from vlm_trainer.remote import MissingError, read_whole
from vlm_trainer.render import Rendered
from vlm_trainer.shard_files import Shard, Stamp, called_ahead, shard_at, stamp_of

CACHE_BYTES = 256 * 1024**2
MANIFEST = "manifest.json"
SHARD_FILE = re.compile(r"data/[\w.]+-\d+-\d+\.parquet")
SCHEMA_VERSION = 1
LAYOUTS = {"sft": ("conversation", "answer"), "dpo": ("pair",)}


@dataclass(frozen=True, slots=True)
class Split:
    """One split of an import, as its manifest lists it.

    Args:
        folder: The OUT folder.
        name: Such as ``train``.
        files: Shards relative to the folder, or their addresses, in order, with their rows.
        manifest_sha256: Of the manifest's bytes: names the data of a run.
        blocks: Of each shard that lies elsewhere, by its address.
        stamps: Of each shard that lies here, by its path.
    """

    folder: Path | Address
    name: str
    files: tuple[tuple[str, int], ...]
    manifest_sha256: str
    blocks: Mapping[str, Blocks] = field(default_factory=dict)
    stamps: Mapping[Path, Stamp] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows of all shards."""
        return sum(rows for _, rows in self.files)

    def shard(self, number: int) -> Path | Blocks:
        """Return where a shard lies."""
        name = self.files[number][0]
        return self.blocks[name] if is_address(name) else Path(str(self.folder)) / name


def method_of(folder: Path | Address) -> str:
    """Return the method that fits the layout of a folder's shards: dpo for pairs, else sft."""
    content = _manifest_of(folder)
    layout = json_object(content, folder / MANIFEST).get("layout") if content else None
    return "dpo" if layout == "pair" else "sft"


def find_split(folder: Path | Address, name: str, method: str = "sft") -> Split:
    """Find a split by the folder's manifest, and check that its shards are there.

    Args:
        folder: What ``vlm-datakit import`` wrote. Of shards at an address the footers are read.
        name: The split.
        method: What the rows are for: ``sft`` or ``dpo``.

    Raises:
        SourceError: No such folder, no manifest (a killed import or a foreign folder), a
            manifest of a layout that is not the method's, no such split, a missing or short
            shard.
    """
    path = folder / MANIFEST
    content = _manifest_of(folder)
    if content is None and isinstance(folder, Path) and not folder.is_dir():
        raise SourceError(f"{folder}: no such folder; --data wants the folder of an import")
    if content is None:
        raise SourceError(
            f"{folder}: no manifest.json: an import that did not finish, or no import at all; "
            "run its `vlm-datakit import` again"
        )
    manifest = json_object(content, path)
    splits = manifest.get("splits") or {}
    _check_layout(folder, manifest, method)
    if name not in splits:
        known = ", ".join(sorted(splits)) or "none"
        raise SourceError(f"{folder}: no split {name!r}; it has {known}")
    digest = hashlib.sha256(content).hexdigest()
    try:
        shards = _named_shards(folder, splits[name]["shards"])
    except (KeyError, TypeError) as error:
        raise SourceError(f"{path}: not the manifest of an import ({error!r})") from error
    if isinstance(folder, Path):
        stamps = _checked_files(folder, shards)
        files = tuple((file, rows) for file, rows, _ in shards)
        return Split(folder, name, files, digest, stamps=stamps)
    blocks = _blocks_of(folder, shards, digest)
    files = tuple((str(folder / file), rows) for file, rows, _ in shards)
    return Split(folder, name, files, digest, blocks)


def joined_split(splits: Sequence[Split]) -> Split:
    """Return the splits of several folders as one; a single one stays as it is."""
    first, *others = splits
    if not others:
        return first
    files = [
        (file if split.blocks else str(split.folder / file), rows)
        for split in splits
        for file, rows in split.files
    ]
    digests = "".join(split.manifest_sha256 for split in splits)
    digest = hashlib.sha256(digests.encode()).hexdigest()
    blocks = {name: found for split in splits for name, found in split.blocks.items()}
    stamps = {path: stamp for split in splits for path, stamp in split.stamps.items()}
    return Split(Path(), first.name, tuple(files), digest, blocks, stamps)


def _manifest_of(folder: Path | Address) -> bytes | None:
    path = folder / MANIFEST
    try:
        return path.read_bytes() if isinstance(path, Path) else read_whole(path)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, MissingError):
        return None


def _check_layout(folder: Path | Address, manifest: Mapping[str, Any], method: str) -> None:
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


def _named_shards(
    folder: Path | Address, shards: Sequence[Mapping[str, Any]]
) -> list[tuple[str, int, int]]:
    """Return name, rows and bytes of shards whose names are such."""
    for shard in shards:
        if not SHARD_FILE.fullmatch(shard["file"]):
            raise SourceError(f"{folder}/{MANIFEST}: {shard['file']!r} is not the name of a shard")
    return [(shard["file"], shard["rows"], shard["bytes"]) for shard in shards]


def _checked_files(folder: Path, shards: Sequence[tuple[str, int, int]]) -> dict[Path, Stamp]:
    stamps = {}
    for file, _, size in shards:
        path = folder / file
        if not path.is_file():
            raise SourceError(f"{path}: missing, though the manifest lists it; import again")
        if path.stat().st_size != size:
            raise SourceError(
                f"{path}: {path.stat().st_size} bytes, the manifest says {size}; "
                "the file is damaged, import again"
            )
        stamps[path] = stamp_of(path)
    return stamps


def _blocks_of(
    folder: Address, shards: Sequence[tuple[str, int, int]], digest: str
) -> dict[str, Blocks]:
    keys = [hashlib.sha256(f"{digest}/{file}".encode()).hexdigest()[:16] for file, _, _ in shards]
    calls = [
        partial(read_blocks, folder / file, size, key)
        for (file, _, size), key in zip(shards, keys, strict=True)
    ]
    found = list(called_ahead(calls))
    for (file, rows, _), blocks in zip(shards, found, strict=True):
        if blocks.starts[-1] != rows:
            raise SourceError(
                f"{folder / file}: {blocks.starts[-1]} rows, the manifest says {rows}; import again"
            )
    return {str(blocks.address): blocks for blocks in found}


class ShardSet:
    """The rows of one split, by number; keeps file handles, so it must be closed.

    Not shared between processes: a worker opens its own (pickling drops the handles).

    Args:
        split: Its shards.
        cache: Where row groups that lie elsewhere are kept; None for memory alone.
    """

    def __init__(self, split: Split, cache: BlockCache | None = None) -> None:
        self.split, self.cache = split, cache
        self._starts = [0, *accumulate(rows for _, rows in split.files)]
        self._opened: dict[int, Shard] = {}
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
        group_starts = self._open(number).starts
        within = row - self._starts[number]
        group = bisect_right(group_starts, within) - 1
        table = self._group(number, group)
        return from_columns(table.slice(within - group_starts[group], 1).to_pylist()[0])

    def folder_of(self, row: int) -> str:
        """Name the folder of a row in a mix; of a single folder nothing needs to be said."""
        name = self.split.files[bisect_right(self._starts, row) - 1][0]
        if is_address(name):
            return "" if isinstance(self.split.folder, Address) else name.rsplit("/", 2)[0]
        file = Path(name)
        return str(file.parents[1]) if len(file.parents) > 2 else ""

    def headers(self) -> Iterator[Conversation]:
        """Yield all conversations without their pictures, in order, reading no image."""
        for number in range(len(self.split.files)):
            yield from self._open(number).headers()

    def blocks(self) -> tuple[list[int], list[Block | None]]:
        """Return first rows, and what has to be fetched there: None for a shard that lies here."""
        starts: list[int] = []
        found: list[Block | None] = []
        for first, (name, _) in zip(self._starts, self.split.files, strict=False):
            shard = self.split.blocks.get(name)
            if shard:
                starts += [first + start for start in shard.starts[:-1]]
                found += [Block(shard, number) for number in range(len(shard.spans))]
            else:
                starts.append(first)
                found.append(None)
        return starts, found

    def close(self) -> None:
        """Close the files; the set opens them again when used."""
        for shard in self._opened.values():
            shard.close()
        self._opened.clear()
        self._groups.clear()
        self._kept_bytes = 0

    def __getstate__(self) -> tuple[Split, BlockCache | None]:
        return self.split, self.cache

    def __setstate__(self, state: tuple[Split, BlockCache | None]) -> None:
        self.__init__(*state)  # type: ignore[misc]

    def _open(self, number: int) -> Shard:
        if number not in self._opened:
            place = self.split.shard(number)
            stamp = self.split.stamps.get(place) if isinstance(place, Path) else None
            self._opened[number] = shard_at(place, self.cache, stamp)
        return self._opened[number]

    def _group(self, number: int, group: int) -> Any:
        key = (number, group)
        if key in self._groups:
            self._groups.move_to_end(key)
            return self._groups[key]
        table = self._open(number).group(group)
        self._groups[key] = table
        self._kept_bytes += table.nbytes
        while self._kept_bytes > CACHE_BYTES and len(self._groups) > 1:
            self._kept_bytes -= self._groups.popitem(last=False)[1].nbytes
        return table


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
