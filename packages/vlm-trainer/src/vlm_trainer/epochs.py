"""Which rows each epoch shows and in which order: one folder or a mix, as shuffled or grouped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vlm_trainer.config import TrainConfig
from vlm_trainer.grouping import grouped, padding_share
from vlm_trainer.lengths import Lengths
from vlm_trainer.mixing import Part, Shown, mixed_order
from vlm_trainer.windows import Windows, shuffled

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class Epochs:
    """The order of every epoch; entering one needs nothing of those before.

    Args:
        kept: Row numbers in rising order.
        total_rows: Rows of the split, kept or not.
        seed: Any integer.
        parts: The folders of a mix; none for a single one.
        widths: Tokens of each kept row as padding sees it; None when order ignores them.
        step_rows: Rows of a step, over all batches and processes.
        windows: By which the rows are shuffled; None for all at once.
    """

    kept: Sequence[int] | np.ndarray[Any, Any]
    total_rows: int
    seed: int
    parts: tuple[Part, ...] = ()
    widths: np.ndarray[Any, Any] | None = None
    step_rows: int = 1
    windows: Windows | None = None

    def __len__(self) -> int:
        return sum(part.shown for part in self.parts) if self.parts else len(self.kept)

    def shown(self, epoch: int) -> Shown:
        """Return an epoch's rows, as positions within ``kept``."""
        shown = self._shuffled(epoch)
        if self.widths is None:
            return shown
        places = grouped(epoch, self.seed, shown.rows, self.widths, self.step_rows)
        return Shown(shown.rows[places], shown.times[places])

    def _shuffled(self, epoch: int) -> Shown:
        if self.parts:
            return mixed_order(epoch, self.seed, self.parts)
        rows = shuffled(epoch, self.seed, self.kept, self.total_rows, self.windows)
        return Shown(rows, rows * 0 + epoch)


def epochs_of(
    config: TrainConfig, lengths: Lengths, processes: int, *, by_length: bool | None = None
) -> Epochs:
    """Return the epochs of a run.

    Args:
        config: Seed, batches, grouping.
        lengths: The rows that are kept.
        processes: Of which each takes its own batches.
        by_length: Instead of what the config says.
    """
    groups = config.data.group_by_length if by_length is None else by_length
    widths = lengths.widths if groups else None
    return Epochs(
        lengths.rows,
        lengths.total_rows,
        config.schedule.seed,
        lengths.parts,
        widths,
        step_rows(config, processes),
        lengths.windows,
    )


def step_rows(config: TrainConfig, processes: int) -> int:
    """Return the rows of a whole step, over all its batches and processes."""
    schedule = config.schedule
    batch = schedule.per_device_train_batch_size * schedule.gradient_accumulation_steps
    return batch * processes


def epoch_padding(config: TrainConfig, lengths: Lengths, processes: int) -> tuple[float, float]:
    """Return the share of padding in the first epoch: as shuffled, and by length."""
    batch = config.schedule.per_device_train_batch_size
    sides = 2 if config.learning.method == "dpo" else 1
    if config.data.packing or batch * sides == 1:
        return 0.0, 0.0
    rows = [
        epochs_of(config, lengths, processes, by_length=by_length).shown(0).rows
        for by_length in (False, True)
    ]
    shuffled, by_length = (
        padding_share(lengths.widths[order], lengths.tokens[order], batch, sides) for order in rows
    )
    return shuffled, by_length
