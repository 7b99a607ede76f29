"""ShareGPT rows, as LLaMA-Factory reads them."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from vlm_datakit.conversation import Conversation, Draft, ImageRef, Message, Text
from vlm_datakit.errors import RowError
from vlm_datakit.formats.format import row_of
from vlm_datakit.formats.sharegpt import FORMAT, parse
from vlm_datakit.losses import Loss


def said(who: str, what: Any) -> dict[str, Any]:
    return {"from": who, "value": what}


PLAIN = st.text(st.characters(exclude_characters="<"))  # no <image>
HUMAN, GPT = said("human", "2 + 2?"), said("gpt", "4")
CALL = {"type": "function", "function": {"name": "add", "arguments": {"b": 2, "a": 1.5}}}


def row(*turns: dict[str, Any], **columns: Any) -> dict[str, Any]:
    return {"conversations": [*turns], **columns}


def message(role: str, *texts: str, **extras: Any) -> Message:
    return Message(role, tuple(map(Text, texts)), extras)


def refused(fields: dict[str, Any]) -> str:
    with pytest.raises(RowError) as caught:
        parse(fields)
    return f"{caught.value}"


@pytest.mark.parametrize(
    ("who", "role"),
    [
        *(("human", "user"), ("user", "user"), ("observation", "tool"), ("tool", "tool")),
        *(("gpt", "assistant"), ("assistant", "assistant"), ("chatgpt", "assistant")),
        *(("bot", "assistant"), ("system", "system")),
    ],
)
def test_speakers_have_the_names_of_this_family(who: str, role: str) -> None:
    assert parse(row(said(who, "a"))).messages == (message(role, "a"),)


def test_turns_may_say_role_and_content() -> None:
    fields = {"role": "user", "content": "a", "from": None, "value": None}

    assert parse(row(fields)) == Draft((message("user", "a"),))


def test_a_function_call_is_an_answer_of_calls() -> None:
    text = '{"name": "add", "arguments": {"b": 2, "a": 1.50}}'
    draft = parse(row(HUMAN, said("function_call", text)))

    assert draft.messages[1] == Message("assistant", (), {"tool_calls": [CALL]})


@pytest.mark.parametrize(
    ("system", "turns", "texts", "warned"),
    [
        pytest.param("a", [HUMAN], ["a", "2 + 2?"], [], id="beside"),
        pytest.param("", [HUMAN], ["2 + 2?"], [], id="empty"),
        pytest.param("a", [said("system", "a"), HUMAN], ["a", "2 + 2?"], [], id="twice"),
        pytest.param("b", [said("system", "a"), HUMAN], ["a", "2 + 2?"], ["$.system"], id="two"),
    ],
)
def test_a_system_message_may_stand_beside(
    system: str, turns: list[Any], texts: list[str], warned: list[str]
) -> None:
    draft = parse(row(*turns, system=system))

    assert draft.messages[: len(texts)] == tuple(
        message("system" if text in "ab" else "user", text) for text in texts
    )
    assert [warning.where for warning in draft.warnings] == warned


def test_tools_that_are_text_stay_byte_for_byte() -> None:
    draft = parse(row(HUMAN, GPT, tools='[ {"b": 1.50, "a": 1} ]'))

    assert draft.tools == '[ {"b": 1.50, "a": 1} ]'
    assert row_of(draft.with_images(()), FORMAT)["tools"] == draft.tools
    assert parse(row(HUMAN, GPT, tools=[{"b": 1, "a": 2}])).tools == '[{"b":1,"a":2}]'
    assert parse(row(HUMAN, GPT, tools="")).tools is None


def test_a_pair_has_its_question_last() -> None:
    draft = parse(row(HUMAN, chosen=GPT, rejected=said("gpt", "5")))

    assert draft.messages == (message("user", "2 + 2?"), message("assistant", "4"))
    assert (draft.prompt_messages, draft.rejected) == (1, (message("assistant", "5"),))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        pytest.param({}, "field-missing at $.conversations: null", id="none"),
        pytest.param(row(7), "field-wrong-type at $.conversations[0]: 7", id="no turn"),  # type: ignore[arg-type]
        pytest.param(
            row({"value": "a"}), "field-missing at $.conversations[0].from: null", id="who"
        ),
        pytest.param(
            row({"from": "gpt"}), "field-missing at $.conversations[0].value: null", id="what"
        ),
        pytest.param(
            row(said("me", "a")), 'role-unknown at $.conversations[0].from: "me"', id="me"
        ),
        pytest.param(
            row(HUMAN, images=["a.png"]),
            "image-count-differs at $.images: 0 <image> for 1 images",
            id="a picture without a place",
        ),
        pytest.param(
            row(HUMAN, chosen=GPT, rejected=GPT),
            "pair-equal at $.rejected: an object with from, value",
            id="equal answers",
        ),
    ],
)
def test_a_broken_row_says_where(fields: dict[str, Any], words: str) -> None:
    assert refused(fields) == words


@pytest.mark.parametrize(
    ("messages", "losses"),
    [
        pytest.param(("user", "assistant"), [], id="a question and an answer"),
        pytest.param(("system", "user", "assistant"), [], id="after a system message"),
        pytest.param(("user", "assistant", "tool", "assistant"), [], id="with a tool"),
        pytest.param(
            ("system", "system", "user", "assistant"), [Loss.TURN_ORDER], id="two systems"
        ),
        pytest.param(("user", "user", "assistant"), [Loss.TURN_ORDER], id="two questions"),
        pytest.param(("user", "assistant", "assistant"), [Loss.TURN_ORDER], id="two answers"),
        pytest.param(("user", "assistant", "user"), [Loss.TURN_ORDER], id="a question last"),
        pytest.param(
            ("user", "assistant", "tool", "tool", "assistant"), [Loss.TURN_ORDER], id="tools"
        ),
        pytest.param(("system",), [Loss.TURN_ORDER], id="no question"),
    ],
)
def test_rows_that_llama_factory_would_drop_are_not_written(
    messages: tuple[str, ...], losses: list[Loss]
) -> None:
    found = FORMAT.losses(Conversation(tuple(message(role, "a") for role in messages)))

    assert [lost.loss for lost in found] == losses


def test_with_consent_calls_lose_their_ids_and_spell_their_arguments_once() -> None:
    call = {"id": "7", "type": "function", "function": {"name": "add", "arguments": '{"a": 1.50}'}}
    asked = Message("assistant", (), {"tool_calls": [call]})
    conversation = Conversation((message("user", "a"), asked))

    assert [lost.loss for lost in FORMAT.losses(conversation)] == [Loss.TOOL_CALLS]
    turn = row_of(conversation, FORMAT)["conversations"][1]
    assert turn == said("function_call", '{"name":"add","arguments":{"a":1.5}}')


def test_with_consent_a_text_beside_calls_stays() -> None:
    asked = message("assistant", "I add.", tool_calls=[CALL])
    conversation = Conversation((message("user", "a"), asked))

    assert [lost.loss for lost in FORMAT.losses(conversation)] == [Loss.TOOL_CALLS]
    assert row_of(conversation, FORMAT)["conversations"][1] == said("gpt", "I add.")


def test_a_pair_of_several_messages_each_is_not_written() -> None:
    messages = (message("user", "a"), message("assistant", "b"))
    rejected = (message("assistant", "c"), message("assistant", "d"))
    found = FORMAT.losses(Conversation(messages, prompt_messages=1, rejected=rejected))

    assert [lost.loss for lost in found] == [Loss.TURN_ORDER]


def test_pictures_come_in_the_order_of_their_places() -> None:
    fields = row(said("human", "<image>a<image>"), GPT, images=["1.png", "2.png"])
    draft = parse(fields)

    assert draft.messages[0].content == (ImageRef(), Text("a"), ImageRef())
    assert [image.value for image in draft.images] == ["1.png", "2.png"]


@given(
    st.lists(st.tuples(PLAIN, PLAIN), min_size=1),
    st.sampled_from(["conversation", "conversations"]),
)
def test_turns_in_twos_are_those_of_one(pairs: list[tuple[str, str]], column: str) -> None:
    twos = {column: [{"human": asked, "assistant": answer} for asked, answer in pairs]}
    ones = [
        {"from": who, "value": text}
        for pair in pairs
        for who, text in zip(("human", "gpt"), pair, strict=True)
    ]

    assert parse(twos) == parse({"conversations": ones})


def test_what_else_a_turn_of_two_says_is_warned_of() -> None:
    turn = {"human": "?", "assistant": "!", "score": 5, "from": None}

    (warned,) = parse({"conversation": [turn], "conversations": None}).warnings

    assert (warned.where, warned.seen) == ("$.conversation[0].score", "5")
