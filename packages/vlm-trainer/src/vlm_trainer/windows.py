"""The order of rows that lie elsewhere: row groups in a shuffled row, rows shuffled by windows.

A shuffle over all rows would fetch a row group for every row. Here the groups of an epoch are
shuffled, cut into windows that fit into the cache, and the rows of a window are shuffled: each
group is fetched once an epoch, and the order is still known without reading anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vlm_trainer.blocks import Block, Blocks
from vlm_trainer.errors import UsageError
from vlm_trainer.order import epoch_order, kept_order, permutation

if TYPE_CHECKING:
    import numpy as np

MIB = 1024**2


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """How the rows of a split are shuffled.

    Args:
        starts: First row of each row group, and the end, int64 (B + 1,).
        sizes: Bytes of each, int64 (B,).
        most_bytes: Of the groups of a window together.
    """

    starts: np.ndarray[Any, Any]
    sizes: np.ndarray[Any, Any]
    most_bytes: int

    def order(self, epoch: int, seed: int | str) -> np.ndarray[Any, Any]:
        """Return the row numbers of an epoch in their order, each once, int64 (N,)."""
        import numpy as np

        groups = permutation(epoch, f"{seed}/groups", len(self.sizes))
        found = []
        for number, window in enumerate(self._cut(groups)):
            rows = np.concatenate([np.arange(*self.starts[at : at + 2]) for at in window])
            found.append(rows[permutation(epoch, f"{seed}/window/{number}", len(rows))])
        return np.concatenate([np.zeros(0, dtype=np.int64), *found])

    def numbers(self, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return for each row its window where groups come one after another, int64 (N,)."""
        import numpy as np

        of_group = np.zeros(len(self.sizes), dtype=np.int64)
        for number, window in enumerate(self._cut(np.arange(len(self.sizes)))):
            of_group[window] = number
        return of_group[np.searchsorted(self.starts, rows, side="right") - 1]

    def _cut(self, groups: np.ndarray[Any, Any]) -> Iterator[np.ndarray[Any, Any]]:
        first, held = 0, 0
        for at, size in enumerate(self.sizes[groups].tolist()):
            if at > first and held + size > self.most_bytes:
                yield groups[first:at]
                first, held = at, 0
            held += size
        if len(groups):
            yield groups[first:]


def windows_of(shards: Sequence[Blocks], most_bytes: int, rows: int) -> Windows:
    """Return the windows of a split.

    Args:
        shards: Its shards in order.
        most_bytes: Of a window.
        rows: How many were looked at; row groups behind them are not shown.
    """
    import numpy as np

    groups = [Block(shard, at) for shard in shards for at in range(len(shard.spans))]
    counts = [np.diff(shard.starts) for shard in shards]
    starts = np.cumsum(np.concatenate([[0], *counts]), dtype=np.int64)
    used = int(np.searchsorted(starts[:-1], rows))
    sizes = np.asarray([group.size for group in groups], dtype=np.int64)
    return Windows(starts[: used + 1], sizes[:used], most_bytes)


def stream_line(windows: Windows) -> str:
    """Say to a person how a folder is streamed."""
    return (
        f"stream  {windows.starts[-1]:,} rows in {len(windows.sizes):,} row groups, "
        f"{windows.sizes.sum() / MIB:,.3g} MiB, shuffled in windows of "
        f"{windows.most_bytes / MIB:,.3g} MiB"
    )


def check_fits(windows: Windows, where: str, cache_mib: int) -> None:
    """Refuse row groups that the cache cannot hold beside those fetched ahead.

    Raises:
        UsageError: With the size that can.
    """
    largest = int(windows.sizes.max(initial=0))
    if largest > windows.most_bytes:
        needed = -(-largest * cache_mib // windows.most_bytes)
        raise UsageError(
            f"{where}: row groups of up to {largest / MIB:.0f} MiB do not fit into a window; "
            f"--stream-cache-mib {needed} or more"
        )


def shuffled(
    epoch: int,
    seed: int | str,
    kept: Sequence[int] | np.ndarray[Any, Any],
    total_rows: int,
    windows: Windows | None,
) -> np.ndarray[Any, Any]:
    """Return an epoch's order of kept rows, over all of them or by windows.

    Returns:
        int64, positions *within kept*, as `vlm_trainer.order.epoch_order`.
    """
    if windows is None:
        return epoch_order(epoch, seed, kept, total_rows)
    return kept_order(windows.order(epoch, seed), kept)
