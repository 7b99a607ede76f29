"""Tasks in many processes, any of which may be killed.

Processes are started and watched here rather than by concurrent.futures, whose pool breaks
whole when one of them dies. They are new interpreters, not forks, and import no script.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Generic

from vlm_datakit.lean import is_lean
from vlm_datakit.runner.line import Line
from vlm_datakit.runner.tries import Task, Tries
from vlm_datakit.runner.worker import Answer, Ready

_FAREWELL_S = 5.0
# -P keeps the current folder's modules out until sys.path is the parent's.
_BEGIN = """
import sys
line, module, is_lean, *sys.path = sys.argv[1:]
from vlm_datakit.runner.worker import begin
begin(int(line), module, is_lean=is_lean == "lean")
"""


@dataclass(frozen=True, slots=True)
class Work(Generic[Task]):
    """What the processes of a crew do.

    Each runs ``serve(line)`` of ``module``, a full name, and gets ``begin`` first. ``deadly``
    says of a task and of how its process ended, a clause, what stands in the error after three
    losses. ``kept_open`` are descriptors that each holds as long as it lives. When the crew is
    closed early, each is killed, after a SIGTERM and ``farewell_s`` seconds if it has something
    to put away.
    """

    module: str
    begin: object
    deadly: Callable[[Task, str], str]
    farewell_s: float = 0.0
    kept_open: tuple[int, ...] = ()


@dataclass(slots=True)
class _Worker(Generic[Task]):
    process: subprocess.Popen[bytes]
    task: Task | None
    is_ready: bool = False


class Crew(Generic[Task]):
    """Processes by the line to each; started as tasks come, none is left when it is closed.

    The task of a killed process is done again, the third time alone, so that what it needs is
    not what others take.

    Args:
        work: What they do.
        size: How many at most.
    """

    def __init__(self, work: Work[Task], size: int) -> None:
        self._work, self._size = work, size
        self._tries = Tries[Task](work.deadly)
        self._workers: dict[Line, _Worker[Task]] = {}
        self._expects_more = True

    @property
    def is_busy(self) -> bool:
        """Whether a task is being done or waits."""
        return bool(self._tries or self._busy())

    def add(self, task: Task) -> None:
        """Have one more task done."""
        self._tries.add(task)
        self._hand_out()

    def expect_no_more(self) -> None:
        """Dismiss each process from now on as soon as nothing waits for it."""
        self._expects_more = False
        self._hand_out()

    def messages(self, *others: Connection) -> Iterator[tuple[Task, Any]]:
        """Wait until a process says something, or another line is ready.

        Yields:
            A task with what was said of it: `Answer` when it is done, an exception, whatever a
            process tells meanwhile, or None if it was killed and another one will do it.

        Raises:
            SourceError: if a task kills its process three times.
        """
        busy = self._busy()
        ready = wait([*(line.fileno() for line in busy), *others])
        for line in [line for line in busy if line.fileno() in ready]:
            task, message = busy[line], _heard(line)
            if isinstance(message, Ready):
                self._workers[line].is_ready = True
                _send(line, task)
                continue
            if message is None:
                self._lose(line, task)
            elif isinstance(message, (Answer, Exception)):
                self._workers[line].task = None
                self._hand_out()
            yield task, message

    def close(self) -> None:
        """Kill all processes and see them dead."""
        if self._work.farewell_s:
            self._bid_farewell()
        for worker in self._workers.values():
            worker.process.kill()
        for line in [*self._workers]:
            self._dismiss(line)

    def _bid_farewell(self) -> None:
        for worker in self._workers.values():
            worker.process.terminate()
        for worker in self._workers.values():
            with suppress(subprocess.TimeoutExpired):
                worker.process.wait(self._work.farewell_s)

    def _busy(self) -> dict[Line, Task]:
        workers = self._workers.items()
        return {line: worker.task for line, worker in workers if worker.task is not None}

    def _idle(self) -> list[Line]:
        return [line for line, worker in self._workers.items() if worker.task is None]

    def _hand_out(self) -> None:
        while (task := self._tries.next(len(self._busy()), self._size)) is not None:
            idle = self._idle()
            line = idle[0] if idle else self._hired()
            self._workers[line].task = task
            if self._workers[line].is_ready:
                _send(line, task)
        if self._tries.has_suspects or not self._expects_more:
            for line in self._idle():
                self._dismiss(line)

    def _hired(self) -> Line:
        process, line = _started(self._work.module, self._work.kept_open)
        self._workers[line] = _Worker(process, None)
        _send(line, self._work.begin)
        return line

    def _lose(self, line: Line, task: Task) -> None:
        """Let a task whose process was killed be done by another."""
        self._tries.lose(task, _ending(self._dismiss(line)))
        self._hand_out()

    def _dismiss(self, line: Line) -> int:
        process = self._workers.pop(line).process
        line.close()
        process.kill()
        with suppress(subprocess.TimeoutExpired):  # it hangs in the kernel
            process.wait(_FAREWELL_S)
        return process.returncode or 0


def _send(line: Line, message: object) -> None:
    with suppress(OSError):  # dead already: its line ends, and is heard
        line.send(message)


def _heard(line: Line) -> Any:
    """Return what a process says, or None if it is dead."""
    try:
        return line.recv()
    except (EOFError, OSError):
        return None


def _started(module: str, kept_open: tuple[int, ...]) -> tuple[subprocess.Popen[bytes], Line]:
    """Start a process; what it prints goes to standard error."""
    end, other = socket.socketpair()
    lean = "lean" if is_lean() else "whole"
    with other, _uninterrupted():
        process = subprocess.Popen(  # noqa: S603 - this interpreter, our own words
            [sys.executable, "-P", "-c", _BEGIN, str(other.fileno()), module, lean, *sys.path],
            stdin=subprocess.DEVNULL,
            stdout=2,
            stderr=2,
            pass_fds=(other.fileno(), *kept_open),
        )
    return process, Line(end)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Keep Ctrl-C from processes started meanwhile: it is their parent who ends them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ending(status: int) -> str:
    if status >= 0:
        return f"ended with {status}"
    known = {number.value: number.name for number in signal.Signals}
    name = known.get(-status, f"signal {-status}")
    return f"was killed by {name}" + (" (no memory left?)" if name == "SIGKILL" else "")
