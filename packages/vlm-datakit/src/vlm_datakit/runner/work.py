"""One slice, whole, inside one process: read, parse, resolve, check, add; then its receipt."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from vlm_datakit.conversation import Converted, Rejected
from vlm_datakit.errors import Reason, SourceError, TooManyRejects
from vlm_datakit.plan import Limits, Plan, Slice, SourceFile
from vlm_datakit.runner.stages import stages_of
from vlm_datakit.runner.tally import Tally
from vlm_datakit.shards.layout import derived_id
from vlm_datakit.shards.manifest import Receipt, RejectsFile, to_json
from vlm_datakit.shards.writer import (
    ShardSpec,
    ShardWriter,
    settle,
    sync_folder,
    temporary_path,
)
from vlm_datakit.sinks.ledger import ledger_line
from vlm_datakit.sources.jsonl import BUFFER_BYTES, Span, read_rows
from vlm_datakit.sources.pipe import Lines
from vlm_datakit.walk import convert_rows

if TYPE_CHECKING:
    from vlm_datakit.fetching.prefetch import Prefetcher

DATA, REJECTS, RECEIPTS = "data", "rejects", "receipts"
_HOPELESS_ROWS = 1_000  # so many first rows, all refused: the plan is wrong, not the rows
_SHOWN = 5

#: Called after each row with the counts so far, and the bytes of the slice before the row.
OnRow = Callable[[Tally, int], object]


@dataclass(frozen=True, slots=True)
class Job:
    """What any process needs to do slices of a plan: plain values, which pickle.

    ``token`` is in the temporary names of one run, so that two runs never share a file.
    """

    plan: Plan
    plan_id: str
    folder: Path
    token: str = field(default_factory=lambda: secrets.token_hex(4))


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
        OSError: if the disk fails; nothing of the slice counts then.
    """
    tally, first = Tally(), list[Rejected]()
    _forget_receipt(job, slice_)
    stem = f"{slice_.file.split}-{slice_.number:05d}"
    spec = ShardSpec(job.plan.layout, job.plan.with_images, stem, token=job.token)
    with ExitStack() as stack:
        writer = stack.enter_context(ShardWriter(job.folder / DATA, spec))
        ledger = stack.enter_context(_Ledger(job, slice_.number))
        for outcome in _outcomes(job, slice_, edges, stack):
            tally.count(outcome)
            if isinstance(outcome, Converted):
                row_id = outcome.conversation.id or derived_id(outcome.origin)
                writer.add(row_id, outcome.conversation)
            else:
                ledger.add(outcome)
                first = [*first, outcome][:_SHOWN]
            _stop_if_hopeless(slice_, tally, first, job.plan)
            if on_row is not None:
                on_row(tally, outcome.origin.offset - slice_.start)
        check_unchanged(slice_.file)
        receipt = Receipt(
            job.plan_id,
            slice_.number,
            slice_.file.split,
            tally.rows_read,
            tally.rows,
            tally.checked_reasons(),
            writer.close(),
            ledger.close(),
            tally.stats(),
        )
    write_settled(receipt_path(job.folder, slice_.number), to_json(receipt), job.token)
    return receipt


def receipt_path(folder: Path, number: int) -> Path:
    """Return where in a work folder the receipt of a slice stands."""
    return folder / RECEIPTS / f"{number:05d}.json"


def _forget_receipt(job: Job, slice_: Slice) -> None:
    """Take back the proof of an earlier try before its files are replaced."""
    with suppress(FileNotFoundError):
        receipt_path(job.folder, slice_.number).unlink()
        sync_folder(job.folder / RECEIPTS)


def check_unchanged(file: SourceFile) -> None:
    """Hold a source to what the plan says of it, now that it is read.

    Raises:
        SourceError: if its size or time is another, or it is gone.
    """
    if file.is_pipe:
        return
    try:
        status = Path(file.path).stat()
    except OSError as error:
        what = f"{error.strerror} while it was imported"
        raise SourceError(f"{file.name}: {what}; nothing was committed") from error
    if (status.st_size, status.st_mtime_ns) != (file.size_bytes, file.mtime_ns):
        raise SourceError(
            f"{file.name}: changed while it was imported; nothing was committed, run again"
        )


def _outcomes(
    job: Job, slice_: Slice, edges: Edges, stack: ExitStack
) -> Iterator[Converted | Rejected]:
    stream = edges.pipe if slice_.file.is_pipe else stack.enter_context(_opened(slice_))
    if stream is None:
        raise ValueError("a pipe slice needs its stream")
    span = span_of(slice_, job.plan.limits, keep_raw=job.plan.rejects_raw)
    stages = stages_of(job.plan, slice_.file, edges.pictures)
    return convert_rows(read_rows(stream, span), stages)


def span_of(slice_: Slice, limits: Limits, *, keep_raw: bool) -> Span:
    """Return what the reader has to read for a slice."""
    name = slice_.file.name
    return Span(name, slice_.start, slice_.end, limits.max_line_bytes, keep_raw)


@contextmanager
def _opened(slice_: Slice) -> Iterator[IO[bytes]]:
    with Path(slice_.file.path).open("rb", buffering=BUFFER_BYTES) as stream:
        stream.seek(slice_.start)
        yield stream


def _stop_if_hopeless(slice_: Slice, tally: Tally, first: list[Rejected], plan: Plan) -> None:
    if slice_.number == 0 and tally.rows == 0 and tally.rows_read == _HOPELESS_ROWS:
        wrong = f"the format (read as {plan.format}) or the image root is wrong"
        if tally.by_reason.keys() == {Reason.IMAGE_FETCH_FAILED}:
            wrong = "no picture can be fetched"
        raise TooManyRejects(
            f"the first {_HOPELESS_ROWS:,} rows were all refused: {wrong}",
            tally.rows_read,
            tally.by_reason,
            [reject_line(rejected) for rejected in first],
        )


def reject_line(rejected: Rejected) -> str:
    """Return a refusal as one line for a person."""
    return f"{rejected.origin} {rejected.where} {rejected.reason}: {rejected.seen}"


class _Ledger:
    """The ledger file of one slice; there is none without a refused row."""

    def __init__(self, job: Job, number: int) -> None:
        self._final = job.folder / REJECTS / f"rejects-{number:05d}.jsonl"
        self._temporary = temporary_path(self._final, job.token)
        self._stream: IO[bytes] | None = None
        self._lines = 0

    def __enter__(self) -> _Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream is not None:
            self._temporary.unlink(missing_ok=True)
            self._stream.close()  # may raise: the disk is full

    def add(self, rejected: Rejected) -> None:
        """Append one refused row."""
        if self._stream is None:
            self._stream = self._temporary.open("wb")
        self._stream.write(ledger_line(rejected))
        self._lines += 1

    def close(self) -> RejectsFile | None:
        """Name the file and return what stands in it, or None if nothing does."""
        if self._stream is None:
            return None
        self._stream.close()
        digest, size = settle(self._temporary, self._final)
        self._stream = None
        return RejectsFile(f"{REJECTS}/{self._final.name}", self._lines, size, digest)


def write_settled(path: Path, data: bytes, token: str = "") -> None:
    """Write a small file so that it is there whole or not at all.

    Args:
        path: Its final name.
        data: All of it.
        token: Needed where others may write the same file at the same time.
    """
    temporary = temporary_path(path, token)
    temporary.write_bytes(data)
    settle(temporary, path)
