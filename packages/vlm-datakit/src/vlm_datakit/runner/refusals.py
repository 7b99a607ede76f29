"""The first refused rows of a run, told to a person: where, why, what was seen."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from vlm_datakit.plan import MIB, SourceFile
from vlm_datakit.sources.opening import open_source

_SHOWN = 20
_COUNTED_BYTES = 4096 * MIB  # a second or two; beyond, a row is told by its byte


def first_refusals(ledger: Path, files: Iterable[SourceFile]) -> list[str]:
    """Return the first lines of a ledger, each as one line for a person.

    Args:
        ledger: The folder of its files.
        files: The sources, for line numbers: slices know only bytes. Those that cannot be
            read here are told by their bytes.
    """
    near = {
        file.name: file
        for file in files
        if file.is_lines and not file.is_pipe and os.access(file.path, os.R_OK)
    }
    counted: dict[str, tuple[int, int]] = {}
    lines = []
    for entry in islice(_entries(ledger), _SHOWN):
        name, offset = entry["source"], entry["offset"]
        if "line" not in entry and name in near and offset <= _COUNTED_BYTES:
            start, number = counted.get(name, (0, 1))
            counted[name] = offset, number + _line_ends(near[name], start, offset)
            entry["line"] = counted[name][1]
        at = entry.get("line", f"byte {offset}")
        lines.append(f"{name}:{at} {entry['where']} {entry['reason']}: {entry['seen']}")
    return lines


def _entries(ledger: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(ledger.glob("rejects-*.jsonl")):
        with path.open("rb") as stream:
            yield from map(orjson.loads, stream)


def _line_ends(file: SourceFile, start: int, end: int) -> int:
    """Count the line ends in a part of a file."""
    found = 0
    with open_source(file, start) as stream:
        while piece := stream.read(min(MIB, end - stream.tell())):
            found += piece.count(b"\n")
    return found
