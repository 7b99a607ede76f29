"""Fewer processes than asked for are noticed, and so is a wish to stop."""

from __future__ import annotations

import os
import signal

import pytest

from vlm_trainer.errors import UsageError
from vlm_trainer.launch import Processes, find_processes, stop_request


@pytest.mark.parametrize(
    ("environment", "expected", "found"),
    [
        ({}, None, Processes(1, 0)),
        ({}, 1, Processes(1, 0)),
        ({"WORLD_SIZE": "4", "RANK": "3", "MASTER_ADDR": "x"}, 4, Processes(4, 3)),
    ],
)
def test_processes_are_read(
    environment: dict[str, str], expected: int | None, found: Processes
) -> None:
    assert find_processes(environment, expected) == found


@pytest.mark.parametrize(
    ("environment", "expected", "count"),
    [
        pytest.param({"MASTER_ADDR": "127.0.0.1"}, None, "N", id="accelerate launch --cpu"),
        pytest.param({}, 2, "2", id="no launcher"),
        pytest.param({"WORLD_SIZE": "1", "MASTER_ADDR": "x"}, 2, "2", id="one of two"),
    ],
)
def test_too_few_processes_stop_with_the_command_that_starts_them(
    environment: dict[str, str], expected: int | None, count: str
) -> None:
    with pytest.raises(UsageError) as caught:
        find_processes(environment, expected)

    wanted = f"ACCELERATE_USE_CPU=true accelerate launch --multi_gpu --num_processes {count} "
    assert wanted in str(caught.value)


def test_sigterm_is_noted_and_the_old_handler_comes_back() -> None:
    before = signal.getsignal(signal.SIGTERM)

    with stop_request({}) as stop:
        assert not stop
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop

    assert signal.getsignal(signal.SIGTERM) is before
