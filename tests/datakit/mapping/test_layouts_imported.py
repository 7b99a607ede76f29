"""Layouts of public data sets through the real import, with nothing but a goal said."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vlm_datakit import FetchPolicy, ImportRequest, import_dataset, open_shards
from vlm_datakit.errors import VlmDataKitError

from .test_layouts import LAYOUTS, hold_to_answers, hold_to_turns, with_bytes
from .test_suggest import OTHER_NAMES

_ROWS = 3
_NOWHERE = "http://127.0.0.1:9"
_FILE = re.compile(r'"([^":/][^":]*\.(?:jpg|png))"')
# Imports that do not give what an expert expects, by what columns are called, and why.
MISSES: dict[str, dict[tuple[str, str], str]] = {
    "as published": {},
    "under other names": {
        ("lmms-lab/multimodal-open-r1-8k-verified", "vlm"): "two questions are as likely: open",
    },
}
NAMES: dict[str, dict[str, str]] = {"as published": {}, "under other names": OTHER_NAMES}


@pytest.fixture
def pictures(serve: Any, png_bytes: Callable[..., bytes]) -> Any:
    """Serve a picture under every path."""
    return serve(lambda _: serve.http(png_bytes(9, 9), Content_Type="image/png"))


def renamed(layout: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """Return the row and the features of a layout, their columns called otherwise."""
    return {
        part: {names.get(name, name): value for name, value in layout[part].items()}
        for part in ("row", "features")
    }


def written(layout: dict[str, Any], kind: str, folder: Path) -> Path | None:
    """Write rows of a layout as a file of a kind; None if that cannot hold them."""
    spelled = json.dumps(layout["row"])
    if kind == "jsonl":
        if "$b64" in spelled or "ClassLabel" in json.dumps(layout["features"]):
            return None
        path = folder / "rows.jsonl"
        path.write_text(f"{spelled}\n" * _ROWS)
        return path
    import datasets

    features = datasets.Features.from_dict(layout["features"])
    rows = [with_bytes(layout["row"])] * _ROWS
    path = folder / "rows.parquet"
    datasets.Dataset.from_list(rows, features=features).to_parquet(path)
    return path


def fault(file: Path, goal: str, case: dict[str, Any], fetch: FetchPolicy | None) -> str | None:
    """Return what is wrong with an import by a goal alone, None if nothing is."""
    folder, out = file.parent, file.parent / f"{file.suffix}-{goal}"
    request = ImportRequest((str(file),), goal=goal, image_roots=(str(folder),), fetch=fetch)
    try:
        summary = import_dataset(request, out)
    except VlmDataKitError as error:
        return None if case["map"] is None and "does not fit" in str(error) else str(error)
    if case["map"] is None:
        return "fits, and should not"
    rows = [*open_shards(out, "train")]
    try:
        assert (len(rows), summary.rejected) == (_ROWS, 0)
        for row in rows:
            (hold_to_turns if goal == "vlm" else hold_to_answers)(row, case["expect"])
            assert len(row.images) == case["expect"].get("images", 0)
    except AssertionError as error:
        return f"gives other rows: {error}"
    return None


@pytest.mark.parametrize("names", NAMES)
def test_at_least_95_of_100_layouts_are_imported_as_an_expert_would(
    pictures: Any, png_bytes: Callable[..., bytes], tmp_path: Path, names: str
) -> None:
    found: dict[tuple[str, str], str | None] = {}
    total = 0
    for n, layout in enumerate(LAYOUTS):
        spelled = json.dumps(renamed(layout, NAMES[names]))
        fetch = FetchPolicy((pictures.host,)) if _NOWHERE in spelled else None
        spelled = spelled.replace(_NOWHERE, pictures.url("").rstrip("/"))
        folder = tmp_path / str(n)
        for name in ("rows", *_FILE.findall(spelled)):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(png_bytes(9, 9))
        files = [written(json.loads(spelled), kind, folder) for kind in ("parquet", "jsonl")]
        for goal, case in layout["cases"].items():
            faults = [fault(file, goal, case, fetch) for file in files if file is not None]
            total += 1
            if any(faults):
                found[layout["id"], goal] = "; ".join(filter(None, faults))

    assert total == 73
    assert found.keys() == MISSES[names].keys(), found
    assert len(found) <= 0.05 * total
