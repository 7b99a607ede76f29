"""Slices in many processes, any of which may be killed.

Processes are started and watched here rather than by concurrent.futures, whose pool breaks
whole when one of them dies. They are new interpreters, not forks, and import no script.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait

from vlm_datakit.errors import SourceError
from vlm_datakit.plan import Slice
from vlm_datakit.runner.progress import REPORTS_EVERY_S, Report, SliceProgress
from vlm_datakit.runner.work import Job
from vlm_datakit.shards.manifest import Receipt

_TRIES = 3
_FAREWELL_S = 5.0
# sys.path comes over the line: -P keeps the current folder's modules out until then.
_BEGIN = """
import sys
from multiprocessing.connection import Connection
line = Connection(int(sys.argv[1]))
sys.path[:] = line.recv()
from vlm_datakit.runner.worker import serve
serve(line)
"""


def pool(
    job: Job,
    slices: Sequence[Slice],
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
    with closing(_Crew(job, slices, workers, tuple(kept_open))) as crew:
        yield from crew.receipts(report)


@dataclass(frozen=True, slots=True)
class _Worker:
    process: subprocess.Popen[bytes]
    slice: Slice


class _Crew:
    """The processes of a pool, by the line to each; none is left when it is closed."""

    def __init__(
        self, job: Job, slices: Sequence[Slice], size: int, kept_open: tuple[int, ...]
    ) -> None:
        # Its slices tell a worker all of the files that it has to know.
        self._job = replace(job, plan=replace(job.plan, files=()))
        self._size, self._kept_open = size, kept_open
        self._waiting, self._suspects = deque(slices), deque[Slice]()
        self._losses = Counter[int]()
        self._workers: dict[Connection, _Worker] = {}

    def receipts(self, report: Report) -> Iterator[Receipt]:
        """Keep the workers busy until nothing waits."""
        self._hire()
        while self._workers:
            ready = wait([*self._workers])
            for line in [line for line in self._workers if line in ready]:
                message = _heard(line)
                if isinstance(message, Exception):
                    raise message
                if isinstance(message, Receipt):
                    yield message
                    self._go_on(line)
                    continue
                report(self._workers[line].slice.number, message)
                if message is None:
                    self._replace(line)

    def close(self) -> None:
        """Kill all workers and see them dead."""
        for worker in self._workers.values():
            worker.process.kill()
        for line in [*self._workers]:
            self._dismiss(line)

    def _next(self, others: int) -> Slice | None:
        """Return what to do next; a slice that lost two workers waits until no other is done."""
        if self._waiting:
            return self._waiting.popleft()
        return self._suspects.popleft() if self._suspects and not others else None

    def _hire(self) -> None:
        while len(self._workers) < self._size:
            if (slice_ := self._next(others=len(self._workers))) is None:
                return
            process, line = _started(self._kept_open)
            self._workers[line] = _Worker(process, slice_)
            with suppress(OSError):  # dead already: its line ends, and is heard
                line.send(sys.path)
                line.send((self._job, REPORTS_EVERY_S * self._size))
                line.send(slice_)

    def _go_on(self, line: Connection) -> None:
        if (slice_ := self._next(others=len(self._workers) - 1)) is None:
            self._dismiss(line)
            return
        self._workers[line] = replace(self._workers[line], slice=slice_)
        with suppress(OSError):
            line.send(slice_)

    def _replace(self, line: Connection) -> None:
        """Let a slice whose worker was killed be done by another."""
        slice_ = self._workers[line].slice
        status = self._dismiss(line)
        self._losses[slice_.number] += 1
        if self._losses[slice_.number] == _TRIES:
            raise SourceError(_deadly(slice_, status))
        is_suspect = self._losses[slice_.number] == _TRIES - 1
        (self._suspects if is_suspect else self._waiting).append(slice_)
        self._hire()

    def _dismiss(self, line: Connection) -> int:
        process = self._workers.pop(line).process
        line.close()
        process.kill()
        with suppress(subprocess.TimeoutExpired):  # it hangs in the kernel
            process.wait(_FAREWELL_S)
        return process.returncode or 0


def _heard(line: Connection) -> Receipt | SliceProgress | Exception | None:
    """Return what a worker says, or None if it is dead."""
    try:
        message: Receipt | SliceProgress | Exception = line.recv()
    except (EOFError, OSError):
        return None
    return message


def _started(kept_open: tuple[int, ...]) -> tuple[subprocess.Popen[bytes], Connection]:
    """Start a worker; what it prints goes to standard error."""
    line, other = Pipe()
    with other, _uninterrupted():
        process = subprocess.Popen(  # noqa: S603 - this interpreter, our own words
            [sys.executable, "-P", "-c", _BEGIN, str(other.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=2,
            stderr=2,
            pass_fds=(other.fileno(), *kept_open),
        )
    return process, line


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Keep Ctrl-C from processes started meanwhile: it is their parent who ends them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _deadly(slice_: Slice, status: int) -> str:
    how = f"ended with {status}"
    if status < 0:
        name = signal.Signals(-status).name
        how = f"was killed by {name}" + (" (no memory left?)" if name == "SIGKILL" else "")
    return (
        f"{slice_.file.name}: bytes {slice_.start:,} to {slice_.end:,}: the worker that reads them "
        f"{how}, {_TRIES} times, the last time alone; all slices done are kept: look at these "
        "rows, or give it more memory, and run again"
    )
