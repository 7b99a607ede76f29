"""Fewer processes than asked for are noticed, and so is a wish to stop."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from vlm_trainer.config import ScheduleOptions
from vlm_trainer.errors import UsageError
from vlm_trainer.launch import (
    Processes,
    find_processes,
    has_gpu,
    processes_of,
    stop_request,
)


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

    launch = "ACCELERATE_USE_CPU=true accelerate launch --multi_gpu"
    wanted = f"on CPU use: {launch} --num_processes {count} -m vlm_trainer ... --use-cpu"
    assert wanted in str(caught.value)


@pytest.mark.parametrize(("environment", "expected"), [({"MASTER_ADDR": "x"}, None), ({}, 2)])
def test_where_a_gpu_is_the_command_starts_them_on_gpus(
    environment: dict[str, str], expected: int | None
) -> None:
    with pytest.raises(UsageError) as caught:
        find_processes(environment, expected, on_gpu=True)

    wanted = f"with GPUs use: accelerate launch --multi_gpu --num_processes {expected or 'N'} "
    assert str(caught.value).endswith(f"{wanted}-m vlm_trainer ...")


def test_a_gpu_that_is_hidden_or_not_asked_for_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vlm_trainer.launch.GPU_DRIVERS", (tmp_path / "none", tmp_path))

    assert has_gpu({}) is has_gpu({"CUDA_VISIBLE_DEVICES": "1"}) is True
    for hiding in ({"CUDA_VISIBLE_DEVICES": ""}, {"ACCELERATE_USE_CPU": "true"}):
        assert not has_gpu(hiding)
    with pytest.raises(UsageError, match="on CPU use: ACCELERATE_USE_CPU=true"):
        processes_of(ScheduleOptions(use_cpu=True, expect_processes=2), {})


def test_sigterm_is_noted_and_the_old_handler_comes_back() -> None:
    before = signal.getsignal(signal.SIGTERM)

    with stop_request({}) as stop:
        assert not stop
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop

    assert signal.getsignal(signal.SIGTERM) is before
