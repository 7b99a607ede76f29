"""Whether rows can be used, and whether a finished import is still what was written."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlm_datakit.checks import check
from vlm_datakit.conversation import Converted, Rejected
from vlm_datakit.errors import RowError, SourceError, VlmDataKitError
from vlm_datakit.images.header import check_decodes
from vlm_datakit.oddities import Oddities, OddityCounter
from vlm_datakit.plan import Plan
from vlm_datakit.runner.downloads import downloading
from vlm_datakit.runner.stages import open_beside, open_pictures, stages_of
from vlm_datakit.shards.duplicates import Pictures, find_duplicates
from vlm_datakit.shards.manifest import read_manifest, size_of
from vlm_datakit.shards.reader import open_shards
from vlm_datakit.sinks.ledger import reject_line
from vlm_datakit.sources.heads import Head, heads, open_head, rows_of, tell_looks, whole_files
from vlm_datakit.sources.jsonl import Span
from vlm_datakit.sources.pipe import Pipe
from vlm_datakit.walk import convert_rows

if TYPE_CHECKING:
    from vlm_datakit.fetching.prefetch import Prefetcher
    from vlm_datakit.hub.download import Told

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class RowsReport:
    """What a look at every row of a source found.

    ``first`` are the first refusals, a line each; ``images`` counts pictures of good rows;
    ``oddities`` are of good rows, too.
    """

    rows: int
    good: int
    images: int
    by_reason: Mapping[str, int] = field(default_factory=dict)
    warnings: Mapping[str, int] = field(default_factory=dict)
    first: tuple[str, ...] = ()
    oddities: Oddities = field(default_factory=Oddities)


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What a look at a finished import found; no ``faults`` means it is whole.

    ``pictures`` is None for a set without image columns, and for one with faults.
    """

    splits: Mapping[str, int]
    bytes: int
    rejects: Mapping[str, int]
    warnings: Mapping[str, int]
    read_data: bool
    faults: tuple[str, ...] = ()
    pictures: Pictures | None = None


def validate_rows(outcomes: Iterable[Converted | Rejected]) -> RowsReport:
    """Count what becomes of rows; nothing is written.

    Args:
        outcomes: As `vlm_datakit.walk.convert_rows` yields them.
    """
    reasons, warnings = Counter[str](), Counter[str]()
    rows = images = 0
    first: list[str] = []
    odd = OddityCounter()
    for outcome in outcomes:
        rows += 1
        if isinstance(outcome, Rejected):
            reasons[str(outcome.reason)] += 1
            first = [*first, reject_line(outcome)][:_SHOWN]
        else:
            warnings.update({str(warned.reason) for warned in outcome.warnings})
            images += len(outcome.conversation.images)
            odd.add(outcome.origin, outcome.conversation)
    good = rows - reasons.total()
    counts = _sorted(reasons), _sorted(warnings)
    return RowsReport(rows, good, images, *counts, tuple(first), odd.found())


def validate_source(plan: Plan, pipe: Pipe | None = None, told: Told | None = None) -> RowsReport:
    """Walk every row of a plan's files as an import would; write nothing.

    Args:
        plan: As `vlm_datakit.importing.plan_import` returns it.
        pipe: Standard input, if the plan names it.
        told: Hears how far files of the Hub are.
    """
    wanted = heads(plan.files, plan.row_limit)
    tell_looks(wanted, told)
    with (
        open_pictures(plan.fetch, plan.limits) as fetched,
        downloading(whole_files(wanted), told),
    ):
        walks = (_walked(plan, head, pipe, fetched) for head in wanted)
        return validate_rows(chain.from_iterable(walks))


def _walked(
    plan: Plan, head: Head, pipe: Pipe | None, fetched: Prefetcher | None
) -> Iterator[Converted | Rejected]:
    span = Span(head.file.name, max_line_bytes=plan.limits.max_line_bytes)
    with (
        open_head(head, pipe) as stream,
        open_beside(head.file, plan.image_roots, plan.limits, fetched) as pictures,
    ):
        stages = replace(stages_of(plan, pictures), check=check)
        yield from convert_rows(rows_of(head, stream, span), stages)


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items()))


def validate_import(folder: Path | str, *, read_data: bool = False) -> ImportReport:
    """Hold a finished import against its manifest; find pictures that stand twice.

    Args:
        folder: The output folder. The bytes of its pictures are read, at disk speed.
        read_data: Also hash every file and decode every picture, far slower.

    Raises:
        SourceError: if the folder is not a finished import.
    """
    out = Path(folder)
    manifest = read_manifest(out)
    splits = manifest["splits"]
    faults = _faults(out, manifest, read_data=read_data)
    pictures = None
    if not faults:
        try:
            pictures = find_duplicates(out)
        except SourceError as error:
            faults = [str(error)]
    return ImportReport(
        {name: facts["rows"] for name, facts in splits.items()},
        sum(facts["bytes"] for facts in splits.values()),
        manifest["rejects"]["by_reason"],
        manifest["stats"]["warnings"],
        read_data,
        tuple(faults),
        pictures,
    )


def _faults(out: Path, manifest: Mapping[str, Any], *, read_data: bool) -> list[str]:
    splits = manifest["splits"]
    files = [shard for split in splits.values() for shard in split["shards"]]
    files += manifest["rejects"]["files"]
    faults = [fault for file in files if (fault := _file_fault(out, file, read_data=read_data))]
    if read_data and not faults:
        faults = [fault for name in splits for fault in _row_faults(out, name, splits[name])]
    return faults


def _file_fault(out: Path, file: Mapping[str, Any], *, read_data: bool) -> str | None:
    path = out / file["file"]
    size = size_of(path)
    if size is None:
        return f"{file['file']}: missing"
    if size != file["bytes"]:
        return f"{file['file']}: {size} bytes, and the manifest says {file['bytes']}"
    if read_data:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if digest != file["sha256"]:
            return f"{file['file']}: its sha256 is not the manifest's"
    return None


def _row_faults(out: Path, name: str, facts: Mapping[str, Any]) -> list[str]:
    """Decode every row and picture of a split."""
    faults = []
    try:
        rows = open_shards(out, name)
        if len(rows) != facts["rows"]:
            faults.append(f"{name}: {len(rows)} rows, and the manifest says {facts['rows']}")
        for conversation in rows:
            for index, image in enumerate(conversation.images):
                if (fault := _image_fault(image.data)) is not None:
                    faults.append(f"{name}: row {conversation.id} image {index}: {fault}")
    except VlmDataKitError as error:
        faults.append(str(error))
    return faults


def _image_fault(data: bytes) -> str | None:
    try:
        check_decodes(data, "$")
    except RowError as error:
        return str(error.reason)
    return None
