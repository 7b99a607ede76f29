"""Scores of answers, against plain definitions of the same."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from vlm_trainer.scores import anls, edit_distance, exact, field_scores, fields_of, normalised

TEXTS = st.text(st.sampled_from("abé \n"), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["", "a", "7"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab."), inner, max_size=2)
    ),
    max_leaves=6,
)


@lru_cache(None)
def distance_by_definition(one: str, other: str) -> int:
    if not one or not other:
        return len(one) + len(other)
    replaced = distance_by_definition(one[1:], other[1:]) + (one[0] != other[0])
    removed = distance_by_definition(one[1:], other)
    return min(replaced, removed + 1, distance_by_definition(one, other[1:]) + 1)


@given(TEXTS, TEXTS)
def test_the_edit_distance_is_the_least_number_of_edits(one: str, other: str) -> None:
    assert edit_distance(one, other) == distance_by_definition(one, other)


def test_long_texts_are_compared_in_no_time() -> None:
    assert edit_distance("ab" * 20_000, "ba" * 20_000) == 2


@given(TEXTS, TEXTS)
def test_anls_is_one_for_equal_answers_and_zero_from_half_of_them_on(one: str, other: str) -> None:
    assert anls(one, one.upper() + " ") == 1.0
    score = anls(one, other)
    assert score == 0.0 or 0.5 < score <= 1.0
    assert score == anls(other, one)


@pytest.mark.parametrize(
    ("expected", "answer", "score"),
    [("abcd", "abce", 0.75), ("abcd", "abef", 0.0), ("", "", 1.0), ("", "a", 0.0)],
)
def test_anls_of_a_few_answers(expected: str, answer: str, score: float) -> None:
    assert anls(expected, answer) == score


def test_only_white_space_at_both_ends_is_no_difference() -> None:
    assert exact("7", " 7\n")
    assert not exact("a b", "a  b")
    assert normalised("A  B") == normalised("a b")


@given(VALUES)
def test_an_object_equals_itself_whatever_its_order_and_white_space(value: Any) -> None:
    answer = json.dumps({"x": value})
    found = field_scores([(answer, json.dumps({"x": value}, indent=2))])

    assert found is not None
    assert (found.f1, found.no_json) == (1.0, 0)
    assert fields_of(answer) == fields_of(json.dumps({"x": value}, ensure_ascii=False))


def test_fields_are_counted_over_all_rows_of_json() -> None:
    rows = [
        ('{"number": "7", "items": ["a", "b"]}', '{"items": ["b", "c", "d"], "number": 7}'),
        ('{"number": "8"}', "```json\n{}\n```"),
        ("plain", "plain"),
    ]

    found = field_scores(rows)

    assert found is not None
    assert (found.rows, found.no_json) == (2, 1)
    assert (found.expected, found.given, found.right) == (4, 4, 1)
    assert found.by_field == {"number": (0, 2), "items": (1, 2)}
    assert (found.precision, found.recall, found.f1) == (0.25, 0.25, 0.25)


@pytest.mark.parametrize("answer", ["[1]", "7", "", "{", '{"a": 1} x', "[" * 100_000])
def test_what_is_no_object_has_no_fields(answer: str) -> None:
    assert fields_of(answer) is None
    assert field_scores([(answer, answer)]) is None


def test_a_letter_and_its_accent_are_one_as_the_tokenizer_makes_them() -> None:
    one, two = "Caf\u00e9", "Cafe\u0301"

    assert exact(one, two) and anls(one, two) == 1.0
    assert fields_of(f'{{"a": "{one}"}}') == fields_of(f'{{"a": "{two}"}}')
    assert not exact(one, "Cafe")
