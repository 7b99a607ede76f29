"""Batches in processes of their own, so that a crash or a hang is seen and has a number."""

from __future__ import annotations

import faulthandler
import multiprocessing
import multiprocessing.connection
import os
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

MAX_STUCK_S = 60.0  # on one case, by the clock: the machine may be busy
POLL_S = 1.0
MAX_ADDRESS_BYTES = 8 << 30  # so that a bomb ends its process and not the machine
FORK = multiprocessing.get_context("fork")  # the seeds are made once


@dataclass(frozen=True, slots=True)
class Task:
    """Cases from ``start`` to before ``stop``; ``is_replay``: the one that was lost, alone."""

    start: int
    stop: int
    is_replay: bool = False


@dataclass(frozen=True, slots=True)
class Lost:
    """A process that did not come back, and the case it was at."""

    number: int
    kind: str
    words: str


@dataclass(slots=True)
class Worker:
    """A process at its task; ``number`` is the case seen last, ``since`` when first."""

    process: ForkProcess
    task: Task
    progress: Any
    number: int
    since: float


Run = Callable[[int, int, int, Any], Any]


def run_tasks(run: Run, seed: int, tasks: list[Task], jobs: int) -> Iterator[Any]:
    """Run tasks in that many processes; yield what they return, or what was lost.

    After a crash or a hang the rest of the batch runs again without the case, and the
    case alone.
    """
    left, workers = tasks[::-1], dict[Any, Worker]()
    while left or workers:
        while left and len(workers) < jobs:
            start(run, seed, left.pop(), workers)
        for pipe in ready_pipes(workers):
            worker = workers.pop(pipe)
            try:
                yield pipe.recv()
            except EOFError:
                worker.process.join()
                yield from lost(worker, f"exit code {worker.process.exitcode}", left)
            worker.process.join()
        for pipe, worker in list(workers.items()):
            if is_stuck(worker):
                worker.process.kill()
                del workers[pipe]
                yield from lost(worker, f"no end in {MAX_STUCK_S:.0f} s", left)


def ready_pipes(workers: dict[Any, Worker]) -> list[Any]:
    """Wait a moment for processes that have something to say or have ended."""
    return multiprocessing.connection.wait(list(workers), POLL_S)


def start(run: Run, seed: int, task: Task, workers: dict[Any, Worker]) -> None:
    progress = FORK.RawValue("q", task.start)
    receiver, sender = FORK.Pipe(duplex=False)
    process = FORK.Process(target=work, args=(run, seed, task, progress, sender))
    process.start()
    sender.close()  # or the end of the process would not be the end of the pipe
    workers[receiver] = Worker(process, task, progress, -1, time.monotonic())


def work(run: Run, seed: int, task: Task, progress: Any, sender: Any) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MAX_ADDRESS_BYTES, MAX_ADDRESS_BYTES))
    faulthandler.enable(os.fdopen(os.dup(2), "w"))
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)  # libtiff talks about every damaged file
    sender.send(run(seed, task.start, task.stop, progress))


def is_stuck(worker: Worker) -> bool:
    """Note at which case a process is; say whether it is there for too long."""
    if worker.number != worker.progress.value:
        worker.number, worker.since = worker.progress.value, time.monotonic()
    return time.monotonic() - worker.since > MAX_STUCK_S


def lost(worker: Worker, words: str, left: list[Task]) -> Iterator[Lost]:
    """Put what remains of a lost batch back; the lost case alone is run again."""
    number, task = worker.progress.value, worker.task
    kind = "lost again, alone" if task.is_replay else "lost"
    yield Lost(number, kind, words)
    if task.is_replay:
        return
    parts = [(task.start, number), (number + 1, task.stop)]
    left += [Task(start, stop) for start, stop in parts if start < stop]
    left.append(Task(number, number + 1, is_replay=True))
