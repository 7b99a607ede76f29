"""Slices in many processes: what the parent does, and what a worker does.

A slice is named to a process and a receipt comes back; rows stay where they are read.
"""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import NoReturn

from vlm_datakit.plan import Slice
from vlm_datakit.runner.job import SPOOL, Job
from vlm_datakit.runner.line import Line
from vlm_datakit.runner.ordered import in_order
from vlm_datakit.runner.processes import Crew, Work
from vlm_datakit.runner.progress import REPORTS_EVERY_S, Pulse, Report
from vlm_datakit.runner.work import NO_EDGES, run_slice
from vlm_datakit.runner.worker import Answer, attend
from vlm_datakit.shards.manifest import Receipt
from vlm_datakit.sources.pipe import Pipe
from vlm_datakit.sources.spool import spool_path, spooled


def pool(
    job: Job,
    slices: Iterable[Slice],
    report: Report,
    *,
    workers: int,
    kept_open: Sequence[int] = (),
) -> Generator[Receipt, None, None]:
    """Do slices in several processes; receipts come in the order in which they are done.

    The slice of a killed worker is done again, the third time alone, so that what it needs
    is not what others take.

    Args:
        job: The same for all slices.
        slices: What to do.
        report: Hears how far each slice is.
        workers: How many processes.
        kept_open: Descriptors that each worker holds as long as it lives.

    Raises:
        SourceError: if a slice kills its worker three times.
        Exception: what a worker raised, as if it had been raised here.
    """
    with closing(Crew(_work(job, workers, kept_open), workers)) as crew:
        for slice_ in slices:
            crew.add(slice_)
        crew.expect_no_more()
        while crew.is_busy:
            for slice_, message in crew.messages():
                if isinstance(message, Exception):
                    raise message
                if isinstance(message, Answer):
                    yield message.value
                else:
                    report(slice_.number, message)


def piped_pool(
    job: Job,
    slices: Iterator[Slice],
    report: Report,
    *,
    pipe: Pipe,
    workers: int,
    kept_open: Sequence[int] = (),
) -> Generator[Receipt, None, None]:
    """Do slices as `pool` does, some of them of a pipe; receipts come in order.

    A slice of the pipe is written to a file in the work folder and deleted when it is done;
    two for each worker are held at most.

    Args:
        job: The same for all slices.
        slices: What to do; those of the pipe are cut as it is read.
        report: Hears how far each slice is.
        pipe: Standard input.
        workers: How many processes.
        kept_open: Descriptors that each worker holds as long as it lives.

    Raises:
        SourceError, Exception: as `pool`.
    """
    folder, work = job.folder / SPOOL, _work(job, workers, kept_open)
    tasks = spooled(slices, pipe, folder)
    try:
        done = in_order(work, tasks, workers, lambda slice_, told: report(slice_.number, told))
        with closing(done) as receipts:
            for receipt in receipts:
                spool_path(folder, receipt.slice).unlink(missing_ok=True)
                yield receipt
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _work(job: Job, workers: int, kept_open: Sequence[int]) -> Work[Slice]:
    # Its slices tell a worker all of the files that it has to know.
    begin = (replace(job, plan=replace(job.plan, files=())), REPORTS_EVERY_S * workers)
    return Work(__name__, begin, deadly, kept_open=tuple(kept_open))


def serve(line: Line) -> NoReturn:
    """Do the slices that come over the line.

    Args:
        line: Brings a job with the seconds between reports, and then slices.
    """
    job, every_s = line.recv()
    attend(line, lambda slice_: run_slice(job, slice_, NO_EDGES, Pulse(line.send, every_s)))


def deadly(slice_: Slice, ending: str) -> str:
    """Return what ends a run: a slice whose workers are all lost."""
    return (
        f"{slice_}: the worker that reads them "
        f"{ending}; {'' if slice_.file.is_pipe else 'all slices done are kept: '}look at these "
        "rows, or give it more memory, and run again"
    )
