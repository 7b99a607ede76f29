"""Receipts and the manifest: what was written, provable by size and sha256.

A receipt proves one slice; the manifest is all receipts of a finished run in one file.
Neither holds a time stamp, so equal plans give equal bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from vlm_datakit.errors import SourceError
from vlm_datakit.hub.names import PREFIX
from vlm_datakit.plan import Plan, SourceFile, plan_facts
from vlm_datakit.shards.layout import SCHEMA_VERSION, features

FILE_NAME = "manifest.json"
_KEYS = frozenset({"layout", "plan_id", "rejects", "splits", "stats"})


@dataclass(frozen=True, slots=True)
class ShardFile:
    """One Parquet file: its path in the output folder, its size and sha256."""

    file: str
    rows: int
    row_groups: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class RejectsFile:
    """One file of the ledger; ``lines`` refused rows stand in it."""

    file: str
    lines: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts over the written rows of one slice, or of all."""

    images: int = 0
    image_bytes: int = 0
    rewritten: Mapping[str, int] = field(default_factory=dict)
    warnings: Mapping[str, int] = field(default_factory=dict)
    roles: Mapping[str, int] = field(default_factory=dict)
    messages_per_row: Mapping[str, int] = field(default_factory=dict)
    images_per_row: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Receipt:
    """The proof that a slice is done: ``rows_read == rows + sum(by_reason)``.

    ``start`` and ``end`` are where the slice stands in its file. ``arrived`` marks the parts of a
    file that still came; until these are known to be what the Hub states, it proves nothing
    (`vlm_datakit.runner.provisional`).
    """

    plan_id: str
    slice: int
    split: str
    rows_read: int
    rows: int
    by_reason: Mapping[str, int]
    shards: tuple[ShardFile, ...]
    rejects: RejectsFile | None
    stats: Stats
    start: int | None = None
    end: int | None = None
    arrived: str | None = None

    @property
    def files(self) -> dict[str, int]:
        """Return its files, in the work folder, with their sizes."""
        ledger = {} if self.rejects is None else {self.rejects.file: self.rejects.bytes}
        return {shard.file: shard.bytes for shard in self.shards} | ledger


def to_json(value: Any) -> bytes:
    """Return a dataclass or dict as indented JSON bytes with a last newline."""
    plain = value if isinstance(value, dict) else asdict(value)
    return orjson.dumps(plain, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def parse_receipt(data: bytes) -> Receipt | None:
    """Return the receipt in these bytes, or None if they are not one (cut short, foreign)."""
    try:
        fields = orjson.loads(data)
        fields["shards"] = tuple(ShardFile(**shard) for shard in fields["shards"])
        fields["rejects"] = RejectsFile(**fields["rejects"]) if fields["rejects"] else None
        fields["stats"] = Stats(**fields["stats"])
        return Receipt(**fields)
    except (ValueError, TypeError, KeyError):
        return None


def has_its_files(receipt: Receipt, folder: Path) -> bool:
    """Whether every file of a receipt stands in the folder with its size."""
    return all(size_of(folder / name) == size for name, size in receipt.files.items())


def size_of(path: Path) -> int | None:
    """Return the size of a regular file in bytes, or None if there is none."""
    return path.stat().st_size if path.is_file() and not path.is_symlink() else None


def summed(stats: Iterable[Stats]) -> Stats:
    """Add up the counts of several slices; the result does not depend on their order."""
    total: dict[str, Any] = asdict(Stats())
    for one in stats:
        for name, value in asdict(one).items():
            if isinstance(value, dict):
                added = Counter(total[name]) + Counter(value)
                total[name] = dict(sorted(added.items()))
            else:
                total[name] += value
    return Stats(**total)


def manifest_of(plan: Plan, plan_id: str, receipts: Iterable[Receipt]) -> dict[str, Any]:
    """Return the manifest of a finished run, ready for `to_json`."""
    done = sorted(receipts, key=lambda receipt: receipt.slice)
    reasons = sum((Counter(dict(receipt.by_reason)) for receipt in done), Counter[str]())
    ledgers = [asdict(receipt.rejects) for receipt in done if receipt.rejects]
    return {
        "schema_version": SCHEMA_VERSION,
        "layout": plan.layout,
        "with_images": plan.with_images,
        "versions": dict(plan.versions),
        "plan_id": plan_id,
        "source": {"format": plan.format, "files": [_source_file(file) for file in plan.files]},
        "plan": plan_facts(plan),
        "features": features(plan.layout, with_images=plan.with_images),
        "splits": _splits(plan, done),
        "rejects": {
            "total": reasons.total(),
            "by_reason": dict(sorted(reasons.items())),
            "files": ledgers,
        },
        "stats": asdict(summed(receipt.stats for receipt in done)),
    }


def _source_file(file: SourceFile) -> dict[str, Any]:
    facts = {"split": file.split, "name": file.name, "bytes": file.size_bytes}
    return {**facts, "address": file.path} if file.path.startswith(PREFIX) else facts


def _splits(plan: Plan, receipts: list[Receipt]) -> dict[str, Any]:
    splits: dict[str, Any] = {}
    for name in dict.fromkeys(file.split for file in plan.files):
        mine = [receipt for receipt in receipts if receipt.split == name]
        shards = [asdict(shard) for receipt in mine for shard in receipt.shards]
        splits[name] = {
            "rows": sum(receipt.rows for receipt in mine),
            "bytes": sum(shard["bytes"] for shard in shards),
            "shards": shards,
        }
    return splits


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest of a finished output folder.

    Raises:
        SourceError: if there is none, it is broken, or of a newer schema version.
    """
    path = folder / FILE_NAME
    try:
        manifest: Any = orjson.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise SourceError(f"{folder}: no {FILE_NAME}; not a finished import") from error
    except (ValueError, OSError) as error:
        raise SourceError(f"{path}: not a manifest: {error}") from error
    version = manifest.get("schema_version") if isinstance(manifest, dict) else None
    if version != SCHEMA_VERSION:
        raise SourceError(f"{path}: schema version {version}, and this tool reads {SCHEMA_VERSION}")
    if missing := _KEYS - manifest.keys():
        raise SourceError(f"{path}: not a manifest: it has no {', '.join(sorted(missing))}")
    return dict(manifest)
