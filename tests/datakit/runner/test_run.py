"""A run commits what its plan says of the sources, or nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vlm_datakit.errors import SourceError
from vlm_datakit.importing import ImportRequest, plan_import
from vlm_datakit.runner.run import RunOptions, run

ROW = '{"text": "2 + 2?", "response": "4"}\n'


def test_a_source_that_changes_while_it_is_read_is_not_committed(tmp_path: Path) -> None:
    source, out = tmp_path / "a.jsonl", tmp_path / "out"
    source.write_text(ROW)
    plan, _ = plan_import(ImportRequest((str(source),)))
    os.utime(source, ns=(1, 1))

    with pytest.raises(SourceError) as caught:
        run(plan, out, RunOptions())

    assert str(caught.value) == (
        "a.jsonl: changed while it was imported; nothing was committed, run again"
    )
    assert sorted(path.name for path in out.iterdir()) == [".vlm"]


def test_the_listener_hears_of_rows_and_bytes_of_all_slices(tmp_path: Path) -> None:
    source = tmp_path / "a.jsonl"
    source.write_text(ROW * 3 + "{\n")
    plan, _ = plan_import(ImportRequest((str(source),)))
    heard = []

    with pytest.raises(Exception, match="1 of 4 rows were refused"):
        run(plan, tmp_path / "out", RunOptions(), heard.append)

    first, last = heard[0], heard[-1]
    assert (first.rows, first.done_bytes, first.slices_done) == (0, 0, 0)
    assert (last.rows, last.by_reason, last.slices_done) == (4, {"json-invalid": 1}, 1)
    assert last.done_bytes == last.total_bytes == source.stat().st_size
