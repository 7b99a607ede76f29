"""Errors cross the process border whole, or as near to it as they can."""

from __future__ import annotations

import pickle

from vlm_datakit.errors import TooManyRejects
from vlm_datakit.runner.worker import portable


class StubbornError(Exception):
    """Cannot be made again from its message."""

    def __init__(self, one: int, other: int) -> None:
        super().__init__(f"{one} and {other}")


def raised(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:
        return caught


def test_an_error_raised_on_purpose_stays_as_it_is() -> None:
    error = TooManyRejects("too many", 9, {"json-invalid": 2}, ["first"])

    sent = pickle.loads(pickle.dumps(portable(raised(error))))

    assert (type(sent), sent.args) == (TooManyRejects, error.args)
    assert not hasattr(sent, "__notes__")


def test_a_bug_brings_its_notes_and_its_traceback() -> None:
    bug = raised(KeyError("x"))
    bug.add_note("while converting a.jsonl:3")

    sent = pickle.loads(pickle.dumps(portable(bug)))

    assert isinstance(sent, KeyError)
    assert sent.__notes__[0] == "while converting a.jsonl:3"
    assert sent.__notes__[1].startswith("in a worker: Traceback (most recent call last):\n")


def test_an_error_that_does_not_pickle_is_told_by_another() -> None:
    sent = portable(raised(StubbornError(1, 2)))

    assert (type(sent), str(sent)) == (RuntimeError, "StubbornError: 1 and 2")
    assert len(sent.__notes__) == 1
