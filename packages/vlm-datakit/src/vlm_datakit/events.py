"""What a run tells the outside while it goes and when it ends. Plain values, pushed forward."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: rows seen, rows refused, input bytes done and to do (None: unknown)."""

    rows: int
    rejected: int
    done_bytes: int
    total_bytes: int | None


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
