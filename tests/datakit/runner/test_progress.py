"""What slices report, from whatever process, adds up to how far the run is."""

from __future__ import annotations

from vlm_datakit.events import Progress
from vlm_datakit.plan import Slice, SourceFile
from vlm_datakit.runner.progress import Board, Pulse, SliceProgress
from vlm_datakit.runner.tally import Tally
from vlm_datakit.shards.manifest import Receipt, Stats

FILE = SourceFile("train", "a.jsonl", "/x/a.jsonl", 60, 7)
SLICES = [Slice(0, FILE, 0, 10), Slice(1, FILE, 10, 30), Slice(2, FILE, 30, 60)]


def receipt(number: int, rows: int, **by_reason: int) -> Receipt:
    written = rows - sum(by_reason.values())
    return Receipt("id", number, "train", rows, written, by_reason, (), None, Stats())


def test_a_board_adds_up_resumed_going_and_finished_slices() -> None:
    heard: list[Progress] = []
    board = Board(heard.append, SLICES)

    board.resume(SLICES[0], receipt(0, 4, cut=1))
    board.report(1, SliceProgress(2, {"cut": 2}, 5))
    board.report(2, SliceProgress(1, {}, 7))
    board.finish(SLICES[1], receipt(1, 8, cut=3))

    assert heard[1] == Progress(7, {"cut": 3}, 22, 60, 10, 1, 3)
    assert heard[-1] == Progress(13, {"cut": 4}, 37, 60, 10, 2, 3)
    assert heard[-1].rejected == 4


def test_the_rows_of_a_lost_worker_no_longer_count() -> None:
    heard: list[Progress] = []
    board = Board(heard.append, SLICES)
    board.report(1, SliceProgress(2, {"cut": 2}, 5))

    board.report(1, None)

    assert heard[-1] == Progress(0, {}, 0, 60, slices=3, workers_lost=1)


def test_a_pipe_has_no_total_and_counts_the_bytes_it_told() -> None:
    heard: list[Progress] = []
    board = Board(heard.append, [], is_open=True)

    board.report(0, SliceProgress(2, {}, 9))
    board.finish_piped(receipt(0, 3))

    assert heard[-1] == Progress(3, {}, 9, None, slices_done=1)


def test_a_pulse_tells_now_and_then_only() -> None:
    told: list[SliceProgress] = []
    rare, at_once = Pulse(told.append, 3_600), Pulse(told.append, 0)

    rare(Tally(), 1)
    at_once(Tally(), 2)

    assert told == [SliceProgress(0, {}, 2)]
