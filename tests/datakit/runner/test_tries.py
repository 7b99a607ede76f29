"""What is done next, and again: a task that loses its workers is not let go on for ever."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from vlm_datakit.errors import SourceError
from vlm_datakit.runner.tries import Tries


@dataclass(frozen=True)
class Numbered:
    number: int


ONE, TWO = Numbered(1), Numbered(2)


@pytest.fixture
def tries() -> Tries[Numbered]:
    tries = Tries[Numbered](lambda task, ending: f"{task.number} {ending}")
    tries.add(ONE)
    tries.add(TWO)
    return tries


def test_tasks_come_in_order_and_no_more_at_once_than_may(tries):
    assert [tries.next(0, 2), tries.next(1, 2), tries.next(2, 2)] == [ONE, TWO, None]
    assert not tries


def test_what_is_over_the_most_waits(tries):
    assert [tries.next(0, 1), tries.next(1, 1)] == [ONE, None]
    assert tries


def test_a_task_lost_once_waits_behind_the_others(tries):
    tries.lose(tries.next(0, 1), "died")

    assert [tries.next(0, 2), tries.next(1, 2)] == [TWO, ONE]


def test_a_task_lost_twice_waits_until_it_is_alone(tries):
    tries.next(0, 2)
    for _ in range(2):
        tries.lose(tries.next(1, 2), "died")

    assert tries.has_suspects
    assert [tries.next(1, 2), tries.next(0, 2)] == [None, TWO]


def test_the_third_loss_is_the_last(tries):
    tries.lose(ONE, "died")
    tries.lose(ONE, "died")

    with pytest.raises(SourceError, match=r"^1 died, 3 times, the last time alone$"):
        tries.lose(ONE, "died")
