"""Calls of tools: a JSON text here, OpenAI's objects there."""

from __future__ import annotations

from typing import Any

import pytest

from vlm_datakit.calls import bare_calls, holds_calls, parse_calls
from vlm_datakit.conversation import Warned
from vlm_datakit.errors import Reason, RowError

NOW = {"name": "now", "arguments": {}}


def call(function: Any, **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": function, **more}


@pytest.mark.parametrize(
    "text", ['{"name": "now", "arguments": {}}', '[{"name":"now","arguments":{}}]']
)
def test_a_call_and_a_list_of_one_are_the_same(text: str) -> None:
    assert parse_calls(text, "$", []) == [call(NOW)]


def test_other_keys_of_a_call_are_warned_of() -> None:
    warnings: list[Warned] = []
    parse_calls('{"name": "now", "arguments": {}, "id": "7"}', "$", warnings)

    assert [warned.where for warned in warnings] == ["$.id"]


@pytest.mark.parametrize(
    ("text", "reason", "where"),
    [
        pytest.param("now()", Reason.FIELD_NOT_JSON, "$", id="no JSON"),
        pytest.param("7", Reason.FIELD_NOT_JSON, "$", id="a number"),
        pytest.param("[]", Reason.FIELD_MISSING, "$", id="no call"),
        pytest.param("[7]", Reason.FIELD_WRONG_TYPE, "$", id="a list of numbers"),
        pytest.param('{"arguments": {}}', Reason.FIELD_MISSING, "$.name", id="no name"),
        pytest.param('{"name": "now"}', Reason.FIELD_MISSING, "$.arguments", id="no arguments"),
        pytest.param(
            '{"name": "now", "arguments": {"id": 123456789012345678901}}',
            Reason.NUMBER_NOT_EXACT,
            "$.arguments.id",
            id="digits lost",
        ),
    ],
)
def test_other_texts_are_refused(text: str, reason: Reason, where: str) -> None:
    with pytest.raises(RowError) as caught:
        parse_calls(text, "$", [])

    assert (caught.value.reason, caught.value.where) == (reason, where)


@pytest.mark.parametrize(
    ("tool_calls", "bare", "whole"),
    [
        pytest.param([call(NOW)], [NOW], True, id="as parsed"),
        pytest.param([call(NOW, id="7")], [NOW], False, id="an id"),
        pytest.param([NOW], [NOW], False, id="without the function around it"),
        pytest.param([call({"name": "now", "arguments": "{}"})], [NOW], False, id="JSON text"),
        pytest.param([call({"name": "now", "arguments": "now"})], [], False, id="other text"),
        pytest.param(
            [call({"name": "now", "arguments": "[123456789012345678901]"})],
            *([], False),
            id="digits would be lost",
        ),
        pytest.param([call(NOW), {"a": 1}], [], False, id="one is none"),
        pytest.param([7], [], False, id="a number"),
        pytest.param(None, [], False, id="null"),
    ],
)
def test_calls_are_stripped_to_name_and_arguments(
    tool_calls: Any, bare: list[Any], whole: bool
) -> None:
    assert bare_calls(tool_calls) == bare
    assert holds_calls(tool_calls) is whole
