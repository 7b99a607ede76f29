"""Alpaca rows, as LLaMA-Factory reads them."""

from __future__ import annotations

from typing import Any

import pytest

from vlm_datakit.conversation import Conversation, Message, Text
from vlm_datakit.errors import RowError
from vlm_datakit.formats.alpaca import FORMAT, parse
from vlm_datakit.formats.format import row_of
from vlm_datakit.losses import Loss


def row(**columns: Any) -> dict[str, Any]:
    return {"instruction": "Add.", "output": "4", **columns}


def message(role: str, text: str, **extras: Any) -> Message:
    return Message(role, (Text(text),), extras)


@pytest.mark.parametrize(
    ("instruction", "given", "question"),
    [
        pytest.param("Add.", "2 + 2", "Add.\n2 + 2", id="both"),
        pytest.param("Add.", "", "Add.", id="an empty input"),
        pytest.param("Add.", None, "Add.", id="no input"),
        pytest.param("", "2 + 2", "2 + 2", id="an empty instruction"),
        pytest.param(None, "2 + 2", "2 + 2", id="no instruction"),
        pytest.param("", "", "", id="both empty"),
    ],
)
def test_a_question_is_instruction_and_input(instruction: Any, given: Any, question: str) -> None:
    draft = parse(row(instruction=instruction, input=given))

    assert draft.messages == (message("user", question), message("assistant", "4"))


def test_turns_of_the_history_come_first_and_come_back() -> None:
    fields = {"system": "Be brief.", **row(input=""), "history": [["1?", "1"], ["2?", "2"]]}
    draft = parse(fields)

    assert [part.text for m in draft.messages for part in m.content if isinstance(part, Text)] == [
        *("Be brief.", "1?", "1", "2?", "2", "Add.", "4")
    ]
    assert row_of(draft.with_images(()), FORMAT) == fields


@pytest.mark.parametrize(
    "columns",
    [{"output": ["4", "5"]}, {"output": "", "chosen": "4", "rejected": "5"}],
    ids=["a list", "columns"],
)
def test_a_pair_is_two_answers(columns: dict[str, Any]) -> None:
    draft = parse(row(**columns))

    assert (draft.messages[1], draft.rejected) == (
        message("assistant", "4"),
        (message("assistant", "5"),),
    )
    assert (draft.prompt_messages, draft.warnings) == (1, ())


def test_an_output_beside_a_pair_is_warned_of() -> None:
    draft = parse(row(output="6", chosen="4", rejected="5"))

    assert [warned.where for warned in draft.warnings] == ["$.output"]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        pytest.param({"instruction": None}, "field-missing at $.instruction: null", id="nothing"),
        pytest.param({"input": 7}, "field-not-text at $.input: 7", id="a number"),
        pytest.param({"output": None}, "field-missing at $.output: null", id="no output"),
        pytest.param({"history": [["1?"]]}, "field-wrong-type at $.history[0]", id="one of two"),
        pytest.param({"history": "[]"}, "field-wrong-type at $.history", id="a text"),
        pytest.param({"history": [["1?", 1]]}, "field-not-text at $.history[0][1]: 1", id="turn"),
        pytest.param({"output": ["4", "4"]}, "pair-equal at $.output[1]", id="equal answers"),
        pytest.param({"chosen": "4"}, "field-missing at $.rejected: null", id="half a pair"),
        pytest.param({"system": "<image>"}, "image-in-answer at $.system", id="a system message"),
        pytest.param({"input": "<image>"}, "image-count-differs at $.images", id="no picture"),
    ],
)
def test_a_broken_row_says_where(columns: dict[str, Any], words: str) -> None:
    with pytest.raises(RowError) as caught:
        parse(row(**columns))

    assert words in f"{caught.value}"


@pytest.mark.parametrize(
    ("messages", "losses"),
    [
        pytest.param((message("system", ""),), {Loss.SYSTEM}, id="an empty system message"),
        pytest.param(
            (message("user", "a", name="b"), message("assistant", "c")), {Loss.NAMES}, id="name"
        ),
        pytest.param(
            (
                message("user", "a"),
                Message("assistant", (), {"tool_calls": []}),
                message("tool", "b"),
            ),
            {Loss.TOOL_CALLS, Loss.TURN_ORDER},
            id="a tool",
        ),
    ],
)
def test_what_it_cannot_hold_is_named(messages: tuple[Message, ...], losses: set[Loss]) -> None:
    turns = () if losses != {Loss.SYSTEM} else (message("user", "a"), message("assistant", "b"))
    end = (message("assistant", "d"),) if messages[-1].role == "tool" else ()

    found = FORMAT.losses(Conversation((*messages, *turns, *end)))

    assert {lost.loss for lost in found} == losses
