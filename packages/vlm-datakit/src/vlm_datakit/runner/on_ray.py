"""Slices on a Ray cluster: a task does one slice whole, and its receipt comes back.

Who drives the cluster is a process of its own: Ray writes to standard output, takes over
signals, and ends the process whose cluster is lost. It is imported there and nowhere else.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from vlm_datakit.errors import RemoteError, UsageError
from vlm_datakit.plan import Slice
from vlm_datakit.runner.job import Job
from vlm_datakit.runner.processes import Crew, Work
from vlm_datakit.runner.progress import Report
from vlm_datakit.runner.worker import Answer
from vlm_datakit.shards.manifest import Receipt

_DRIVER = "vlm_datakit.runner.ray_driver"
_FAREWELL_S = 10.0  # to cancel tasks, and to end a cluster that was started for the import


@dataclass(frozen=True, slots=True)
class RayCluster:
    """The Ray cluster that does the slices of an import.

    ``address`` is as `ray.init` takes it; None: what RAY_ADDRESS says, else a cluster that
    runs on this machine, else one that is started for the import. ``most`` is how many slices
    are done at once; None: as many as the cluster has CPUs.
    """

    address: str | None = None
    most: int | None = None


def check_installed() -> None:
    """Hold Ray to be installed; it is not imported.

    Raises:
        UsageError: naming the extra, if it is not.
    """
    if find_spec("ray") is None:
        raise UsageError("--engine ray needs pip install 'vlm-datakit[ray]'")


def on_ray(
    job: Job,
    slices: Iterable[Slice],
    report: Report,
    *,
    cluster: RayCluster,
    kept_open: Sequence[int] = (),
) -> Generator[Receipt, None, None]:
    """Do slices in a Ray cluster; receipts come in the order in which they are done.

    The slice of a lost worker or node is done again, under the same rule as in the pool. All
    nodes see the work folder and the sources at the paths that they have here. Nobody hears
    how far a slice is until it is done.

    Only processes of this machine hold the lock of the output folder. A task whose driver was
    killed is ended by Ray; if Ray is late, or the task's node is cut off, it may finish its
    slice beside a rerun. That does no harm: each try has temporary names of its own, whole
    files are renamed into place with the same bytes, and the receipt comes last.

    Args:
        job: The same for all slices.
        slices: What to do, from files.
        report: Hears of lost workers.
        cluster: Where, and how many at once.
        kept_open: Descriptors that the driving process holds as long as it lives.

    Raises:
        RemoteError: if the cluster is out of reach, or lost.
        SourceError: if a slice loses its worker three times, or a node sees another file.
        UsageError: if a node has other versions.
        Exception: what a task raised, as if it had been raised here.
    """
    begin = (_anywhere(job), cluster)
    work = Work(_DRIVER, begin, _lost_driver, _FAREWELL_S, tuple(kept_open))
    with closing(Crew(work, 1)) as crew:
        crew.add(Errand(0, tuple(map(_slice_anywhere, slices))))
        crew.expect_no_more()
        while crew.is_busy:
            for errand, message in crew.messages():
                if isinstance(message, Exception):
                    raise message
                if message is None:
                    raise RemoteError(_lost_driver(errand, "ended"), retryable=True)
                if isinstance(message, Receipt):
                    yield message
                elif not isinstance(message, Answer):
                    report(message, None)


@dataclass(frozen=True, slots=True)
class Errand:
    """All that the driving process is asked to do."""

    number: int
    slices: tuple[Slice, ...]


def _lost_driver(_: Errand, ending: str) -> str:
    return f"the process that drives Ray {ending}, as it does when its cluster is lost; run again"


def _anywhere(job: Job) -> Job:
    """Return a job that means the same in any current folder.

    Its slices tell a task all of the files that it has to know.
    """
    roots = tuple(str(Path(root).absolute()) for root in job.plan.image_roots)
    plan = replace(job.plan, files=(), image_roots=roots)
    return replace(job, plan=plan, folder=job.folder.absolute())


def _slice_anywhere(slice_: Slice) -> Slice:
    if slice_.file.is_remote:
        return slice_
    return replace(slice_, file=replace(slice_.file, path=str(Path(slice_.file.path).absolute())))
