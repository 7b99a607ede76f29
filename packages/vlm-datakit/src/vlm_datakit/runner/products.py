"""What a slice makes of its rows: shards, a ledger file, and the counts of its receipt."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from vlm_datakit.conversation import Converted, Rejected
from vlm_datakit.errors import Reason, TooManyRejects
from vlm_datakit.plain import PlainColumns, PlainRows
from vlm_datakit.plan import Plan, Slice
from vlm_datakit.runner.job import DATA, REJECTS, Job
from vlm_datakit.runner.tally import Tally
from vlm_datakit.shards.layout import derived_id, derived_ids
from vlm_datakit.shards.manifest import Receipt, RejectsFile
from vlm_datakit.shards.writer import ShardSpec, ShardWriter, settle, temporary_path
from vlm_datakit.sinks.ledger import ledger_line, reject_line

_HOPELESS_ROWS = 1_000  # so many first rows, all refused: the plan is wrong, not the rows
_SHOWN = 5

#: What came of a row, or of some that follow each other.
Outcome = Converted | Rejected | PlainRows | PlainColumns


class Products:
    """Takes the rows of one slice, in order. Nothing of it counts before `receipt`."""

    def __init__(self, job: Job, slice_: Slice, writer: ShardWriter, ledger: _Ledger) -> None:
        self._job, self._slice, self._writer, self._ledger = job, slice_, writer, ledger
        self._first: list[Rejected] = []
        self.tally = Tally()

    def take(self, outcome: Outcome) -> int:
        """Write one row or run of rows; return the byte offset of the (last) row.

        Raises:
            TooManyRejects: if the first 1,000 rows of the run are all refused.
        """
        if isinstance(outcome, PlainRows):
            return self._take_plain(outcome)
        if isinstance(outcome, PlainColumns):
            return self._take_columns(outcome)
        self.tally.count(outcome)
        if isinstance(outcome, Converted):
            conversation = outcome.conversation
            self._writer.add(conversation.id or derived_id(outcome.origin), conversation)
        else:
            self._ledger.add(outcome)
            self._first = [*self._first, outcome][:_SHOWN]
            self._stop_if_hopeless(self._job.plan)
        return outcome.origin.offset

    def _take_plain(self, run: PlainRows) -> int:
        self.tally.count_plain(run)
        derived = derived_ids(run.source, run.offsets)
        ids = [row.id or other for row, other in zip(run.rows, derived, strict=True)]
        self._writer.add_run(ids, run.rows)
        return run.offsets[-1]

    def _take_columns(self, rows: PlainColumns) -> int:
        self.tally.count_columns(rows)
        own = rows.ids or [None] * len(rows)
        missing = [at for at, row_id in zip(rows.offsets, own, strict=True) if row_id is None]
        derived = iter(derived_ids(rows.source, missing))
        ids = [next(derived) if row_id is None else row_id for row_id in own]
        self._writer.add_columns(ids, rows)
        return rows.offsets[-1]

    def _stop_if_hopeless(self, plan: Plan) -> None:
        tally = self.tally
        if self._slice.number == 0 and tally.rows == 0 and tally.rows_read == _HOPELESS_ROWS:
            wrong = f"the format (read as {plan.format}) or the image root is wrong"
            if tally.by_reason.keys() == {Reason.IMAGE_FETCH_FAILED}:
                wrong = "no picture can be fetched"
            raise TooManyRejects(
                f"the first {_HOPELESS_ROWS:,} rows were all refused: {wrong}",
                tally.rows_read,
                tally.by_reason,
                [reject_line(rejected) for rejected in self._first],
            )

    def receipt(self) -> Receipt:
        """Put all files on the disk under their names, and return what proves them."""
        tally, slice_ = self.tally, self._slice
        return Receipt(
            self._job.plan_id,
            slice_.number,
            slice_.file.split,
            tally.rows_read,
            tally.rows,
            tally.checked_reasons(),
            self._writer.close(),
            self._ledger.close(),
            tally.stats(),
            slice_.start,
            slice_.end,
        )


@contextmanager
def open_products(job: Job, slice_: Slice) -> Iterator[Products]:
    """Open the files of a slice; what is not finished at the end is deleted."""
    stem = f"{slice_.file.split}-{slice_.number:05d}"
    spec = ShardSpec(job.plan.layout, job.plan.with_images, stem, token=job.token)
    with ShardWriter(job.folder / DATA, spec) as writer, _Ledger(job, slice_.number) as ledger:
        yield Products(job, slice_, writer, ledger)


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
