"""The schemas of five formats say what their parsers say, as far as a schema can."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import orjson
import pytest
from hypothesis import event, given
from jsonschema import Draft202012Validator

from vlm_datakit.conversation import Conversation, Row
from vlm_datakit.errors import Reason, RowError
from vlm_datakit.formats import FORMATS
from vlm_datakit.formats.format import row_of

NAMES = ("sharegpt", "llava", "alpaca", "swift", "qwen")
SCHEMAS = {
    name: json.loads((files("vlm_datakit") / "schemas" / f"{name}.schema.json").read_text())
    for name in NAMES
}
VALIDATORS = {name: Draft202012Validator(schema) for name, schema in SCHEMAS.items()}
GOLDEN = Path(__file__).parents[1] / "golden"
#: What a schema sees of a row; it counts no places, compares no answers, parses no texts.
SEEN = {
    *(Reason.FIELD_MISSING, Reason.FIELD_NOT_TEXT, Reason.FIELD_WRONG_TYPE),
    *(Reason.ROLE_UNKNOWN, Reason.PART_UNKNOWN, Reason.IMAGE_IN_ANSWER),
    Reason.LAYOUT_DIFFERS,
}
each_schema = pytest.mark.parametrize("name", NAMES)


def reason(name: str, row: dict[str, Any]) -> Reason | None:
    try:
        FORMATS[name].parse(row)
    except RowError as error:
        in_text = error.where.endswith((".name", ".arguments")) or "value." in error.where
        return Reason.FIELD_NOT_JSON if in_text else error.reason
    return None


def assert_agrees(name: str, row: dict[str, Any]) -> None:
    found, is_valid = reason(name, row), VALIDATORS[name].is_valid(row)
    if found is None or found in SEEN:
        assert is_valid is (found is None)


@each_schema
def test_a_schema_is_one(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])


@each_schema
@given(row=st.from_type(Row))
def test_a_schema_takes_the_rows_that_its_parser_takes(name: str, row: Row) -> None:
    event(f"{reason(name, dict(row.fields))}")
    assert_agrees(name, dict(row.fields))


_TEXTS = st.sampled_from([None, "a", "", "<image>", 7])
_TURNS = st.dictionaries(
    st.sampled_from(["human", "assistant", "from", "role", "value", "content"]),
    _TEXTS | st.sampled_from(["human", "gpt", "system"]),
)


@pytest.mark.parametrize("name", ["sharegpt", "llava"])
@given(
    turns=st.lists(
        st.fixed_dictionaries({"human": _TEXTS, "assistant": _TEXTS}) | _TURNS, max_size=3
    ),
    columns=st.lists(st.sampled_from(["conversation", "conversations"]), unique=True),
)
def test_a_schema_takes_the_turns_in_twos_that_its_parser_takes(
    name: str, turns: list[Any], columns: list[str]
) -> None:
    row = {column: turns[number:] for number, column in enumerate(columns)}
    event(f"{reason(name, row)}")
    assert_agrees(name, row)


@each_schema
@given(conversation=st.from_type(Conversation))
def test_a_schema_takes_what_is_written(name: str, conversation: Conversation) -> None:
    assert_agrees(name, orjson.loads(orjson.dumps(row_of(conversation, FORMATS[name]))))


@each_schema
@pytest.mark.parametrize("case", ["rows", "broken"])
def test_a_schema_tells_golden_rows_apart(name: str, case: str) -> None:
    for line in (GOLDEN / name / case / "input.jsonl").read_bytes().splitlines():
        row = orjson.loads(line)
        if "objects" not in row:  # their tags stand in texts
            assert_agrees(name, row)
