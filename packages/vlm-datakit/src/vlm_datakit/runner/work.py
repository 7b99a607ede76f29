"""One slice, whole, inside one process: read, parse, resolve, check, add; then its receipt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from vlm_datakit.errors import SourceError
from vlm_datakit.plan import Limits, Slice, SourceFile
from vlm_datakit.runner.by_columns import by_columns
from vlm_datakit.runner.by_pattern import ByPattern
from vlm_datakit.runner.in_blocks import convert_in_blocks
from vlm_datakit.runner.job import RECEIPTS, Job, receipt_path, write_settled
from vlm_datakit.runner.products import Outcome, open_products
from vlm_datakit.runner.provisional import blamed, marked, may_arrive
from vlm_datakit.runner.stages import (
    Pictures,
    columns_of,
    knows_patterns,
    open_beside,
    plain_of,
    stages_of,
)
from vlm_datakit.runner.tally import Tally
from vlm_datakit.shards.manifest import Receipt, to_json
from vlm_datakit.shards.writer import sync_folder
from vlm_datakit.sources.heads import LOOK_BYTES
from vlm_datakit.sources.jsonl import BUFFER_BYTES, Span
from vlm_datakit.sources.kinds import read
from vlm_datakit.sources.opening import PIECE_BYTES, has_changed, open_source
from vlm_datakit.sources.packed import position
from vlm_datakit.sources.pipe import Lines
from vlm_datakit.walk import convert_runs

if TYPE_CHECKING:
    from vlm_datakit.fetching.prefetch import Prefetcher

#: Called after each row with the counts so far, and the bytes of the slice before the row.
OnRow = Callable[[Tally, int], object]


@dataclass(frozen=True, slots=True)
class Edges:
    """What cannot leave its process: standard input, and who fetches for the whole run."""

    pipe: Lines | None = None
    pictures: Prefetcher | None = None


NO_EDGES = Edges()


def run_slice(
    job: Job, slice_: Slice, edges: Edges = NO_EDGES, on_row: OnRow | None = None
) -> Receipt:
    """Convert one slice into shards and a ledger file, and prove it by a receipt.

    Files get their names only when whole and on the disk; the receipt is written last. What
    an earlier try left is overwritten, or left out by the commit.

    Raises:
        TooManyRejects: if the first 1,000 rows of the run are all refused.
        SourceError: if the file is no longer what the plan says.
        ReplacedError: if it was read while it came, and is not what the Hub states.
        OSError: if the disk fails; nothing of the slice counts then.
    """
    _forget_receipt(job, slice_)
    with ExitStack() as stack:
        products = stack.enter_context(open_products(job, slice_))
        arrives = job.arrives and not slice_.looks and may_arrive(slice_.file)
        stream = stack.enter_context(_stream(slice_, edges, arrives=arrives))
        stack.enter_context(blamed(stream))
        beside = open_beside(slice_.file, job.plan.image_roots, job.plan.limits, edges.pictures)
        pictures = stack.enter_context(beside)
        for outcome in _outcomes(job, slice_, pictures, stream):
            offset = products.take(outcome)
            if on_row is not None:
                on_row(products.tally, _done_bytes(slice_, stream, offset))
        check_unchanged(slice_.file)
        receipt = marked(products.receipt(), stream)
    write_settled(receipt_path(job.folder, slice_.number), to_json(receipt), job.token)
    return receipt


def _forget_receipt(job: Job, slice_: Slice) -> None:
    """Take back the proof of an earlier try before its files are replaced."""
    with suppress(FileNotFoundError):
        receipt_path(job.folder, slice_.number).unlink()
        sync_folder(job.folder / RECEIPTS)


def check_unchanged(file: SourceFile) -> None:
    """Hold a source to what the plan says of it, now that it is read.

    Raises:
        SourceError: if its size, time or etag is another, or it is gone.
    """
    if file.is_pipe:
        return
    try:
        is_another = has_changed(file)
    except SourceError as error:
        raise SourceError(f"{error} while it was imported; nothing was committed") from error
    if is_another:
        raise SourceError(
            f"{file.name}: changed while it was imported; nothing was committed, run again"
        )


def _outcomes(job: Job, slice_: Slice, pictures: Pictures, stream: Lines) -> Iterator[Outcome]:
    plan, file = job.plan, slice_.file
    span = span_of(slice_, plan.limits, keep_raw=plan.rejects_raw)
    stages = stages_of(plan, pictures)
    plain, columns = plain_of(plan), columns_of(plan)

    def by_rows(stream: Lines, span: Span) -> Iterator[Outcome]:
        return convert_runs(islice(read(file, stream, span), slice_.rows), stages, plain)

    # A window of rows counts on each of them, and so does who takes only the first.
    is_counted = stages.ahead is not None or slice_.rows is not None
    if is_counted or file.kind != "jsonl":
        return by_rows(stream, span)
    if columns is not None:
        return convert_in_blocks(stream, span, by_columns(columns, by_rows), by_rows)
    if knows_patterns(plan):
        return convert_in_blocks(stream, span, ByPattern(plain, stages, by_rows), by_rows)
    return by_rows(stream, span)


@contextmanager
def _stream(slice_: Slice, edges: Edges, *, arrives: bool) -> Iterator[Lines]:
    """Open the bytes of a slice: of its file, of the spool, or as they come in."""
    if slice_.spooled is not None:
        with Path(slice_.spooled).open("rb", buffering=BUFFER_BYTES) as stream:
            yield stream
    elif not slice_.file.is_pipe:
        is_lines = slice_.file.is_lines
        place = (slice_.start, slice_.end) if is_lines else (0, None)
        piece_bytes = LOOK_BYTES if slice_.looks else PIECE_BYTES
        opened = open_source(slice_.file, *place, piece_bytes=piece_bytes, arrives=arrives)
        with opened as stream:
            yield stream
    elif edges.pipe is not None:
        yield edges.pipe
    else:
        raise ValueError("a pipe slice needs its stream")


def _done_bytes(slice_: Slice, stream: Lines, offset: int) -> int:
    """Return how much of a slice is done, given the offset of a row."""
    if slice_.file.is_lines:
        return offset - slice_.start
    if slice_.row_bytes is not None:
        return int((offset - slice_.start) * slice_.row_bytes)
    return position(stream)


def span_of(slice_: Slice, limits: Limits, *, keep_raw: bool) -> Span:
    """Return what the reader has to read for a slice."""
    is_part = slice_.file.is_lines or slice_.row_bytes is not None
    return Span(
        slice_.file.name,
        slice_.start,
        slice_.end if is_part else None,
        limits.max_line_bytes,
        keep_raw,
        first_line=slice_.first_line,
    )
