"""A stored plan is the plan, or it is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from vlm_datakit.plan import FetchPolicy, ImagePolicy, Limits, Plan, SourceFile, fingerprint
from vlm_datakit.runner.plans import StoredPlan, read_plan, store_plan

FILE = SourceFile("train", "a.jsonl", "/x/\udce9/a.jsonl", 10, 7)
PLAIN = Plan((FILE,), "openai")
FULL = Plan(
    (FILE, SourceFile("test", "b.jsonl", "s3://x/b.jsonl", 20, None, "8")),
    "simple",
    "answer",
    with_images=False,
    slice_bytes=9,
    image_roots=("/p", "/q"),
    rejects_raw=True,
    limits=Limits(max_side_px=5),
    images=ImagePolicy("baked", shrink_to_pixels=3),
    fetch=FetchPolicy(("host:1",), timeout_s=1.5),
    versions={"pyarrow": "1"},
)


@pytest.mark.parametrize("plan", [PLAIN, FULL], ids=["plain", "full"])
def test_a_plan_comes_back_as_it_was(tmp_path: Path, plan: Plan) -> None:
    folder = tmp_path / fingerprint(plan)
    folder.mkdir()

    store_plan(folder, plan, 3, "0a1b")

    assert read_plan(folder) == StoredPlan(plan, fingerprint(plan), 3)
    assert [path.name for path in folder.iterdir()] == ["plan.json"]


def test_a_plan_that_reads_standard_input_is_not_stored(tmp_path: Path) -> None:
    store_plan(tmp_path, replace(PLAIN, files=(SourceFile("train", "-", "-", None, None),)), 1, "")

    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"plan": {"files": []}}', b'{"plan": 7, "slices": 1}']
)
def test_anything_else_is_no_plan(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "plan.json").write_bytes(content)

    assert read_plan(tmp_path) is None
