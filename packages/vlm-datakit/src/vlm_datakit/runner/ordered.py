"""Answers in the order of their tasks, which come from a stream and are too many to hold."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, Generic

from vlm_datakit.runner.processes import Crew, Work
from vlm_datakit.runner.tries import Task
from vlm_datakit.runner.worker import Answer


def in_order(
    work: Work[Task],
    tasks: Iterator[Task],
    workers: int,
    hear: Callable[[Task, Any], object] | None = None,
) -> Generator[Any, None, None]:
    """Have tasks done by processes and yield the answers in the order of the tasks.

    Two tasks for each process are held at most, from the moment they are taken to the one when
    their answer is.

    Args:
        work: What the processes do.
        tasks: Taken in a thread, so that a slow source holds up nobody.
        workers: How many processes at most.
        hear: Called with whatever else is said of a task; None: its process was lost.

    Raises:
        SourceError: if a task kills its process three times.
        Exception: what taking or doing a task raised, in its place.
    """
    with closing(Crew(work, workers)) as crew, closing(_Feed(tasks, 2 * workers)) as feed:
        answers: dict[int, Any] = {}
        turns = deque[int]()
        while crew.is_busy or not feed.is_over:
            for task, message in crew.messages(*feed.bells):
                if isinstance(message, (Answer, Exception)):
                    answers[task.number] = message
                elif hear is not None:
                    hear(task, message)
            for task in feed.taken():
                turns.append(task.number)
                crew.add(task)
            if feed.is_over:
                crew.expect_no_more()
            while turns and turns[0] in answers:
                answer = answers.pop(turns.popleft())
                if isinstance(answer, Exception):
                    raise answer
                yield answer.value
                feed.allow_one()
        if feed.error is not None:
            raise feed.error


class _Feed(Generic[Task]):
    """A thread that takes tasks, so many ahead, and rings a bell for each and at the end.

    Attributes:
        is_over: Whether all tasks have been handed on.
        error: What ended them too early.
    """

    def __init__(self, tasks: Iterator[Task], most: int) -> None:
        self.is_over = False
        self.error: Exception | None = None
        self._tasks, self._taken = tasks, deque[Task | None]()
        self._allowed = threading.Semaphore(most)
        self._bell, self._rope = Pipe(duplex=False)
        self._is_closed = False
        threading.Thread(target=self._run, daemon=True).start()

    @property
    def bells(self) -> list[Connection]:
        """Return what is ready when a task has come."""
        return [] if self.is_over else [self._bell]

    def taken(self) -> Iterator[Task]:
        """Yield the tasks that have come."""
        while not self.is_over and self._bell.poll():
            self._bell.recv_bytes()
            if (task := self._taken.popleft()) is None:
                self.is_over = True
            else:
                yield task

    def allow_one(self) -> None:
        """Let one more task be taken."""
        self._allowed.release()

    def close(self) -> None:
        """Take no more tasks; a thread that waits for a slow source ends when that does."""
        self._is_closed = True
        self._bell.close()
        self._allowed.release()

    def _run(self) -> None:
        with self._rope, suppress(OSError):  # nobody hears the bell any more
            while self._allowed.acquire() and not self._is_closed:
                task = self._next()
                self._taken.append(task)
                self._rope.send_bytes(b"1")
                if task is None:
                    return

    def _next(self) -> Task | None:
        try:
            return next(self._tasks, None)
        except Exception as error:  # raised by the consumer
            self.error = error
            return None
