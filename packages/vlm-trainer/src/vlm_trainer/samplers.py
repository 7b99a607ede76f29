"""The order of rows as torch asks for it: whole, or filled up for several processes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from vlm_trainer.data import Showing
from vlm_trainer.epochs import Epochs
from vlm_trainer.shares import deal


class EpochOrder(torch.utils.data.Sampler[Any]):  # a framework hook
    """The seekable order of rows as torch asks for it; resuming skips numbers, not rows.

    With ``says_when`` it yields a `Showing`, so that a data worker knows the epoch.
    """

    def __init__(self, epochs: Epochs, *, says_when: bool = False) -> None:
        self.epochs, self.says_when = epochs, says_when
        self.epoch = self.seen = 0
        self.ahead = 0  # steps, see `vlm_trainer.position`

    def set_epoch(self, epoch: int, steps: int = 0) -> None:
        """Choose the epoch whose order comes next, and how many of its steps were done before."""
        self.epoch, self.seen = epoch, steps * self.epochs.step_rows

    def __iter__(self) -> Iterator[Any]:
        rows, times = (numbers.tolist() for numbers in self.epochs.shown(self.epoch))
        return map(Showing, times, rows) if self.says_when else iter(rows)

    def __len__(self) -> int:
        return len(self.epochs)


class SharedOrder(torch.utils.data.Sampler[Any]):  # a framework hook
    """An order filled up for several processes, as `vlm_trainer.shares.deal` does it."""

    def __init__(self, order: EpochOrder, batch_rows: int, processes: int) -> None:
        self.order, self.batch_rows, self.processes = order, batch_rows, processes

    def __iter__(self) -> Iterator[Any]:
        return iter(deal(list(self.order), self.batch_rows, self.processes))

    def __len__(self) -> int:
        places = self.batch_rows * self.processes
        return -(-len(self.order) // places) * places
