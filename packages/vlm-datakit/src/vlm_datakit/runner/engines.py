"""Who does slices: this process, others beside it, or those of a Ray cluster.

An engine is a function from a job and slices to their receipts, in any order. What goes
in pickles and what comes back is small; rows never leave the process that reads them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vlm_datakit.plan import MIB, Plan, Slice
from vlm_datakit.runner.job import Job
from vlm_datakit.runner.progress import REPORTS_EVERY_S, Pulse, Report
from vlm_datakit.runner.stages import columns_of, open_pictures
from vlm_datakit.runner.work import NO_EDGES, Edges, run_slice
from vlm_datakit.shards.manifest import Receipt
from vlm_datakit.sources.pipe import Pipe
from vlm_datakit.sources.slices import NAMED_PICTURES_BYTES

if TYPE_CHECKING:
    from vlm_datakit.runner.on_ray import RayCluster

_SMALL_ROW_BYTES = 32 * 1024
_SHARE_OF_SMALL_ROWS, _SHARE_OF_COLUMNS, _SHARE_OF_LARGE_ROWS = 64 * MIB, 80 * MIB, 128 * MIB

#: Does slices and yields their receipts. Whoever stops early closes it. Those of a pipe are
#: cut while they are taken.
Engine = Callable[[Job, Iterator[Slice], Report], Generator[Receipt, None, None]]


@dataclass(frozen=True, slots=True)
class Means:
    """What an engine may use.

    ``workers`` is the most processes; ``kept_open`` are descriptors that a worker holds as
    long as it lives, such as that of the lock; ``fetched`` is where fetched pictures stay;
    ``ray`` does all slices, if there is one.
    """

    workers: int = 1
    pipe: Pipe | None = None
    fetched: Path | None = None
    kept_open: tuple[int, ...] = ()
    ray: RayCluster | None = None


def inline(
    job: Job, slices: Iterator[Slice], report: Report, edges: Edges = NO_EDGES
) -> Generator[Receipt, None, None]:
    """Do slices one after the other in this process."""
    for slice_ in slices:
        pulse = Pulse(partial(report, slice_.number), REPORTS_EVERY_S)
        yield run_slice(job, slice_, edges, pulse)


@contextmanager
def open_engine(job: Job, slices: Sequence[Slice], means: Means) -> Iterator[Engine]:
    """Open the engine for these slices, and those of a pipe if there is one.

    A single slice stays in this process; so does standard input that cannot be cut, and a plan
    that fetches, whose connections are counted in one process.
    """
    if means.ray is not None and slices:
        from vlm_datakit.runner.on_ray import on_ray

        yield partial(on_ray, cluster=means.ray, kept_open=means.kept_open)
        return
    workers = min(means.workers, len(slices)) if means.pipe is None else means.workers
    if any(file.is_pipe and not file.is_lines for file in job.plan.files):
        workers = 1
    if workers > 1 and job.plan.fetch is None:
        from vlm_datakit.runner.pool import piped_pool, pool  # one process needs no other

        many = pool if means.pipe is None else partial(piped_pool, pipe=means.pipe)
        yield partial(many, workers=workers, kept_open=means.kept_open)
        return
    with open_pictures(job.plan.fetch, job.plan.limits, means.fetched) as pictures:
        yield partial(inline, edges=Edges(means.pipe, pictures))


def default_workers(plan: Plan, row_bytes: float | None = None) -> int:
    """Return how many processes a plan is worth: all cores, but one for each share at most.

    A process takes a third of a second to start. In that time a core converts 128 MiB of large
    rows, which are pictures, or 40 MiB of texts in columns, or 30 MiB of other small ones, whose
    cost is their number. Rows that name their pictures say nothing of how much is to be read: all
    cores.

    Args:
        plan: What is to be done.
        row_bytes: About how large rows are; None: not known.
    """
    if plan.slice_bytes == NAMED_PICTURES_BYTES:
        return available_cores()
    is_small = row_bytes is not None and row_bytes < _SMALL_ROW_BYTES
    share = _SHARE_OF_LARGE_ROWS
    if is_small:
        share = _SHARE_OF_SMALL_ROWS if columns_of(plan) is None else _SHARE_OF_COLUMNS
    total = sum(file.size_bytes or 0 for file in plan.files)
    return max(1, min(available_cores(), total // share))


def available_cores() -> int:
    """Return how many cores this process may use, which may be fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
