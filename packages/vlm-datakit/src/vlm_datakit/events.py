"""What a run tells the outside while it goes and when it ends. Plain values, pushed forward."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is, over all its slices and processes.

    Input bytes are done or to do (``total_bytes`` None: unknown); ``resumed_bytes`` of them
    were done before this run began. ``workers_lost`` were killed, and their slices begun anew.
    """

    rows: int
    by_reason: Mapping[str, int]
    done_bytes: int
    total_bytes: int | None
    resumed_bytes: int = 0
    slices_done: int = 0
    slices: int = 1
    workers_lost: int = 0

    @property
    def rejected(self) -> int:
        """Rows refused so far."""
        return sum(self.by_reason.values())


Listener = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Summary:
    """How a run ended.

    ``by_reason`` and ``warnings`` count reason codes; ``finished_before`` says that the
    output was already whole and nothing was touched.
    """

    output: str
    rows: int
    written: int
    by_reason: Mapping[str, int] = field(default_factory=dict)
    warnings: Mapping[str, int] = field(default_factory=dict)
    splits: Mapping[str, int] = field(default_factory=dict)
    images: int = 0
    image_bytes: int = 0
    shard_bytes: int = 0
    rewritten: Mapping[str, int] = field(default_factory=dict)
    slices_resumed: int = 0
    slices: int = 0
    finished_before: bool = False

    @property
    def rejected(self) -> int:
        """Rows that were refused."""
        return sum(self.by_reason.values())


@dataclass(frozen=True, slots=True)
class Part:
    """How a job ended that does some of a run's slices and commits nothing.

    ``slices_mine`` were this job's, with the rows and refusals counted here;
    ``slices_done`` of all ``slices`` have a receipt, whoever did them.
    """

    output: str
    slices: int
    slices_mine: int
    slices_done: int
    slices_resumed: int
    rows: int
    by_reason: Mapping[str, int] = field(default_factory=dict)

    @property
    def rejected(self) -> int:
        """Rows that were refused."""
        return sum(self.by_reason.values())
