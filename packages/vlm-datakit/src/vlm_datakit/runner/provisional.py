"""Slices made of a file of the Hub that still came: what proves them, what takes them back.

Their receipts name the digest that the Hub states and the stamp of the parts that were read. They
prove nothing until those parts came to that digest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import IO, TYPE_CHECKING

from vlm_datakit.errors import SourceError, TooManyRejects
from vlm_datakit.hub.arriving import ReplacedError, Stated, arriving_of, is_held
from vlm_datakit.hub.download import downloaded
from vlm_datakit.hub.names import pinned
from vlm_datakit.plan import Slice, SourceFile
from vlm_datakit.runner.job import Job, receipt_path
from vlm_datakit.shards.manifest import Receipt, parse_receipt
from vlm_datakit.sources.heads import Head, may_look
from vlm_datakit.sources.slices import cut

if TYPE_CHECKING:
    from vlm_datakit.sources.pipe import Lines


def may_arrive(file: SourceFile) -> bool:
    """Whether slices of a file may be made while it comes: large lines and Parquet, on the Hub."""
    return (file.is_lines or file.kind == "parquet") and may_look(file)


def stated_of(file: SourceFile) -> Stated | None:
    """Return what the Hub states of a file; None if it does not lie there."""
    on_hub = pinned(file.path)
    return Stated(on_hub, file.size_bytes or 0, file.etag or "") if on_hub else None


@contextmanager
def blamed(stream: Lines | IO[bytes]) -> Iterator[None]:
    """See to it that what is said of rows is said of what the Hub states, and not of the line.

    Raises:
        ReplacedError: instead of what the block raises.
    """
    try:
        yield
    except (SourceError, TooManyRejects):
        if (arriving := arriving_of(stream)) is not None:
            arriving.hold()
        raise


def marked(receipt: Receipt, stream: Lines | IO[bytes]) -> Receipt:
    """Return a receipt that says which parts it was made of, if those prove nothing yet."""
    arriving = arriving_of(stream)
    if arriving is None or is_held(arriving.mark):
        return receipt
    return replace(receipt, arrived=arriving.mark)


def is_lost(receipt: Receipt, file: SourceFile) -> bool:
    """Whether a receipt is of parts that are gone, and never came to what the Hub states."""
    if receipt.arrived is None:
        return False
    stated = stated_of(file)
    is_here = stated is not None and stated.mark_now() == receipt.arrived
    return not is_here and not is_held(receipt.arrived)  # in this order: they may settle meanwhile


def hold(
    wanted: Sequence[Head], slices: Sequence[Slice], size_bytes: int, marks: Iterable[str | None]
) -> None:
    """Wait until files are here, and hold what was read of them to what the Hub states.

    Args:
        wanted: What was cut.
        slices: What it was cut into, by looks that nothing was held to.
        size_bytes: As it was cut.
        marks: Of what else was read.

    Raises:
        ReplacedError: if something else was read.
        RemoteError, SourceError, OutputError: as `vlm_datakit.hub.download.downloaded`.
    """
    looked_at = {slice_.file for slice_ in slices if slice_.looks}
    mine = [head for head in wanted if head.file not in looked_at and may_arrive(head.file)]
    for head in mine:
        if (stated := stated_of(head.file)) is not None:
            downloaded(*stated)
    files = {head.file for head in mine}
    before = [slice_ for slice_ in slices if slice_.file in files]
    is_same = _places(before) == _places(cut(mine, size_bytes))
    if not is_same or not all(is_held(mark) for mark in marks if mark is not None):
        raise ReplacedError("what came first is not what the Hub states", retryable=True)


def _places(slices: Iterable[Slice]) -> list[tuple[SourceFile, int, int]]:
    return [(slice_.file, slice_.start, slice_.end) for slice_ in slices]


@contextmanager
def taken_back(job: Job, slices: Iterable[Slice]) -> Iterator[None]:
    """Delete what was made of parts that are gone, if the block fails: receipts first."""
    try:
        yield
    except Exception:
        for slice_ in slices:
            path = receipt_path(job.folder, slice_.number)
            with suppress(OSError):
                receipt = parse_receipt(path.read_bytes())
                if receipt is not None and is_lost(receipt, slice_.file):
                    path.unlink()
                    for name in receipt.files:
                        (job.folder / name).unlink()
        raise
