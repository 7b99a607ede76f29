"""What every written conversation holds to, and what is only worth knowing about it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vlm_datakit.checks import SPECIAL_TOKENS, check, checker, layout_of
from vlm_datakit.conversation import Conversation, Image, ImageRef, Message, Part, Text, Warned
from vlm_datakit.errors import Reason, RowError

GIF = Image(b"GIF", "image/gif", 1, 1)
PLACE = ImageRef()


def say(role: str, *content: str | Part) -> Message:
    """Return a message; texts stand for text parts."""
    return Message(role, tuple(Text(part) if isinstance(part, str) else part for part in content))


SYSTEM, ASK, ANSWER = say("system", "s"), say("user", "?"), say("assistant", "!")


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param((ASK, ANSWER), id="one turn"),
        pytest.param((SYSTEM, ASK, ANSWER), id="system first"),
        pytest.param((SYSTEM, SYSTEM, ASK, ANSWER), id="two systems"),
        pytest.param((ASK, ANSWER, ASK, ANSWER), id="two turns"),
        pytest.param((ASK, ASK, ANSWER, ANSWER), id="in pairs"),
        pytest.param((ASK, ANSWER, say("tool", "4"), ANSWER), id="a tool"),
    ],
)
def test_a_conversation_in_order_passes_without_a_word(messages: tuple[Message, ...]) -> None:
    assert check(Conversation(messages)) == ()


def test_a_tool_may_show_a_picture() -> None:
    assert check(Conversation((ASK, ANSWER, say("tool", PLACE), ANSWER), (GIF,))) == ()


@pytest.mark.parametrize(
    ("messages", "images", "expected"),
    [
        pytest.param(
            (say("user", PLACE, "?"), ANSWER),
            (),
            (Reason.IMAGE_COUNT_DIFFERS, "$", "1 places for 0 images"),
            id="a place too many",
        ),
        pytest.param(
            (ASK, ANSWER),
            (GIF,),
            (Reason.IMAGE_COUNT_DIFFERS, "$", "0 places for 1 images"),
            id="a picture too many",
        ),
        pytest.param(
            (ANSWER, ASK),
            (),
            (Reason.ROLES_OUT_OF_ORDER, "$.messages[0]", '"assistant"'),
            id="the assistant first",
        ),
        pytest.param(
            (SYSTEM, say("tool", "4"), ANSWER),
            (),
            (Reason.ROLES_OUT_OF_ORDER, "$.messages[1]", '"tool"'),
            id="a tool first",
        ),
        pytest.param(
            (ASK, SYSTEM, ANSWER),
            (),
            (Reason.ROLES_OUT_OF_ORDER, "$.messages[1]", '"system"'),
            id="a late system",
        ),
        pytest.param(
            (ASK,), (), (Reason.ANSWER_MISSING, "$", "1 messages, none an answer"), id="no answer"
        ),
        pytest.param(
            (SYSTEM,),
            (),
            (Reason.ANSWER_MISSING, "$", "1 messages, none an answer"),
            id="a system alone",
        ),
        pytest.param(
            (), (), (Reason.ANSWER_MISSING, "$", "0 messages, none an answer"), id="nothing"
        ),
        pytest.param(
            (ASK, say("assistant", PLACE, "!")),
            (GIF,),
            (Reason.IMAGE_IN_ANSWER, "$.messages[1]", '"assistant"'),
            id="a picture in the answer",
        ),
        pytest.param(
            (say("system", PLACE), ASK, ANSWER),
            (GIF,),
            (Reason.IMAGE_IN_ANSWER, "$.messages[0]", '"system"'),
            id="a picture in the system message",
        ),
    ],
)
def test_a_conversation_that_is_off_is_refused(
    messages: tuple[Message, ...], images: tuple[Image, ...], expected: tuple[Reason, str, str]
) -> None:
    with pytest.raises(RowError) as caught:
        check(Conversation(messages, images))

    assert caught.value.args == expected


def test_the_answer_to_a_prompt_stands_in_its_completion() -> None:
    with pytest.raises(RowError) as caught:
        check(Conversation((ASK, ANSWER, ASK), prompt_messages=2))

    assert caught.value.args == (Reason.ANSWER_MISSING, "$", "1 messages, none an answer")


@pytest.mark.parametrize("answer", ["", " \n\t", "\u3000"])
def test_an_empty_answer_is_worth_knowing(answer: str) -> None:
    warnings = check(Conversation((ASK, say("assistant", answer))))

    assert [(w.reason, w.where) for w in warnings] == [(Reason.ANSWER_EMPTY, "$.messages[1]")]


def test_an_answer_of_tool_calls_alone_is_not_empty() -> None:
    call = Message("assistant", (), {"tool_calls": [{"id": "c"}]})

    assert check(Conversation((ASK, call))) == ()


def test_an_answer_of_no_tool_calls_is_empty() -> None:
    answer = Message("assistant", (Text(""),), {"tool_calls": []})

    assert check(Conversation((ASK, answer))) == (
        Warned(Reason.ANSWER_EMPTY, "$.messages[1]", '""'),
    )


def test_an_end_without_an_answer_is_worth_knowing() -> None:
    warnings = check(Conversation((ASK, ANSWER, ASK)))

    assert warnings == (Warned(Reason.ENDS_WITHOUT_ANSWER, "$.messages[2]", '"user"'),)


@pytest.mark.parametrize("token", SPECIAL_TOKENS)
def test_a_special_token_in_a_text_is_worth_knowing(token: str) -> None:
    warnings = check(Conversation((ASK, say("assistant", f"a{token}b"))))

    assert warnings == (Warned(Reason.LITERAL_SPECIAL_TOKEN, "$.messages[1]", f'"{token}"'),)


@pytest.mark.parametrize("text", ["<|im_star|>", "<| im_start |>", "<image>", "<|IM_END|>"])
def test_what_only_looks_like_a_special_token_is_text(text: str) -> None:
    assert check(Conversation((ASK, say("assistant", text)))) == ()


def test_a_first_frame_is_worth_knowing() -> None:
    still = Image(b"PNG", "image/png", 1, 1, ("frames",))
    conversation = Conversation((say("user", PLACE, PLACE), ANSWER), (GIF, still))

    warnings = check(conversation)

    assert warnings == (Warned(Reason.IMAGE_FIRST_FRAME_ONLY, "image 1", "image/png"),)


@pytest.mark.parametrize(
    ("facts", "layout"),
    [
        pytest.param({}, "conversation", id="conversation"),
        pytest.param({"prompt_messages": 1}, "answer", id="answer"),
        pytest.param({"prompt_messages": 1, "rejected": (ANSWER,)}, "pair", id="pair"),
    ],
)
def test_a_row_of_another_layout_than_the_plans_is_refused(
    chat: Callable[..., Conversation], facts: dict[str, object], layout: str
) -> None:
    planned = "answer" if layout == "conversation" else "conversation"

    with pytest.raises(RowError) as caught:
        checker(planned, with_images=True)(chat(**facts))

    assert caught.value.args == (
        Reason.LAYOUT_DIFFERS,
        "$",
        f"{layout}, and the plan has {planned}",
    )
    assert layout_of(chat(**facts)) == layout
    assert checker(layout, with_images=False)(chat(**facts)) == ()


def test_a_picture_in_a_plan_of_text_is_refused(chat: Callable[..., Conversation]) -> None:
    with pytest.raises(RowError) as caught:
        checker("conversation", with_images=False)(chat(images=(GIF,)))

    assert caught.value.args == (Reason.IMAGE_NOT_IN_PLAN, "$", "1 images")
