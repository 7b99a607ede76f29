"""The plan on the disk, beside the slices made by it, so that another process can commit them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vlm_datakit.mapping.fieldmap import Entry, FieldMap
from vlm_datakit.plan import FetchPolicy, ImagePolicy, Limits, Plan, SourceFile, fingerprint
from vlm_datakit.runner.job import write_settled

FILE_NAME = "plan.json"


@dataclass(frozen=True, slots=True)
class StoredPlan:
    """A plan as it stands in a work folder, and into how many slices it was cut."""

    plan: Plan
    plan_id: str
    slices: int


def store_plan(folder: Path, plan: Plan, slices: int, token: str) -> None:
    """Write the plan into its work folder, unless it stands there.

    A plan that reads standard input is not stored: nobody can say what was in it.

    Args:
        folder: The work folder.
        plan: What is done there.
        slices: Into how many slices it was cut.
        token: Of the run: many may write the same plan at once.
    """
    if any(file.is_pipe for file in plan.files) or read_plan(folder) is not None:
        return
    # Not orjson: a path may hold bytes that are no UTF-8.
    text = json.dumps({"plan": asdict(plan), "slices": slices}, indent=1)
    write_settled(folder / FILE_NAME, text.encode(), token)


def read_plan(folder: Path) -> StoredPlan | None:
    """Return the plan of a work folder; None if there is none, or not the folder's own."""
    try:
        facts = json.loads((folder / FILE_NAME).read_bytes())
        plan, slices = parse_plan(facts["plan"]), facts["slices"]
        is_own = isinstance(slices, int) and fingerprint(plan) == folder.name
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return StoredPlan(plan, folder.name, slices) if is_own else None


def parse_plan(facts: Mapping[str, Any]) -> Plan:
    """Return the plan that `dataclasses.asdict` made these plain values of.

    Raises:
        KeyError, TypeError: if they are not a plan's.
    """
    fetch, mapping = facts["fetch"], facts.get("mapping")
    nested = {
        "files": tuple(SourceFile(**file) for file in facts["files"]),
        "image_roots": tuple(facts["image_roots"]),
        "limits": Limits(**facts["limits"]),
        "images": ImagePolicy(**facts["images"]),
        "mapping": mapping and _mapping(mapping),
        "fetch": fetch and FetchPolicy(**{**fetch, "allowed": tuple(fetch["allowed"])}),
    }
    return Plan(**{**facts, **nested})


def _mapping(facts: Mapping[str, Any]) -> FieldMap:
    entries = [
        Entry(**{**entry, "columns": tuple(map(_column, entry["columns"]))})
        for entry in facts["entries"]
    ]
    return FieldMap(tuple(entries), facts["format"])


def _column(value: str | list[str]) -> str | tuple[str, ...]:
    return value if isinstance(value, str) else tuple(value)
