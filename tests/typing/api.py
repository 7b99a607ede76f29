"""User code that must type-check. It is read by mypy --strict and never run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import vlm_datakit
import vlm_trainer

rows: list[dict[str, Any]] = [
    {"messages": [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": "4"}]}
]
refused: list[vlm_datakit.Rejected] = []
simple: list[dict[str, Any]] = list(
    vlm_datakit.convert(rows, source="openai", target="simple", rejects=refused)
)
reasons: set[vlm_datakit.Reason] = {rejected.reason for rejected in refused}


mapped: list[dict[str, Any]] = list(
    vlm_datakit.convert(rows, mapping={"messages": "messages"}, target="simple", lossy=["all"])
)
mapping: vlm_datakit.FieldMap = vlm_datakit.mapping_of({"prompt": "question", "response": "answer"})
suggested: tuple[vlm_datakit.Suggestion, ...] | vlm_datakit.DoesNotFit = (
    vlm_datakit.suggest_mapping(rows, goal="sl")
)


def lazily(endless_rows: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """Any iterable of dicts will do, also one that never ends."""
    return next(vlm_datakit.convert(endless_rows, source="openai", target="simple"))


def imported(path: str) -> int:
    """An import returns counts; shards are read by index."""
    options = vlm_datakit.RunOptions(vlm_datakit.RejectsAllowed(count=None, percent=1.0))
    summary = vlm_datakit.import_dataset(vlm_datakit.ImportRequest((path,)), "out", options)
    first: vlm_datakit.Conversation = vlm_datakit.open_shards("out", "train").get(0)
    return summary.written + len(first.images)


def trained(config: vlm_trainer.TrainConfig) -> float | None:
    """A run returns what came of it."""
    summary: vlm_trainer.RunSummary = vlm_trainer.train(config)
    return summary.loss
