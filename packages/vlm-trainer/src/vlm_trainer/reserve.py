"""Rows a run is measured on and never trained on: a split of their own, or chosen by contents.

To choose, every picture is read once. What was chosen is noted in the output folder, so a run
that goes on reads none of them again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vlm_trainer.addresses import place_of
from vlm_trainer.chat import read_json
from vlm_trainer.checkpoint import write_atomically
from vlm_trainer.config import DataOptions, TrainConfig
from vlm_trainer.data import ShardSet, Split, find_split, joined_split
from vlm_trainer.errors import UsageError
from vlm_trainer.folders import count_rows
from vlm_trainer.held_out import choose, contents_of
from vlm_trainer.lengths import Lengths, Measure, measure
from vlm_trainer.plan import check_trainable

NOTE = "held-out.json"


@dataclass(frozen=True, slots=True)
class Reserve:
    """Held-out rows, counted.

    Args:
        split: Where they lie.
        lengths: Of the rows that are measured.
        chosen: Numbers of all rows that were chosen by contents, those that cannot be measured
            included; None when the rows are a split of their own.
    """

    split: Split
    lengths: Lengths
    chosen: frozenset[int] | None = None

    def check(self, data: DataOptions) -> None:
        """Refuse rows as `vlm_trainer.plan.check_trainable` does, naming where they lie."""
        where = " and ".join([data.data, *(part.folder for part in self.lengths.parts[1:])])
        where = f"{where} split {self.split.name}, held out"
        check_trainable(self.lengths, data.on_refused, where, on_too_long=data.on_too_long)

    def lines(self) -> list[str]:
        """Say it to a person."""
        rows = f"{len(self.lengths.rows):,} rows"
        if self.chosen is None:
            return [f"held    {rows} of split {self.split.name} are measured"]
        share = len(self.chosen) / self.split.rows
        return [
            f"held    {rows} are measured and not trained: {share:.1%} of all rows, chosen by "
            "contents; no picture is on both sides"
        ]


def chosen_rows(config: TrainConfig, split: Split) -> frozenset[int] | None:
    """Choose the rows that ``eval_share`` holds out of a split; None when it holds out none.

    Rows that cannot be trained take part too: leaving one out moves no other.

    Args:
        config: Its share, and the output folder where an earlier start noted its choice.
        split: What is trained on.

    Raises:
        UsageError: All rows hang together by their pictures, so that nothing, or everything,
            would be held out.
        SourceError: A shard cannot be read.
    """
    share = config.data.eval_share
    if share is None:
        return None
    folder = config.output.output_dir
    noted = _noted(Path(folder) / NOTE, split, share) if folder else None
    if noted is not None:
        return noted
    shards = ShardSet(split)
    held = choose((contents_of(shards.get(row)) for row in range(len(shards))), share)
    shards.close()
    chosen = frozenset(row for row, is_held in enumerate(held) if is_held)
    if not 0 < len(chosen) < len(held):
        what = "all" if chosen else "none"
        raise UsageError(
            f"eval_share {share:g} holds out {what} of {len(held):,} rows: rows with equal "
            "pictures stay together; give another share, or --eval-split"
        )
    return chosen


def note_rows(chosen: Collection[int], split: Split, share: float, folder: Path) -> None:
    """Note a choice in the output folder, for the next start."""
    if _noted(folder / NOTE, split, share) != chosen:
        write_atomically(folder / NOTE, {**_key(split, share), "rows": sorted(chosen)})


def find_reserve(
    config: TrainConfig, splits: Sequence[Split], how: Measure, chosen: frozenset[int] | None
) -> Reserve | None:
    """Find and count the rows a run is measured on; None when there are none.

    Args:
        config: ``eval_split``, and the ids to leave out.
        splits: What is trained on: of each folder.
        how: Words, pixels and limit.
        chosen: Rows of these that are held out.

    Raises:
        SourceError: No such split, or a shard that cannot be read.
    """
    data = config.data
    if data.eval_split:
        other = find_split(place_of(data.data), data.eval_split, str(config.learning.method))
        return Reserve(other, measure(ShardSet(other).headers(), how, data.exclude_ids))
    if chosen is None:
        return None
    lengths = count_rows(splits, how, replace(data, limit=None), chosen.__contains__)
    return Reserve(joined_split(splits), lengths, chosen)


def _key(split: Split, share: float) -> dict[str, object]:
    return {"manifest_sha256": split.manifest_sha256, "split": split.name, "share": share}


def _noted(path: Path, split: Split, share: float) -> frozenset[int] | None:
    found = read_json(path)
    rows = found.pop("rows", None)
    return frozenset(rows) if found == _key(split, share) and rows else None
