"""How far a run is: slices report from whatever process, one listener hears of the whole."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from vlm_datakit.events import Listener, Progress
from vlm_datakit.plan import Slice
from vlm_datakit.runner.tally import Tally
from vlm_datakit.shards.manifest import Receipt

REPORTS_EVERY_S = 0.1  # of all slices together


@dataclass(frozen=True, slots=True)
class SliceProgress:
    """How far one slice is; small, because it crosses process borders."""

    rows: int = 0
    by_reason: Mapping[str, int] = field(default_factory=dict)
    done_bytes: int = 0


#: Called with the number of a slice, and how far it is; None: its worker was lost.
Report = Callable[[int, SliceProgress | None], None]


class Pulse:
    """Tells how far a slice is, but not at every row.

    Args:
        tell: Called with the progress.
        every_s: The least time between two calls.
    """

    def __init__(self, tell: Callable[[SliceProgress], None], every_s: float) -> None:
        self._tell, self._every_s = tell, every_s
        self._next = time.monotonic() + every_s

    def __call__(self, tally: Tally, done_bytes: int) -> None:
        """Hear of one row: the counts so far, and the bytes of the slice before it."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + self._every_s
            self._tell(SliceProgress(tally.rows_read, dict(tally.by_reason), done_bytes))


class Board:
    """Adds up what slices report, and passes it on.

    Args:
        listener: Who hears of it, if anybody.
        slices: All slices of this run or job that are known.
        is_open: Whether there will be more, of a pipe.
    """

    def __init__(
        self, listener: Listener | None, slices: Sequence[Slice], *, is_open: bool = False
    ) -> None:
        self._listener, self._slices = listener, len(slices)
        self._total = None if is_open else sum(slice_.size_bytes for slice_ in slices)
        self._going: dict[int, SliceProgress] = {}
        self._done = SliceProgress()
        self._resumed_bytes = self._slices_done = self._workers_lost = 0

    def resume(self, slice_: Slice, receipt: Receipt) -> None:
        """Count a slice that was done before; nobody is told yet."""
        self._resumed_bytes += slice_.size_bytes
        self._add(receipt, slice_.size_bytes)

    def finish(self, slice_: Slice, receipt: Receipt) -> None:
        """Count a slice that is done."""
        self._going.pop(slice_.number, None)
        self._add(receipt, slice_.size_bytes)
        self.tell()

    def finish_piped(self, receipt: Receipt) -> None:
        """Count a slice of a pipe; how many bytes it had is what it said last."""
        last = self._going.pop(receipt.slice, SliceProgress())
        self._slices += 1
        self._add(receipt, last.done_bytes)
        self.tell()

    def report(self, number: int, so_far: SliceProgress | None) -> None:
        """Hear how far a slice is; see `Report`."""
        if so_far is None:
            self._workers_lost += 1
            self._going.pop(number, None)
        else:
            self._going[number] = so_far
        self.tell()

    def tell(self) -> None:
        """Tell the listener how far all slices are."""
        if self._listener is None:
            return
        parts = [self._done, *self._going.values()]
        self._listener(
            Progress(
                sum(part.rows for part in parts),
                sum((Counter(dict(part.by_reason)) for part in parts), Counter[str]()),
                sum(part.done_bytes for part in parts),
                self._total,
                self._resumed_bytes,
                self._slices_done,
                self._slices,
                self._workers_lost,
            )
        )

    def _add(self, receipt: Receipt, done_bytes: int) -> None:
        self._slices_done += 1
        self._done = SliceProgress(
            self._done.rows + receipt.rows_read,
            Counter(self._done.by_reason) + Counter(receipt.by_reason),
            self._done.done_bytes + done_bytes,
        )
