"""What is said while an import runs and no terminal shows a bar."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vlm_datakit.cli.progress import pace_of, plain_listener
from vlm_datakit.events import Progress
from vlm_datakit.plan import MIB

HALF = Progress(1_200, {"json-invalid": 3}, 50 * MIB, 100 * MIB)


def test_a_line_tells_rows_refusals_share_pace_and_time_left(capsys) -> None:
    plain_listener(0)(HALF)

    start, _, pace = capsys.readouterr().err.rpartition("input, ")
    assert start == "1,200 rows, 3 refused, 50 % of the "
    assert pace.endswith(" MiB/s, 0:00 left\n")


def test_nothing_is_said_before_it_is_time(capsys) -> None:
    plain_listener(3_600)(HALF)

    assert capsys.readouterr().err == ""


def test_a_killed_worker_is_told_once_and_at_once(capsys) -> None:
    listen = plain_listener(3_600)

    for _ in range(2):
        listen(replace(HALF, workers_lost=1))

    assert capsys.readouterr().err == "a worker was killed; another does its slice again\n"


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        pytest.param(HALF, "5.0 MiB/s, 0:10 left", id="half"),
        pytest.param(replace(HALF, total_bytes=None), "5.0 MiB/s", id="a pipe"),
        pytest.param(replace(HALF, total_bytes=36_050 * MIB), "5.0 MiB/s, 2:00:00 left", id="h"),
        pytest.param(replace(HALF, resumed_bytes=50 * MIB), "", id="all of it resumed"),
        pytest.param(replace(HALF, resumed_bytes=30 * MIB), "2.0 MiB/s, 0:25 left", id="resumed"),
    ],
)
def test_pace_counts_what_this_run_did(progress: Progress, text: str) -> None:
    assert pace_of(progress, 10.0) == text
