"""A run that was checked and counted, before torch is loaded, and what a person reads of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vlm_trainer.base_model import BaseModel
from vlm_trainer.block_cache import BlockCache
from vlm_trainer.chat import read_json
from vlm_trainer.config import TrainConfig
from vlm_trainer.data import RenderedRows, ShardSet, Split
from vlm_trainer.folders import check_rows
from vlm_trainer.launch import Processes
from vlm_trainer.lengths import Lengths, Measure
from vlm_trainer.memory import memory_of
from vlm_trainer.outlook import cost_lines, seconds_at, time_line, training_of
from vlm_trainer.plan import TrainPlan, plan_lines
from vlm_trainer.reserve import Reserve
from vlm_trainer.windows import MIB, stream_line

CACHE = ".stream"


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that is known of a run before its model is loaded.

    Args:
        config: With its method and the precision of its base.
        processes: That train together.
        split: Trained on.
        base: The model's files.
        how: Rows to inputs.
        lengths: Of the rows that are trained.
        plan: Steps and tokens.
        reserve: Rows that are measured, or None.
    """

    config: TrainConfig
    processes: Processes
    split: Split
    base: BaseModel
    how: Measure
    lengths: Lengths
    plan: TrainPlan
    reserve: Reserve | None = None

    def check(self) -> None:
        """Refuse rows that cannot be trained or measured, unless they may be dropped.

        Raises:
            RowsRefused: See `vlm_trainer.folders.check_rows`.
        """
        check_rows(self.lengths, self.config.data)
        if self.reserve:
            self.reserve.check(self.config.data)

    def lines(self, tokens_per_s: float | None = None) -> list[str]:
        """Say the run to a person, and its time at a rate."""
        windows = [self.lengths.windows, *(part.windows for part in self.lengths.parts)]
        more = [stream_line(one) for one in windows if one is not None]
        more += self.reserve.lines() if self.reserve else []
        base = read_json(self.base.folder / "config.json")
        more += cost_lines(self.config, self.lengths, base, self.processes.count)
        more += [time_line(self.plan, tokens_per_s)] if tokens_per_s else []
        return plan_lines(self.plan, self.lengths, self.config, self.how.rule, more)

    def facts(self, tokens_per_s: float | None = None) -> dict[str, Any]:
        """Return the plan as JSON has it; ``memory`` in bytes on each device, null if not known."""
        base = read_json(self.base.folder / "config.json")
        memory = memory_of(base, training_of(self.config, self.lengths))
        return {
            **asdict(self.plan),
            "held_out_rows": len(self.reserve.lengths.rows) if self.reserve else 0,
            "memory": asdict(memory) if memory else None,
            "seconds": seconds_at(self.plan, tokens_per_s) if tokens_per_s else None,
        }

    def cache(self) -> BlockCache | None:
        """Return where row groups that are streamed are kept; None when all rows lie here."""
        splits = [self.split, *([self.reserve.split] if self.reserve else [])]
        if not any(split.blocks for split in splits):
            return None
        folder = Path(self.config.output.output_dir) / CACHE
        return BlockCache(folder, self.config.data.stream_cache_mib * MIB)

    def rows(self, altered_by: int | None) -> RenderedRows:
        """Return the rows that are trained.

        Args:
            altered_by: Seed by which pictures are altered, or None.
        """
        shards = ShardSet(self.split, self.cache())
        return RenderedRows(shards, self.lengths.rows.tolist(), self.how, altered_by)

    def held_out(self) -> RenderedRows | None:
        """Return the rows that are measured; None when there are none."""
        if self.reserve is None:
            return None
        shards = ShardSet(self.reserve.split, self.cache())
        return RenderedRows(shards, self.reserve.lengths.rows.tolist(), self.how)
