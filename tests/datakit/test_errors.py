"""Errors are values: short, on one line, and never more of a row than needed."""

from __future__ import annotations

import pickle

import pytest

from vlm_datakit.errors import (
    OUTSIDE_REASONS,
    Reason,
    RemoteError,
    RowError,
    TooManyRejects,
    quoted,
)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        pytest.param("two\nlines", '"two\\nlines"', id="a line end"),
        pytest.param("\x1b[31mred\x00", '"\\x1b[31mred\\x00"', id="terminal codes"),
        pytest.param("right\u202eleft", '"right\\u202eleft"', id="a direction mark"),
        pytest.param("Zürich 🙂", '"Zürich 🙂"', id="letters stay"),
        pytest.param("x" * 40, f'"{"x" * 40}"', id="40 characters"),
        pytest.param("x" * 41, f'"{"x" * 40}"...', id="41 characters"),
        pytest.param(None, "null", id="null"),
        pytest.param(False, "false", id="false"),
        pytest.param(1.5, "1.5", id="a number"),
        pytest.param([1, 2], "a list of 2", id="a list"),
        pytest.param({}, "an empty object", id="an empty object"),
        pytest.param({"a": 1, "b": 2}, "an object with a, b", id="an object"),
        pytest.param({"a\nb": 1}, "an object with a\\nb", id="a key of two lines"),
        pytest.param({"k" * 99: 1}, f"an object with {'k' * 40}", id="a long key"),
        pytest.param(b"bytes", "a bytes", id="something of Python's"),
    ],
)
def test_a_value_is_quoted_on_one_line_and_short(value: object, words: str) -> None:
    assert quoted(value) == words


def test_a_row_error_reads_as_reason_place_and_what_was_seen() -> None:
    error = RowError(Reason.FIELD_MISSING, "$.text", "null")

    assert str(error) == "field-missing at $.text: null"
    assert (error.reason, error.where, error.seen) == error.args


def test_too_many_rejects_brings_its_counts_through_a_pickle() -> None:
    error = TooManyRejects("2 of 3", 3, {"field-missing": 2}, ["a:1", "a:2"])

    copy = pickle.loads(pickle.dumps(error))

    assert (str(copy), copy.rows, copy.by_reason) == ("2 of 3", 3, {"field-missing": 2})
    assert copy.first == ("a:1", "a:2")


def test_a_remote_error_says_whether_to_try_again() -> None:
    assert (str(RemoteError("503", retryable=True)), RemoteError("404").retryable) == ("503", False)


def test_only_a_missing_file_or_a_failed_fetch_may_be_cured_by_a_rerun() -> None:
    assert {Reason.IMAGE_FILE_MISSING, Reason.IMAGE_FETCH_FAILED} == OUTSIDE_REASONS
