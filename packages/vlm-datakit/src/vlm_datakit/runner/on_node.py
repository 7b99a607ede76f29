"""One slice on some node of a cluster: the node is looked at first, then the slice is done."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from vlm_datakit.errors import OutputError, SourceError, UsageError
from vlm_datakit.plan import Slice, SourceFile
from vlm_datakit.runner.job import DATA, Job
from vlm_datakit.runner.work import run_slice
from vlm_datakit.runner.worker import portable
from vlm_datakit.shards.manifest import Receipt
from vlm_datakit.sources.opening import has_changed
from vlm_datakit.version import versions

SAME_VERSIONS = "all nodes need the same versions"
_SAME_FILES = "all nodes must see the same files, with the same sizes and times"


def do_slice(wanted: Mapping[str, str], job: Job, slice_: Slice) -> Receipt | Exception:
    """Do a slice here; an error is returned, so that it comes back as what it is.

    Args:
        wanted: The versions of the plan: plain values, which other versions can read.
        job: With absolute paths. Its token is not used: on a node that was given up, an
            earlier try may still write.
        slice_: Likewise.
    """
    try:
        _check_versions(wanted)
        _check_places(job)
        _check_source(slice_.file)
        return run_slice(replace(job, token=secrets.token_hex(4)), slice_)
    except Exception as error:  # raised by the driver
        return portable(error)


def _check_versions(wanted: Mapping[str, str]) -> None:
    found = versions()
    differing = [
        f"{name} {found.get(name)} instead of {version}"
        for name, version in wanted.items()
        if found.get(name) != version
    ]
    if differing:
        raise UsageError(f"{_here()} has {', '.join(differing)}; {SAME_VERSIONS}")


def _check_places(job: Job) -> None:
    if not (job.folder / DATA).is_dir():
        raise OutputError(
            f"{job.folder}: not on {_here()}; the output folder must be one that all nodes share"
        )
    for root in job.plan.image_roots:
        if not Path(root).is_dir():
            raise SourceError(f"{root}: not on {_here()}; {_SAME_FILES}")


def _check_source(file: SourceFile) -> None:
    try:
        is_another = has_changed(file)
    except SourceError as error:
        raise SourceError(f"{error} on {_here()}; {_SAME_FILES}") from error
    if is_another:
        raise SourceError(f"{file.name}: another file on {_here()}; {_SAME_FILES}")


def _here() -> str:
    return f"node {socket.gethostname()}"
