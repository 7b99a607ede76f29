"""What is to be done, and done again when a worker is lost: one rule for every engine."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from vlm_datakit.errors import SourceError

_TRIES = 3


class Numbered(Protocol):
    """What can be a task: it pickles, and has a number of its own."""

    @property
    def number(self) -> int:
        """Return what no other task is called."""


Task = TypeVar("Task", bound=Numbered)


class Tries(Generic[Task]):
    """Tasks that wait for a worker.

    A task that lost two workers waits until no other is done, so that what it needs is not
    what others take.

    Args:
        deadly: Says of a task and of how its workers ended, a clause, what stands in the
            error after three losses.
    """

    def __init__(self, deadly: Callable[[Task, str], str]) -> None:
        self._deadly = deadly
        self._waiting, self._suspects = deque[Task](), deque[Task]()
        self._losses = Counter[int]()

    @property
    def has_suspects(self) -> bool:
        """Whether a task waits to be done alone."""
        return bool(self._suspects)

    def __bool__(self) -> bool:
        return bool(self._waiting or self._suspects)

    def add(self, task: Task) -> None:
        """Let a task wait behind the others."""
        self._waiting.append(task)

    def next(self, busy: int, most: int) -> Task | None:
        """Return what to do next, if anything may be begun now.

        Args:
            busy: How many are being done.
            most: How many may be.
        """
        if self._waiting:
            return self._waiting.popleft() if busy < most else None
        return self._suspects.popleft() if self._suspects and not busy else None

    def lose(self, task: Task, ending: str) -> None:
        """Let a task whose worker was lost be done by another.

        Raises:
            SourceError: if it was its third: the rows or the machine are at fault.
        """
        self._losses[task.number] += 1
        if self._losses[task.number] == _TRIES:
            times = f"{ending}, {_TRIES} times, the last time alone"
            raise SourceError(self._deadly(task, times))
        is_suspect = self._losses[task.number] == _TRIES - 1
        (self._suspects if is_suspect else self._waiting).append(task)
