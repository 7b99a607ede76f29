"""Fields that must be text are text already; numbers keep their digits or refuse the row."""

from __future__ import annotations

import datetime
import math
from typing import Any

import orjson
import pytest

from vlm_datakit.conversation import ImageRef, Message, Text, Warned
from vlm_datakit.errors import Reason, RowError
from vlm_datakit.formats import FORMATS
from vlm_datakit.turns import (
    count_images,
    exact,
    ignored,
    json_text,
    list_field,
    object_field,
    row_id,
    row_warnings,
    spoken,
    text_field,
)
from vlm_datakit.unread import hold_unread

BEYOND_64_BITS = 2**64


def nested(levels: int) -> Any:
    """Return a list in a list in a list ..."""
    return orjson.loads("[" * levels + "]" * levels)


@pytest.mark.parametrize(
    "text", ["", " ", "007", "null", '{"a": "007"}', "\x00", "e\u0301", "\u2028"]
)
def test_a_text_is_taken_character_for_character(text: str) -> None:
    assert text_field(text, "$") == text


@pytest.mark.parametrize(
    ("value", "reason", "seen"),
    [
        pytest.param(None, Reason.FIELD_MISSING, "null", id="null"),
        pytest.param(7, Reason.FIELD_NOT_TEXT, "7", id="a number"),
        pytest.param(True, Reason.FIELD_NOT_TEXT, "true", id="a boolean"),
        pytest.param(["a"], Reason.FIELD_NOT_TEXT, "a list of 1", id="a list"),
        pytest.param({"a": 1}, Reason.FIELD_NOT_TEXT, "an object with a", id="an object"),
        pytest.param(b"a", Reason.FIELD_NOT_TEXT, "a bytes", id="bytes"),
    ],
)
def test_what_is_not_text_is_never_spelled_out(value: object, reason: Reason, seen: str) -> None:
    with pytest.raises(RowError) as caught:
        text_field(value, "$.text")

    assert caught.value.args == (reason, "$.text", seen)


@pytest.mark.parametrize(
    ("value", "reason", "seen"),
    [
        pytest.param(None, Reason.FIELD_MISSING, "null", id="null"),
        pytest.param([], Reason.FIELD_MISSING, "a list of 0", id="an empty list"),
        pytest.param({}, Reason.FIELD_WRONG_TYPE, "an empty object", id="an object"),
        pytest.param("ab", Reason.FIELD_WRONG_TYPE, '"ab"', id="a text"),
    ],
)
def test_a_list_has_something_in_it(value: object, reason: Reason, seen: str) -> None:
    with pytest.raises(RowError) as caught:
        list_field(value, "$.messages")

    assert caught.value.args == (reason, "$.messages", seen)


def test_a_list_may_come_as_a_tuple_from_python() -> None:
    assert list_field((1, 2), "$") == [1, 2]


@pytest.mark.parametrize(
    ("value", "reason", "seen"),
    [
        pytest.param(None, Reason.FIELD_MISSING, "null", id="null"),
        pytest.param([], Reason.FIELD_WRONG_TYPE, "a list of 0", id="a list"),
    ],
)
def test_an_object_is_an_object(value: object, reason: Reason, seen: str) -> None:
    with pytest.raises(RowError) as caught:
        object_field(value, "$.a")

    assert caught.value.args == (reason, "$.a", seen)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param("a-7", "a-7", id="text"),
        pytest.param("", None, id="empty text"),
        pytest.param(0, "0", id="zero"),
        pytest.param(2**64 - 1, "18446744073709551615", id="the largest"),
        pytest.param(True, None, id="a boolean"),
        pytest.param(1.5, None, id="a fraction"),
        pytest.param({"$oid": "5f"}, None, id="an object"),
        pytest.param(None, None, id="null"),
    ],
)
def test_an_id_is_a_text_or_a_whole_number(value: object, text: str | None) -> None:
    assert row_id(value) == text


@pytest.mark.parametrize("digits", ["18446744073709551616", "-9223372036854775809", "9" * 30])
def test_an_id_beyond_64_bits_refuses_the_row(digits: str) -> None:
    with pytest.raises(RowError) as caught:
        row_id(orjson.loads(digits))

    assert caught.value.args[:2] == (Reason.NUMBER_NOT_EXACT, "$.id")


def test_an_id_that_is_none_is_warned_about() -> None:
    warnings = row_warnings({"id": {"$oid": "5f"}, "a": 1}, frozenset({"id", "a"}))

    assert warnings == (Warned(Reason.FIELD_IGNORED, "$.id", "an object with $oid"),)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(None, None, id="null"),
        pytest.param(
            '[ {"b": 1.50, "a": "\\u00e9"} ]', '[ {"b": 1.50, "a": "\\u00e9"} ]', id="text"
        ),
        pytest.param([{"b": 1, "a": "é"}], '[{"b":1,"a":"é"}]', id="a list"),
        pytest.param({"b": None}, '{"b":null}', id="an object"),
    ],
)
def test_json_text_keeps_bytes_and_key_order(value: object, text: str | None) -> None:
    assert json_text(value, "$.tools") == text


@pytest.mark.parametrize(
    ("value", "where", "seen"),
    [
        pytest.param("[1,", "$.tools", '"[1,"', id="cut"),
        pytest.param("search", "$.tools", '"search"', id="a word"),
        pytest.param('"search"', "$.tools", '""search""', id="a JSON text"),
        pytest.param("null", "$.tools", '"null"', id="null as text"),
        pytest.param(7, "$.tools", "7", id="a number"),
        pytest.param([{1, 2}], "$.tools[0]", "a set", id="a set"),
        pytest.param([datetime.date(2024, 1, 2)], "$.tools[0]", "a date", id="a date"),
        pytest.param({1: 2}, "$.tools", "an object with 1", id="a key that is no text"),
    ],
)
def test_what_is_no_json_list_or_object_is_refused(value: object, where: str, seen: str) -> None:
    with pytest.raises(RowError) as caught:
        json_text(value, where="$.tools")

    assert caught.value.args == (Reason.FIELD_NOT_JSON, where, seen)


@pytest.mark.parametrize(
    "value",
    [2**64 - 1, -(2**63), 0.1, 9.2e18, "9" * 99, None, True, [{"a": [0]}], nested(200)],
    ids=lambda value: str(value)[:12],
)
def test_what_can_be_written_as_it_is_passes(value: object) -> None:
    assert exact(value, "$") is value
    assert orjson.loads(orjson.dumps([value])) == [value]


@pytest.mark.parametrize(
    ("value", "where", "seen"),
    [
        pytest.param(orjson.loads(f"{BEYOND_64_BITS}"), "$", "1.8446744073709552e+19", id="read"),
        pytest.param(BEYOND_64_BITS, "$", "an integer of 65 bits", id="of Python"),
        pytest.param(10**5000, "$", "an integer of 16610 bits", id="too long to print"),
        pytest.param({"a": [0, 1e300]}, "$.a[1]", "1e+300", id="inside"),
        pytest.param(math.nan, "$", "NaN", id="NaN"),
        pytest.param(-math.inf, "$", "-Infinity", id="infinity"),
    ],
)
def test_a_number_that_lost_its_digits_refuses_the_row(value: Any, where: str, seen: str) -> None:
    with pytest.raises(RowError) as caught:
        exact(value, "$")

    assert caught.value.args == (Reason.NUMBER_NOT_EXACT, where, seen)


@pytest.mark.parametrize("levels", [202, 300, 1020])
def test_what_is_nested_too_deeply_to_be_written_refuses_the_row(levels: int) -> None:
    with pytest.raises(RowError) as caught:
        exact(nested(levels), "$")

    assert caught.value.args[0] is Reason.FIELD_NOT_JSON
    assert caught.value.seen == "nested over 200 levels deep"


def test_fields_that_say_something_and_are_not_known_are_warned_about() -> None:
    fields = {"text": "a", "score": 0, "notes": None, "tags": []}

    warnings = ignored(fields, frozenset({"text"}), "$")

    assert [(w.reason, w.where, w.seen) for w in warnings] == [
        (Reason.FIELD_IGNORED, "$.score", "0"),
        (Reason.FIELD_IGNORED, "$.tags", "a list of 0"),
    ]


def test_words_and_pictures_of_messages_are_counted() -> None:
    message = Message("user", (Text("a"), ImageRef(), Text("b"), ImageRef("low")))

    assert (spoken(message), count_images((message, message))) == ("ab", 4)


@pytest.mark.parametrize(
    ("name", "column", "fields"),
    [
        ("sharegpt", "kto_tag", {"conversations": [{"from": "human", "value": "a"}]}),
        ("alpaca", "kto_tag", {"instruction": "a", "output": "b"}),
        ("swift", "label", {"query": "a", "response": "b"}),
        ("trl", "label", {"prompt": "a", "completion": "b"}),
    ],
)
def test_an_answer_that_is_marked_as_bad_is_not_taught(
    name: str, column: str, fields: dict[str, Any]
) -> None:
    marked = {**fields, column: False}

    with pytest.raises(RowError) as caught:
        hold_unread(FORMATS[name].parse(marked), marked)

    words = f"layout-differs at $.{column}: false: an answer marked as bad"
    assert f"{caught.value}" == words
    (warned,) = FORMATS[name].parse({**fields, column: True}).warnings
    assert (warned.reason, warned.where) == (Reason.FIELD_IGNORED, f"$.{column}")
