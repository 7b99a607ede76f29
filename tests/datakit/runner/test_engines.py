"""When slices stay in one process, whatever was asked for."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from vlm_datakit.plan import MIB, FetchPolicy, Plan, Slice, SourceFile
from vlm_datakit.runner.engines import (
    Means,
    available_cores,
    default_workers,
    inline,
    open_engine,
)
from vlm_datakit.runner.job import Job
from vlm_datakit.runner.pool import piped_pool, pool
from vlm_datakit.sources.pipe import Pipe
from vlm_datakit.sources.slices import NAMED_PICTURES_BYTES

FILE = SourceFile("train", "a.jsonl", "/x/a.jsonl", 60, 7)
PIPE = Pipe(io.BytesIO())
SLICES = [Slice(0, FILE, 0, 10), Slice(1, FILE, 10, 30)]


@pytest.mark.parametrize(
    ("slices", "fetch", "means", "function"),
    [
        pytest.param(SLICES, None, Means(8), pool, id="two slices"),
        pytest.param(SLICES, None, Means(1), inline, id="one worker"),
        pytest.param(SLICES[:1], None, Means(8), inline, id="one slice"),
        pytest.param([], None, Means(8), inline, id="nothing to do"),
        pytest.param([], None, Means(2, PIPE), piped_pool, id="a pipe"),
        pytest.param([], None, Means(1, PIPE), inline, id="a pipe and one worker"),
        pytest.param([], FetchPolicy(), Means(2, PIPE), inline, id="a pipe and fetching"),
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


@pytest.mark.parametrize(
    ("mib", "slice_bytes", "row_bytes", "most"),
    [
        pytest.param(100, 32 * MIB, None, 1, id="little input"),
        pytest.param(300, 32 * MIB, None, 2, id="a process for each 128 MiB"),
        pytest.param(100, 32 * MIB, 300_000.0, 1, id="little input of photos"),
        pytest.param(140, 32 * MIB, 900.0, 2, id="a process for each 64 MiB of small rows"),
        pytest.param(1, NAMED_PICTURES_BYTES, 200.0, 1_000, id="rows that name pictures"),
    ],
)
def test_processes_are_started_where_they_pay(
    mib: int, slice_bytes: int, row_bytes: float | None, most: int
) -> None:
    file = SourceFile("train", "a.jsonl", "a.jsonl", mib * MIB, 0)

    workers = default_workers(Plan((file,), "openai", slice_bytes=slice_bytes), row_bytes)

    assert workers == min(most, available_cores())
