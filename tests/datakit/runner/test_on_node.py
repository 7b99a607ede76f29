"""A node that is not like the others says so in one line, before it does a row."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from vlm_datakit.errors import OutputError, SourceError, UsageError, VlmDataKitError
from vlm_datakit.importing import ImportRequest, plan_import
from vlm_datakit.plan import Slice
from vlm_datakit.runner.job import DATA, RECEIPTS, REJECTS, Job
from vlm_datakit.runner.on_node import do_slice
from vlm_datakit.shards.manifest import Receipt
from vlm_datakit.sources.slices import cut

HERE = socket.gethostname()
SAME_FILES = "all nodes must see the same files, with the same sizes and times"


@pytest.fixture
def job(tmp_path: Path) -> Job:
    source = tmp_path / "a.jsonl"
    source.write_text('{"text": "2 + 2?", "response": "4"}\n')
    folder = tmp_path / "work"
    for name in (DATA, REJECTS, RECEIPTS):
        (folder / name).mkdir(parents=True)
    plan, _ = plan_import(ImportRequest((str(source),), image_roots=(str(tmp_path),)))
    return Job(plan, "1" * 64, folder)


@pytest.fixture
def slice_(job: Job) -> Slice:
    return cut(job.plan.files, job.plan.slice_bytes)[0]


def told(outcome: Receipt | Exception, kind: type[VlmDataKitError]) -> str:
    """Return the words of an error that was returned, which must be of that kind."""
    assert type(outcome) is kind
    return str(outcome)


def test_a_node_like_the_others_does_the_slice(job: Job, slice_: Slice) -> None:
    receipt = do_slice(job.plan.versions, job, slice_)

    assert isinstance(receipt, Receipt)
    assert (receipt.rows, receipt.plan_id) == (1, job.plan_id)


def test_each_try_has_temporary_names_of_its_own(job: Job, slice_: Slice) -> None:
    """On a node that was given up, an earlier try may still write."""
    mine = job.folder / DATA / f".train-00000-000.parquet.{job.token}"
    mine.write_bytes(b"PAR1")

    assert isinstance(do_slice({}, job, slice_), Receipt)
    assert mine.read_bytes() == b"PAR1"


def test_other_versions_are_named(job: Job, slice_: Slice) -> None:
    wanted = {**job.plan.versions, "pyarrow": "1.0"}

    words = told(do_slice(wanted, job, slice_), UsageError)

    found = job.plan.versions["pyarrow"]
    assert words == (
        f"node {HERE} has pyarrow {found} instead of 1.0; all nodes need the same versions"
    )


def test_an_output_folder_of_one_machine_is_named(job: Job, slice_: Slice) -> None:
    elsewhere = replace(job, folder=Path("nowhere"))

    words = told(do_slice({}, elsewhere, slice_), OutputError)

    assert words == (
        f"nowhere: not on node {HERE}; the output folder must be one that all nodes share"
    )


def test_a_source_that_is_not_there_is_named(job: Job, slice_: Slice) -> None:
    Path(slice_.file.path).unlink()

    words = told(do_slice({}, job, slice_), SourceError)

    assert words == f"a.jsonl: No such file or directory on node {HERE}; {SAME_FILES}"


def test_a_source_of_another_time_is_named(job: Job, slice_: Slice) -> None:
    os.utime(slice_.file.path, ns=(1, 1))

    words = told(do_slice({}, job, slice_), SourceError)

    assert words == f"a.jsonl: another file on node {HERE}; {SAME_FILES}"


def test_a_folder_of_pictures_that_is_not_there_is_named(job: Job, slice_: Slice) -> None:
    elsewhere = replace(job, plan=replace(job.plan, image_roots=("pictures",)))

    words = told(do_slice({}, elsewhere, slice_), SourceError)

    assert words == f"pictures: not on node {HERE}; {SAME_FILES}"
