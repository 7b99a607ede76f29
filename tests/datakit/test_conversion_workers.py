"""How many processes a conversion is worth, and what its source may do to it."""

from __future__ import annotations

import io
from typing import Any

import pytest

from vlm_datakit.conversion import ConvertRequest
from vlm_datakit.conversion_workers import convert_portions, workers_worth
from vlm_datakit.errors import UsageError
from vlm_datakit.plan import MIB, FetchPolicy, SourceFile
from vlm_datakit.portions import joined
from vlm_datakit.runner.engines import available_cores

PIPE = SourceFile("train", "stdin", "-", None, None)
FILE = SourceFile("train", "a.jsonl", "/x/a.jsonl", 300 * MIB, 7)
REQUEST = ConvertRequest("simple", "openai")
ROW = b'{"text": "1?", "response": "2"}\n'


class Breaks(io.BytesIO):
    """A stream that cannot be read to its end."""

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        if not line:
            raise OSError(5, "Input/output error")
        return line


@pytest.mark.parametrize(
    ("file", "request_", "most"),
    [
        pytest.param(PIPE, REQUEST, 1, id="standard input"),
        pytest.param(FILE, ConvertRequest("simple", "openai", fetch=FetchPolicy()), 1, id="fetch"),
        pytest.param(FILE, REQUEST, 2, id="a process for each 128 MiB"),
    ],
)
def test_processes_are_started_where_they_pay(
    file: SourceFile, request_: ConvertRequest, most: int
) -> None:
    assert workers_worth(file, request_) == min(most, available_cores())


def test_joined_portions_are_the_same_for_any_number_of_workers() -> None:
    lines = (ROW * 100 + b"[]\n") * 3

    one, two = (
        joined(convert_portions(io.BytesIO(lines), PIPE, REQUEST, workers)) for workers in (1, 2)
    )

    assert one == two
    assert (one.rows, one.by_reason) == (303, {"row-not-object": 3})
    assert one.refused[0].startswith("stdin:101 $ row-not-object: ")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_source_that_breaks_is_raised_after_the_rows_before(workers: int) -> None:
    portions = convert_portions(Breaks(ROW * 128), PIPE, REQUEST, workers)
    rows = 0

    def read() -> None:
        nonlocal rows
        for portion in portions:
            rows += portion.rows

    with pytest.raises(OSError, match="Input/output error"):
        read()
    assert rows == 128


def test_whoever_stops_early_leaves_no_process() -> None:
    taken: list[Any] = []

    class Endless(io.BytesIO):
        def readline(self, size: int | None = -1, /) -> bytes:
            taken.append(size)
            return ROW

    portions = convert_portions(Endless(), PIPE, REQUEST, 2)
    first = next(portions)
    portions.close()

    assert first.rows == 1  # blocks begin small
    assert len(taken) < 20


def test_one_process_fetches() -> None:
    fetching = ConvertRequest("simple", "openai", fetch=FetchPolicy())

    with pytest.raises(UsageError, match="fetched by one process"):
        next(convert_portions(io.BytesIO(ROW), PIPE, fetching, 2))
