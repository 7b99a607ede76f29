"""Row groups are fetched before their rows are asked for, and dropped when no more are.

The order of an epoch says which groups come when. They are fetched in the order of their first
use, as far ahead as the cache has room; a row that comes sooner than its group is fetched by
whoever reads it.
"""

from __future__ import annotations

import heapq
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from vlm_trainer.block_cache import BlockCache
from vlm_trainer.blocks import Block
from vlm_trainer.data import RenderedRows, ShardSet, Showing
from vlm_trainer.errors import VlmTrainerError
from vlm_trainer.shares import NO_ROW

if TYPE_CHECKING:
    import numpy as np

FETCHERS = 4


class Use(NamedTuple):
    """Where in an epoch a row group is used.

    Args:
        first: Place of its first row.
        last: Place of its last row.
        block: The group.
    """

    first: int
    last: int
    block: Block


def uses_of(shards: ShardSet, rows: Sequence[int]) -> list[Use]:
    """Return the row groups of an epoch that are fetched, in the order of their first use.

    Args:
        shards: The split.
        rows: Row numbers as they are asked for; ``NO_ROW`` where none is.
    """
    import numpy as np

    starts, blocks = shards.blocks()
    asked = np.asarray(rows, dtype=np.int64)
    places = np.flatnonzero(asked != NO_ROW)
    numbers = np.searchsorted(starts, asked[places], side="right") - 1
    # A row that comes again comes in another window: its group is fetched for each.
    numbers += len(blocks) * _times_before(asked[places])
    found, first = np.unique(numbers, return_index=True)
    last = len(numbers) - 1 - np.unique(numbers[::-1], return_index=True)[1]
    spans = zip(places[first].tolist(), places[last].tolist(), found.tolist(), strict=True)
    return [
        Use(start, end, block)
        for start, end, number in sorted(spans)
        if (block := blocks[number % len(blocks)]) is not None
    ]


def _times_before(rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Count for each place how often its row came before.

    Example:
        >>> import numpy as np
        >>> _times_before(np.array([7, 3, 7, 7, 3])).tolist()
        [0, 0, 1, 2, 1]
    """
    import numpy as np

    order = np.argsort(rows, kind="stable")
    begins = np.flatnonzero(np.diff(rows[order], prepend=-1))
    lengths = np.diff(begins, append=len(rows))
    times = np.empty_like(order)
    times[order] = np.arange(len(rows)) - np.repeat(begins, lengths)
    return times


class Fetching:
    """Threads that fetch what an epoch uses, as far ahead as the cache has room.

    Args:
        uses: In the order of their first use.
        cache: Where they go.
        slack: Places that may have been asked for and are not read yet: data workers are ahead.
    """

    def __init__(self, uses: Sequence[Use], cache: BlockCache, slack: int) -> None:
        self._waiting, self._cache, self._slack = deque(uses), cache, slack
        self._held: list[tuple[int, str, Block]] = []  # a heap by last use
        self._bytes, self._place, self._stopped = 0, 0, False
        self._moved = threading.Condition()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(FETCHERS)]
        for thread in self._threads:
            thread.start()

    def reach(self, place: int) -> None:
        """Say how far the epoch is."""
        with self._moved:
            self._place = place
            while self._held and self._held[0][0] + self._slack < place:
                _, key, block = heapq.heappop(self._held)
                self._bytes -= block.size
                if all(key != other for _, other, _ in self._held):
                    self._cache.drop(block)
            self._moved.notify_all()

    def stop(self) -> None:
        """End the threads, after what they are at."""
        with self._moved:
            self._stopped = True
            self._moved.notify_all()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while (block := self._next()) is not None:
            # What fails here fails again for whoever reads the row, and is said there.
            with suppress(VlmTrainerError, OSError):
                self._cache.hold(block)

    def _next(self) -> Block | None:
        with self._moved:
            while self._waiting and not self._stopped:
                _, last, block = self._waiting[0]
                if last < self._place:
                    self._waiting.popleft()
                elif self._bytes + block.size <= self._cache.capacity or not self._held:
                    self._waiting.popleft()
                    self._bytes += block.size
                    heapq.heappush(self._held, (last, block.key, block))
                    return block
                else:
                    self._moved.wait()
        return None


class AheadOrder:  # what torch calls a sampler
    """An order whose row groups are fetched before its rows are asked for.

    Args:
        order: Of all processes.
        seen: Says how many places of the coming epoch were seen before: nothing is fetched for
            these.
        rows: That it numbers.
        cache: Of their shards.
        slack: See `Fetching`.
    """

    def __init__(
        self,
        order: Any,
        seen: Callable[[], int],
        rows: RenderedRows,
        cache: BlockCache,
        slack: int,
    ) -> None:
        self.order, self.seen, self.rows, self.slack = order, seen, rows, slack
        self.cache = cache
        self._fetching: Fetching | None = None

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[Any]:
        self.stop()
        asked = list(self.order)
        fetching = self._fetching = self._fetched(asked)
        try:
            for place, one in enumerate(asked):
                fetching.reach(place)
                yield one
        finally:
            fetching.stop()

    def stop(self) -> None:
        """End what is under way."""
        if self._fetching:
            self._fetching.stop()

    def _fetched(self, asked: Sequence[Any]) -> Fetching:
        places = [one.place if isinstance(one, Showing) else one for one in asked]
        rows = [NO_ROW if place == NO_ROW else int(self.rows.kept[place]) for place in places]
        seen = min(self.seen(), len(rows))
        rows[:seen] = [NO_ROW] * seen
        return Fetching(uses_of(self.rows.shards, rows), self.cache, self.slack)
