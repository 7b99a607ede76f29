"""What each process gets of an epoch: every row once, and as many batches as the others.

accelerate deals out batches in turn and fills the last ones with rows that were shown already.
Here the rows that do not fill a batch everywhere are dealt out evenly instead; a process that
gets none of them computes a batch that counts nothing, since the others wait for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

NO_ROW = -1  # an index that stands for no row
STANDS_IN = "stands_in"  # key of a batch of pairs that counts nothing; others have no labels


def deal(order: Sequence[int], batch_rows: int, processes: int) -> list[int]:
    """Fill an order up so that whole batches can be dealt out in turn.

    Args:
        order: Rows of an epoch.
        batch_rows: Places of a batch.
        processes: The first batch is the first's, the next the second's, and so on.

    Returns:
        A multiple of ``batch_rows * processes`` places, with ``NO_ROW`` where none is.

    Example:
        >>> deal([7, 5, 3, 9, 1], batch_rows=2, processes=2)
        [7, 5, 3, 9, 1, -1, -1, -1]
        >>> deal([7, 5, 3], batch_rows=2, processes=2)
        [7, 3, 5, -1]
    """
    full = len(order) - len(order) % (batch_rows * processes)
    dealt, rest = list(order[:full]), order[full:]
    for process in range(processes if rest else 0):
        share = rest[process::processes]
        dealt += [*share, *[NO_ROW] * (batch_rows - len(share))]
    return dealt


class Blank(NamedTuple):
    """A picture of one token.

    Args:
        token_id: Of the picture.
        patches: Of the token.
        values: Of a patch.
    """

    token_id: int
    patches: int
    values: int


def with_blank(batch: Mapping[str, Any], blank: Blank) -> dict[str, Any]:
    """Put a blank picture behind the end of the first row of a batch without pictures.

    Attention is causal and the token has no label: no text sees it, and no loss.

    Args:
        batch: As `vlm_trainer.collate.collate` makes it, padded on the right.
        blank: What the model takes.
    """
    import torch

    end = int(batch["attention_mask"][0].sum())
    wide = {}
    for name, tensor_BT in batch.items():
        wide[name] = tensor_BT
        if torch.is_tensor(tensor_BT):
            filling = -100 if name == "labels" else 0
            wide[name] = torch.nn.functional.pad(tensor_BT, (0, 1), value=filling)
    wide["input_ids"][0, end] = blank.token_id
    wide["attention_mask"][0, end] = 1
    side = math.isqrt(blank.patches)
    wide["pixel_values"] = torch.zeros(blank.patches, blank.values)
    wide["image_grid_thw"] = torch.tensor([[1, side, side]])
    wide["mm_token_type_ids"] = torch.zeros_like(wide["input_ids"])
    wide["mm_token_type_ids"][0, end] = 1
    return wide


class SharedRows:  # what torch calls a map-style dataset
    """Rows by number, and None for the place of no row."""

    def __init__(self, rows: Any) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Any:
        return None if index == NO_ROW else self.rows[index]


@dataclass(frozen=True, slots=True)
class SharedCollator:
    """Collate the rows that are there; without any, the first row in a batch that counts nothing.

    Args:
        collate: Of the method.
        rows: To take the first from: a real row fits every model and every loss.
        blank: Of weights that are dealt out too: every process must run every layer, so a batch
            without a picture gets one that counts nothing. None where each has all weights.
    """

    collate: Callable[[list[Any]], Any]
    rows: Any
    blank: Blank | None = None

    def __call__(self, rows: Sequence[Any]) -> Any:
        """Return the batch of a process."""
        batch = self._collated(rows)
        if self.blank is None or "input_ids" not in batch or "pixel_values" in batch:
            return batch
        return with_blank(batch, self.blank)

    def _collated(self, rows: Sequence[Any]) -> Any:
        there = [row for row in rows if row is not None]
        if there:
            return self.collate(there)
        batch = dict(self.collate([self.rows[0]]))
        if "labels" not in batch:  # pairs, or a row that is refused
            return {**batch, STANDS_IN: True}
        batch["labels"] = batch["labels"].new_full(batch["labels"].shape, -100)
        if "loss_weights" in batch:
            batch["loss_weights"] = batch["loss_weights"] * 0
        return batch
