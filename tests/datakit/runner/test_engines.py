"""When slices stay in one process, whatever was asked for."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from vlm_datakit.plan import FetchPolicy, Plan, Slice, SourceFile
from vlm_datakit.runner.engines import Means, inline, open_engine
from vlm_datakit.runner.pool import pool
from vlm_datakit.runner.work import Job
from vlm_datakit.sources.pipe import Pipe

FILE = SourceFile("train", "a.jsonl", "/x/a.jsonl", 60, 7)
SLICES = [Slice(0, FILE, 0, 10), Slice(1, FILE, 10, 30)]


@pytest.mark.parametrize(
    ("slices", "fetch", "means", "function"),
    [
        pytest.param(SLICES, None, Means(8), pool, id="two slices"),
        pytest.param(SLICES, None, Means(1), inline, id="one worker"),
        pytest.param(SLICES[:1], None, Means(8), inline, id="one slice"),
        pytest.param([], None, Means(8), inline, id="nothing to do"),
        pytest.param(SLICES, None, Means(8, Pipe(io.BytesIO())), inline, id="a pipe"),
        pytest.param(SLICES, FetchPolicy(), Means(8), inline, id="fetching"),
    ],
)
def test_the_engine_fits(
    tmp_path: Path, slices: Any, fetch: Any, means: Any, function: Any
) -> None:
    job = Job(Plan((FILE,), "simple", fetch=fetch), "id", tmp_path)

    with open_engine(job, slices, means) as engine:
        assert isinstance(engine, partial)
        assert engine.func is function
        assert engine.keywords.get("workers", 2) == 2
