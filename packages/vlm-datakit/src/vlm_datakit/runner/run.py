"""A run from its plan to the commit; or a part of one, which leaves the commit to others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from vlm_datakit.errors import OutputError, SourceError, UsageError
from vlm_datakit.events import Listener, Part, Summary
from vlm_datakit.plan import (
    Plan,
    RejectsAllowed,
    Slice,
    SourceFile,
    Stride,
    fingerprint,
    plan_differences,
    plan_facts,
)
from vlm_datakit.runner.commit import Place, commit, prepare, prepare_part
from vlm_datakit.runner.downloads import Coming, downloading
from vlm_datakit.runner.engines import Means, open_engine
from vlm_datakit.runner.job import REJECTS, Job
from vlm_datakit.runner.outcome import check_consent, finished_before, reasons_of, summary_of
from vlm_datakit.runner.output import (
    State,
    changed_files,
    foreign_files,
    leave_no_trace,
    locked,
    state_of,
)
from vlm_datakit.runner.plans import store_plan
from vlm_datakit.runner.progress import Board
from vlm_datakit.runner.provisional import hold, taken_back
from vlm_datakit.runner.receipts import count_receipts, resumable
from vlm_datakit.runner.stages import FETCHED
from vlm_datakit.runner.work import check_unchanged
from vlm_datakit.shards.manifest import Receipt, read_manifest
from vlm_datakit.sources.heads import FirstLines, Head, heads, tell_looks, whole_files
from vlm_datakit.sources.pipe import Pipe
from vlm_datakit.sources.slices import NAMED_PICTURES_BYTES, cut
from vlm_datakit.sources.spool import cut_pipe

if TYPE_CHECKING:
    from vlm_datakit.hub.download import Told
    from vlm_datakit.runner.on_ray import RayCluster


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What does not change a byte: consent to refusals, leave to replace, the pipe, processes.

    ``workers`` is the most processes that do slices at once; 1 does them in this one. ``ray``
    is the cluster that does them instead. ``downloads`` hears how far files of the Hub are.
    ``coming`` is what brings the first of them since the plan was made; with it, files may be
    converted while they come.
    """

    rejects_allowed: RejectsAllowed = field(default_factory=RejectsAllowed)
    overwrite: bool = False
    pipe: Pipe | None = None
    workers: int = 1
    ray: RayCluster | None = None
    downloads: Told | None = None
    coming: Coming | None = None


def run(plan: Plan, out: Path, options: RunOptions, listener: Listener | None = None) -> Summary:
    """Run a plan into an output folder; run again after a kill, it goes on where it was.

    Raises:
        UsageError: if Ray is not installed, or the plan reads standard input or fetches on it.
        TooManyRejects: beyond the consent; receipts are kept and nothing is committed.
        OutputError: the folder is not ours, locked, or finished under another plan.
        SourceError: no rows, a source changed while it was read, or a slice kills its workers.
        ReplacedError: a file that was converted while it came is not what the Hub states; it has
            come anew, and nothing that was made of it is left.
    """
    _check_means(plan, options)
    plan_id, was_there = fingerprint(plan), out.exists()
    if _is_finished(plan, plan_id, out, options):
        return finished_before(out)
    is_new = state_of(out) is State.NEW
    with locked(out) as lock:
        if _is_finished(plan, plan_id, out, options):  # another run was faster to the lock
            return finished_before(out)
        place = Place(out, plan_id)
        prepare(place)
        first = options.coming if options.ray is None else None
        job = Job(plan, plan_id, place.work, arrives=first is not None)
        wanted = heads(plan.files, plan.row_limit)
        slices = cut(wanted, plan.slice_bytes)
        store_plan(place.work, plan, len(slices), job.token)
        tell_looks(wanted, options.downloads)
        fetched = place.private / FETCHED
        pipe = options.pipe if any(file.is_pipe for file in plan.files) else None
        means = Means(options.workers, pipe, fetched, (lock,), options.ray)
        ahead = _ahead(wanted, options)
        with taken_back(job, slices), downloading(ahead, options.downloads):
            receipts, resumed = _receipts(job, slices, means, listener)
            if first is not None:
                marks = [*first.marks, *(receipt.arrived for receipt in receipts)]
                hold(wanted, slices, plan.slice_bytes, marks)
        summary = summary_of(out, receipts, resumed)
        if not summary.rows:
            if is_new:
                leave_no_trace(out, was_there=was_there)
            raise SourceError(f"{plan.files[0].name}: no rows; nothing was written")
        check_consent(place.work / REJECTS, plan.files, summary, options.rejects_allowed)
        for file in plan.files:
            check_unchanged(file)
        commit(place, plan, receipts)
    return summary


def run_part(
    plan: Plan, out: Path, stride: Stride, options: RunOptions, listener: Listener | None = None
) -> Part | Summary:
    """Do some slices of a plan and commit nothing; any number of jobs may do so at once.

    Returns:
        A `Summary` only if the folder is finished already.

    Raises:
        UsageError: if the plan reads standard input or fetches, or options replace a set.
        TooManyRejects: if the first 1,000 rows of the run are all refused.
        OutputError, SourceError: as `run`.
    """
    _check_divisible(plan, options)
    plan_id = fingerprint(plan)
    if _is_finished(plan, plan_id, out, options):
        return finished_before(out)
    with locked(out, shared=True) as lock:
        if _is_finished(plan, plan_id, out, options):
            return finished_before(out)
        place = Place(out, plan_id)
        prepare_part(place)
        job = Job(plan, plan_id, place.work)
        slices = cut(heads(plan.files, plan.row_limit), plan.slice_bytes)
        store_plan(place.work, plan, len(slices), job.token)
        mine = slices[stride.first :: stride.step]
        receipts, resumed = _receipts(
            job, mine, Means(options.workers, kept_open=(lock,)), listener
        )
        done = count_receipts(place.work)
    rows = sum(receipt.rows_read for receipt in receipts)
    return Part(str(out), len(slices), len(mine), done, resumed, rows, reasons_of(receipts))


def _ahead(wanted: Sequence[Head], options: RunOptions) -> list[SourceFile]:
    """Return the files to download while others are converted; nodes have caches of their own."""
    begun = options.coming.file if options.coming else None
    return [file for file in whole_files(wanted) if options.ray is None and file != begun]


def _check_means(plan: Plan, options: RunOptions) -> None:
    if options.ray is None:
        return
    if any(file.is_pipe for file in plan.files):
        raise UsageError("--engine ray needs files: standard input comes once, to one process")
    if plan.fetch is not None:
        raise UsageError("--engine ray goes without --fetch, whose connections one process counts")
    from vlm_datakit.runner.on_ray import check_installed

    check_installed()


def _check_divisible(plan: Plan, options: RunOptions) -> None:
    if any(file.is_pipe for file in plan.files):
        raise UsageError("--slices needs files: standard input comes once, to one process")
    if plan.fetch is not None:
        raise UsageError("--slices goes without --fetch, whose connections one process counts")
    if options.overwrite:
        raise UsageError("--slices goes without --overwrite: name a new folder with -o")
    if options.ray is not None:
        raise UsageError("--slices goes without --engine ray, which gives out all slices itself")


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
    job: Job, slices: Sequence[Slice], means: Means, listener: Listener | None
) -> tuple[list[Receipt], int]:
    """Return the receipts of all slices in their order, and how many were there before."""
    board = Board(listener, slices, is_open=means.pipe is not None)
    receipts = {}
    for slice_ in slices:
        if (receipt := resumable(job, slice_)) is not None:
            receipts[slice_.number] = receipt
            board.resume(slice_, receipt)
    board.tell()
    resumed = len(receipts)
    missing = {slice_.number: slice_ for slice_ in slices if slice_.number not in receipts}
    todo = [*missing.values()]
    coming = chain(todo, _piped(job.plan, means.pipe, len(slices)))
    with (
        open_engine(job, todo, means) as engine,
        closing(engine(job, coming, board.report)) as done,
    ):
        for receipt in done:
            receipts[receipt.slice] = receipt
            if receipt.slice in missing:
                board.finish(missing[receipt.slice], receipt)
            else:
                board.finish_piped(receipt)
    return [receipts[number] for number in sorted(receipts)], resumed


def _piped(plan: Plan, pipe: Pipe | None, first_number: int) -> Iterator[Slice]:
    """Return the slices of standard input, if a plan reads it; they come behind all files."""
    if pipe is None:
        return iter(())
    (file,) = [file for file in plan.files if file.is_pipe]
    named = plan.slice_bytes == NAMED_PICTURES_BYTES
    if (limit := plan.row_limit) is not None and file.is_lines:
        pipe.pass_through(lambda all_: FirstLines(all_, limit))
    slices = cut_pipe(pipe, file, first_number, names_pictures=named)
    return slices if file.is_lines else (replace(slice_, rows=limit) for slice_ in slices)
