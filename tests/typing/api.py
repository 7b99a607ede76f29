"""User code that must type-check. It is read by mypy --strict and never run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import vlm_datakit

rows: list[dict[str, Any]] = [
    {"messages": [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": "4"}]}
]

outcomes = list(vlm_datakit.convert(rows, source="openai", target="simple"))


def lazily(endless_rows: Iterator[dict[str, Any]]) -> None:
    """Any iterable of dicts will do, also one that never ends."""
    next(iter(vlm_datakit.convert(endless_rows, source="openai", target="simple")))
