"""The inline runner: one slice after the other in this process, then the commit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vlm_datakit.errors import OUTSIDE_REASONS, OutputError, SourceError, TooManyRejects
from vlm_datakit.events import Listener, Progress, Summary
from vlm_datakit.plan import (
    Plan,
    RejectsAllowed,
    Slice,
    SourceFile,
    fingerprint,
    plan_differences,
    plan_facts,
)
from vlm_datakit.runner.commit import Place, commit, prepare
from vlm_datakit.runner.output import (
    State,
    changed_files,
    foreign_files,
    leave_no_trace,
    locked,
    state_of,
)
from vlm_datakit.runner.refusals import first_refusals
from vlm_datakit.runner.stages import FETCHED, open_pictures
from vlm_datakit.runner.work import RECEIPTS, REJECTS, Job, run_slice
from vlm_datakit.shards.manifest import (
    Receipt,
    has_its_files,
    parse_receipt,
    read_manifest,
    summed,
)
from vlm_datakit.sources.pipe import Pipe
from vlm_datakit.sources.slices import cut


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What does not change a byte: consent to refusals, leave to replace, the pipe."""

    rejects_allowed: RejectsAllowed = field(default_factory=RejectsAllowed)
    overwrite: bool = False
    pipe: Pipe | None = None


def run(plan: Plan, out: Path, options: RunOptions, listener: Listener | None = None) -> Summary:
    """Run a plan into an output folder; run again after a kill, it goes on where it was.

    Raises:
        TooManyRejects: beyond the consent; receipts are kept and nothing is committed.
        OutputError: the folder is not ours, locked, or finished under another plan.
        SourceError: no rows, or a source changed while it was read.
    """
    plan_id, was_there = fingerprint(plan), out.exists()
    if _is_finished(plan, plan_id, out, options):
        return _finished_before(out)
    is_new = state_of(out) is State.NEW
    with locked(out):
        if _is_finished(plan, plan_id, out, options):  # another run was faster to the lock
            return _finished_before(out)
        place = Place(out, plan_id)
        prepare(place)
        slices = cut(plan.files, plan.slice_bytes)
        with open_pictures(plan.fetch, plan.limits, place.private / FETCHED) as pictures:
            job = Job(plan, plan_id, place.work, options.pipe, pictures)
            receipts, resumed = _receipts(job, slices, listener)
        summary = _summary(out, receipts, resumed)
        if not summary.rows:
            if is_new:
                leave_no_trace(out, was_there=was_there)
            raise SourceError(f"{plan.files[0].name}: no rows; nothing was written")
        _check_consent(place, plan.files, summary, options.rejects_allowed)
        _check_unchanged(plan.files)
        commit(place, plan, receipts)
    return summary


def _is_finished(plan: Plan, plan_id: str, out: Path, options: RunOptions) -> bool:
    """Whether the folder already holds this plan's data; raises unless it may be replaced."""
    if state_of(out) is not State.FINISHED:
        return False
    manifest = read_manifest(out)
    from_pipe = any(file.is_pipe for file in plan.files)
    changed = changed_files(out, manifest)
    if manifest["plan_id"] == plan_id and not from_pipe and not changed:
        return True
    if not options.overwrite and manifest["plan_id"] == plan_id and changed:
        raise OutputError(
            f"{out}: finished before, but {changed[0]} is not as written; "
            "--overwrite makes the set again"
        )
    if not options.overwrite:
        changes = "; ".join(plan_differences(manifest.get("plan", {}), plan_facts(plan)))
        why = "standard input cannot be compared" if from_pipe else changes
        raise OutputError(
            f"{out}: a finished import of another plan ({why}); --overwrite replaces it"
        )
    if strange := foreign_files(out, manifest):
        raise OutputError(f"{out}: not ours, move it away first: {', '.join(strange[:3])}")
    return False


def _receipts(
    job: Job, slices: Sequence[Slice], listener: Listener | None
) -> tuple[list[Receipt], int]:
    total = sum(slice_.file.size_bytes or 0 for slice_ in slices if slice_.start == 0) or None
    receipts: list[Receipt] = []
    resumed, done_bytes = 0, 0
    for slice_ in slices:
        receipt = _valid_receipt(job, slice_)
        resumed += receipt is not None
        if receipt is None:
            progress = _Forward(listener, receipts, done_bytes - slice_.start, total)
            receipt = run_slice(job, slice_, progress if listener else None)
        receipts.append(receipt)
        done_bytes += (slice_.end or 0) - slice_.start
    return receipts, resumed


class _Forward:
    """Turns the progress of a slice into that of the run, and passes it on."""

    def __init__(
        self, listener: Listener | None, before: Sequence[Receipt], shift: int, total: int | None
    ) -> None:
        self._listener = listener
        self._rows = sum(receipt.rows_read for receipt in before)
        self._rejected = sum(sum(receipt.by_reason.values()) for receipt in before)
        self._shift, self._total = shift, total

    def __call__(self, here: Progress) -> None:
        if self._listener is not None:
            rows, rejected = self._rows + here.rows, self._rejected + here.rejected
            self._listener(Progress(rows, rejected, self._shift + here.done_bytes, self._total))


def _valid_receipt(job: Job, slice_: Slice) -> Receipt | None:
    """Return the slice's receipt if it proves the slice; nothing else does."""
    path = job.folder / RECEIPTS / f"{slice_.number:05d}.json"
    receipt = parse_receipt(path.read_bytes()) if path.exists() else None
    if receipt is None or receipt.plan_id != job.plan_id or slice_.file.is_pipe:
        return None
    depends_on_outside = OUTSIDE_REASONS & receipt.by_reason.keys()
    is_proof = not depends_on_outside and has_its_files(receipt, job.folder)
    return receipt if is_proof else None


def _summary(out: Path, receipts: Sequence[Receipt], resumed: int) -> Summary:
    reasons = sum((Counter(dict(receipt.by_reason)) for receipt in receipts), Counter[str]())
    stats = summed(receipt.stats for receipt in receipts)
    splits = Counter[str]()
    for receipt in receipts:
        splits[receipt.split] += receipt.rows
    return Summary(
        output=str(out),
        rows=sum(receipt.rows_read for receipt in receipts),
        written=sum(receipt.rows for receipt in receipts),
        by_reason=dict(sorted(reasons.items())),
        warnings=stats.warnings,
        splits=dict(splits),
        images=stats.images,
        image_bytes=stats.image_bytes,
        shard_bytes=sum(shard.bytes for receipt in receipts for shard in receipt.shards),
        rewritten=stats.rewritten,
        slices_resumed=resumed,
        slices=len(receipts),
    )


def _check_consent(
    place: Place, files: Sequence[SourceFile], summary: Summary, allowed: RejectsAllowed
) -> None:
    if summary.written and allowed.admits(summary.rejected, summary.rows):
        return
    what = f"{summary.rejected:,} of {summary.rows:,} rows were refused"
    if not summary.written:
        what = f"all {summary.rows:,} rows were refused"
    first = first_refusals(place.work / REJECTS, files)
    raise TooManyRejects(f"{what}; nothing was committed", summary.rows, summary.by_reason, first)


def _check_unchanged(files: Sequence[SourceFile]) -> None:
    """Hold the sources to what the plan says of them, now that all is read."""
    for file in files:
        if file.is_pipe:
            continue
        status = Path(file.path).stat()
        if (status.st_size, status.st_mtime_ns) != (file.size_bytes, file.mtime_ns):
            raise SourceError(
                f"{file.name}: changed while it was imported; nothing was committed, run again"
            )


def _finished_before(out: Path) -> Summary:
    manifest = read_manifest(out)
    splits = {name: facts["rows"] for name, facts in manifest["splits"].items()}
    rejects = manifest["rejects"]
    return Summary(
        output=str(out),
        rows=sum(splits.values()) + rejects["total"],
        written=sum(splits.values()),
        by_reason=rejects["by_reason"],
        warnings=manifest["stats"]["warnings"],
        splits=splits,
        images=manifest["stats"]["images"],
        image_bytes=manifest["stats"]["image_bytes"],
        shard_bytes=sum(facts["bytes"] for facts in manifest["splits"].values()),
        rewritten=manifest["stats"]["rewritten"],
        finished_before=True,
    )
