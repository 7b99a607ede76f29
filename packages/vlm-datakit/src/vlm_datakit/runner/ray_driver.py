"""The process that drives a Ray cluster: it has tasks do slices, and cancels them if it must.

A crew of one process, see `vlm_datakit.runner.on_ray`: when its parent ends, so does it, and
Ray ends the tasks of a driver that is gone.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, NoReturn

from vlm_datakit.errors import RemoteError, UsageError
from vlm_datakit.plan import Slice
from vlm_datakit.runner.job import Job
from vlm_datakit.runner.line import Line
from vlm_datakit.runner.on_node import SAME_VERSIONS, do_slice
from vlm_datakit.runner.on_ray import Errand
from vlm_datakit.runner.pool import deadly
from vlm_datakit.runner.tries import Tries
from vlm_datakit.runner.worker import attend
from vlm_datakit.shards.manifest import Receipt

if TYPE_CHECKING:
    from ray import ObjectRef

_REACHED_WITHIN_S = 5.0
_CANCELLED_WITHIN_S = 5.0
_TASKS_A_CORE = 2  # one at work and one on its way


def serve(line: Line) -> NoReturn:
    """Drive a cluster; send receipts, and the numbers of slices whose worker was lost.

    Args:
        line: Brings a job with its cluster, and then the one errand.
    """
    job, cluster = line.recv()
    # Ray tells of lost workers here whatever it is asked to; they are told of by us.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.chdir(job.folder)  # Ray lets workers import from the driver's folder: there is nothing

    def drive(errand: Errand) -> None:
        with _connected(cluster.address), closing(_Tasks(job, cluster.most)) as tasks:
            for message in tasks.messages(errand.slices):
                line.send(message)

    attend(line, drive)


@contextmanager
def _connected(address: str | None) -> Iterator[None]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    _check_reachable(address or os.environ.get("RAY_ADDRESS", ""))
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            include_dashboard=False,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise _unreachable(address, " ".join(str(error).split())) from error
    # Ray's own handler prints where it was called.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(number))
    try:
        yield
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Look for HOST:PORT before Ray does, which takes minutes to give up."""
    host, colon, port = address.rpartition(":")
    if not (colon and port.isdigit() and "/" not in host):
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _REACHED_WITHIN_S).close()
    except OSError as error:
        raise _unreachable(address, str(error)) from error


def _unreachable(address: str | None, why: str) -> RemoteError:
    at = f" at {address}" if address else ""
    return RemoteError(f"cannot connect to Ray{at}: {why}", retryable=True)


class _Tasks:
    """The tasks of one import in the cluster; none is left when it is closed.

    Ray retries nothing: it does not tell of it, and knows no try that is alone.
    """

    def __init__(self, job: Job, most: int | None) -> None:
        import ray

        self._job, self._most = job, most
        self._do = ray.remote(do_slice).options(num_cpus=1, max_retries=0, name="vlm-datakit")
        self._tries = Tries(deadly)
        self._going: dict[ObjectRef[Receipt | Exception], Slice] = {}

    def messages(self, slices: Sequence[Slice]) -> Iterator[Receipt | int]:
        """Yield receipts, and the numbers of slices whose worker was lost."""
        import ray

        for slice_ in slices:
            self._tries.add(slice_)
        self._hand_out()
        while self._going:
            (done, *_), _ = ray.wait([*self._going])
            slice_, outcome = self._going.pop(done), _outcome(done)
            if isinstance(outcome, Exception):
                raise outcome
            if isinstance(outcome, str):
                self._tries.lose(slice_, outcome)
                yield slice_.number
            else:
                yield outcome
            self._hand_out()

    def close(self) -> None:
        """Cancel what is going on, and wait a little until it has ended."""
        import ray

        going = [*self._going]
        for task in going:
            ray.cancel(task, force=True)
        if going:
            ray.wait(going, num_returns=len(going), timeout=_CANCELLED_WITHIN_S)

    def _hand_out(self) -> None:
        most = self._most or _room()
        while (slice_ := self._tries.next(len(self._going), most)) is not None:
            task = self._do.remote(dict(self._job.plan.versions), self._job, slice_)
            self._going[task] = slice_


def _room() -> int:
    """Return how many tasks the cluster has use for; nodes may come and go."""
    import ray

    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return max(1, _TASKS_A_CORE * int(resources.get("CPU", 0)))


def _outcome(task: ObjectRef[Receipt | Exception]) -> Receipt | Exception | str:
    """Return what a task came to: an error of the slice, or in words how its worker ended."""
    import ray
    from ray import exceptions

    try:
        return ray.get(task)
    except exceptions.OutOfMemoryError:
        return "was killed by Ray (no memory left)"
    except (exceptions.NodeDiedError, exceptions.ObjectLostError):
        return "was lost with its node"
    except exceptions.WorkerCrashedError:
        return "was killed (no memory left?)"
    except exceptions.RayTaskError as error:
        return UsageError(f"a node cannot do slices: {_last_line(error)}; {SAME_VERSIONS}")
    except exceptions.RayError as error:  # such as that this machine's own node is lost
        return RemoteError(f"Ray: {_last_line(error)}", retryable=True)


def _last_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[-1].strip()
