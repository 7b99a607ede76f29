"""How many processes run, which one this is, and when to stop.

A launcher can start fewer processes than it was asked for and say nothing; it can also
go away without telling its children. Both are looked at here.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from vlm_trainer.config import ScheduleOptions
from vlm_trainer.errors import UsageError

ON_GPUS = "accelerate launch --multi_gpu --num_processes {count} -m vlm_trainer ..."
ON_CPU = f"ACCELERATE_USE_CPU=true {ON_GPUS} --use-cpu"
GPU_DRIVERS = (Path("/dev/nvidiactl"), Path("/dev/kfd"), Path("/dev/dxg"))  # the last under WSL


@dataclass(frozen=True, slots=True)
class Processes:
    """This process among its peers."""

    count: int = 1
    rank: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this process speaks and writes for all."""
        return self.rank == 0


def has_gpu(environment: Mapping[str, str]) -> bool:
    """Say whether this machine seems to have a GPU that may be used, without loading torch."""
    hidden = environment.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    on_cpu = environment.get("ACCELERATE_USE_CPU", "false").lower() in ("true", "1")
    return not hidden and not on_cpu and any(path.exists() for path in GPU_DRIVERS)


def find_processes(
    environment: Mapping[str, str], expected: int | None, *, on_gpu: bool = False
) -> Processes:
    """Read what the launcher set, and refuse when it started fewer than it was asked for.

    Args:
        environment: Such as ``os.environ``.
        expected: ``--expect-processes``, or None.
        on_gpu: Name the command line that starts them on GPUs, instead of on the CPU.

    Raises:
        UsageError: With the command line that does start them. ``accelerate launch --cpu
            --num_processes 2`` starts one process; MASTER_ADDR without WORLD_SIZE shows it.

    Example:
        >>> find_processes({"WORLD_SIZE": "2", "RANK": "1"}, None)
        Processes(count=2, rank=1)
    """
    count = int(environment.get("WORLD_SIZE") or 1)
    where, command = ("with GPUs", ON_GPUS) if on_gpu else ("on CPU", ON_CPU)
    if "MASTER_ADDR" in environment and "WORLD_SIZE" not in environment:
        raise UsageError(
            "the launcher was asked for several processes and started one; "
            f"{where} use: {command.format(count=expected or 'N')}"
        )
    if expected is not None and count != expected:
        raise UsageError(
            f"--expect-processes {expected}, but {count} run; "
            f"{where} use: {command.format(count=expected)}"
        )
    return Processes(count, int(environment.get("RANK") or 0))


def processes_of(schedule: ScheduleOptions, environment: Mapping[str, str]) -> Processes:
    """Find the processes of a run, as `find_processes` does, on the machine that this is."""
    on_gpu = not schedule.use_cpu and has_gpu(environment)
    return find_processes(environment, schedule.expect_processes, on_gpu=on_gpu)


class StopRequest:
    """Whether this run should save and end: SIGTERM came, or its launcher went away.

    `accelerate launch` forwards no SIGTERM; its child sees only that its parent is gone.
    Without a launcher a gone parent means nothing (a closed terminal, nohup).
    """

    def __init__(self, *, watch_parent: bool) -> None:
        self.signalled = False
        self._parent = os.getppid() if watch_parent else None

    def __bool__(self) -> bool:
        return self.signalled or (self._parent is not None and os.getppid() != self._parent)

    def note(self, _number: int, _frame: FrameType | None) -> None:
        """Take a signal; the training loop looks at the end of the step."""
        self.signalled = True


@contextmanager
def stop_request(environment: Mapping[str, str]) -> Iterator[StopRequest]:
    """Listen for SIGTERM while a run trains; what listened before listens again after."""
    launched = "ACCELERATE_MIXED_PRECISION" in environment or "LOCAL_RANK" in environment
    request = StopRequest(watch_parent=launched)
    before = signal.signal(signal.SIGTERM, request.note)
    try:
        yield request
    finally:
        signal.signal(signal.SIGTERM, before)
