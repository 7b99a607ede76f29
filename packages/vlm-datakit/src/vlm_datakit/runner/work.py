"""One slice, whole, inside one process: read, parse, resolve, check, add; then its receipt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from vlm_datakit.conversation import Converted, Rejected
from vlm_datakit.errors import Reason, TooManyRejects
from vlm_datakit.events import Progress
from vlm_datakit.plan import Limits, Plan, Slice
from vlm_datakit.runner.stages import stages_of
from vlm_datakit.runner.tally import Tally
from vlm_datakit.shards.layout import derived_id
from vlm_datakit.shards.manifest import Receipt, RejectsFile, to_json
from vlm_datakit.shards.writer import ShardSpec, ShardWriter, settle
from vlm_datakit.sinks.ledger import ledger_line
from vlm_datakit.sources.jsonl import Span, read_rows
from vlm_datakit.sources.pipe import Lines
from vlm_datakit.walk import convert_rows

if TYPE_CHECKING:
    from vlm_datakit.fetching.prefetch import Prefetcher

DATA, REJECTS, RECEIPTS = "data", "rejects", "receipts"
_HOPELESS_ROWS = 1_000  # so many first rows, all refused: the plan is wrong, not the rows
_SHOWN = 5

OnRow = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Job:
    """What `run_slice` needs beside the slice: the plan, where it works, and its edges.

    ``pipe`` is standard input, if a source is it; ``pictures`` fetches for the whole run.
    """

    plan: Plan
    plan_id: str
    folder: Path
    pipe: Lines | None = None
    pictures: Prefetcher | None = None


def run_slice(job: Job, slice_: Slice, on_row: OnRow | None = None) -> Receipt:
    """Convert one slice into shards and a ledger file, and prove it by a receipt.

    Files get their names only when whole and on the disk; the receipt is written last.

    Raises:
        TooManyRejects: if the first 1,000 rows of the run are all refused.
        OSError: if the disk fails; nothing of the slice counts then.
    """
    tally, first = Tally(), list[Rejected]()
    _clear(job, slice_)
    stem = f"{slice_.file.split}-{slice_.number:05d}"
    spec = ShardSpec(job.plan.layout, job.plan.with_images, stem)
    with ExitStack() as stack:
        writer = stack.enter_context(ShardWriter(job.folder / DATA, spec))
        ledger = stack.enter_context(_Ledger(job.folder / REJECTS, slice_.number))
        for outcome in _outcomes(job, slice_, stack):
            tally.count(outcome)
            if isinstance(outcome, Converted):
                row_id = outcome.conversation.id or derived_id(outcome.origin)
                writer.add(row_id, outcome.conversation)
            else:
                ledger.add(outcome)
                first = [*first, outcome][:_SHOWN]
            _stop_if_hopeless(slice_, tally, first, job.plan)
            if on_row is not None:
                on_row(_progress(tally, outcome))
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
    write_settled(job.folder / RECEIPTS / f"{slice_.number:05d}.json", to_json(receipt))
    return receipt


def _clear(job: Job, slice_: Slice) -> None:
    """Remove what an earlier try at this slice left, so that no orphan is committed."""
    number = f"{slice_.number:05d}"
    for pattern in (f"{DATA}/*-{number}-*.parquet", f"{REJECTS}/*-{number}.jsonl"):
        for path in job.folder.glob(pattern):  # dot-files too
            path.unlink()


def _outcomes(job: Job, slice_: Slice, stack: ExitStack) -> Iterator[Converted | Rejected]:
    stream = job.pipe if slice_.file.is_pipe else stack.enter_context(_opened(slice_))
    if stream is None:
        raise ValueError("a pipe slice needs its stream")
    span = span_of(slice_, job.plan.limits, keep_raw=job.plan.rejects_raw)
    stages = stages_of(job.plan, slice_.file, job.pictures)
    return convert_rows(read_rows(stream, span), stages)


def span_of(slice_: Slice, limits: Limits, *, keep_raw: bool) -> Span:
    """Return what the reader has to read for a slice."""
    name = slice_.file.name
    return Span(name, slice_.start, slice_.end, limits.max_line_bytes, keep_raw)


@contextmanager
def _opened(slice_: Slice) -> Iterator[IO[bytes]]:
    with Path(slice_.file.path).open("rb") as stream:
        stream.seek(slice_.start)
        yield stream


def _progress(tally: Tally, outcome: Converted | Rejected) -> Progress:
    return Progress(tally.rows_read, tally.by_reason.total(), outcome.origin.offset, None)


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

    def __init__(self, folder: Path, number: int) -> None:
        self._final = folder / f"rejects-{number:05d}.jsonl"
        self._temporary = folder / f".{self._final.name}"
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


def write_settled(path: Path, data: bytes) -> None:
    """Write a small file so that it is there whole or not at all."""
    temporary = path.with_name(f".{path.name}")
    temporary.write_bytes(data)
    settle(temporary, path)
