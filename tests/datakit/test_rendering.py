"""The way out: nothing of a row is lost without a word."""

from __future__ import annotations

from collections.abc import Callable

from vlm_datakit.conversation import Conversation, Converted, Origin, Rejected, Warned
from vlm_datakit.errors import Reason
from vlm_datakit.formats import openai, simple
from vlm_datakit.losses import Loss, Lost
from vlm_datakit.rendering import Rendered, render

ORIGIN = Origin("a.jsonl", 0, 1)
EMPTY = Warned(Reason.ANSWER_EMPTY, "$.messages[1]", '""')


def test_a_row_that_fits_is_rendered_with_its_warnings(chat: Callable[..., Conversation]) -> None:
    outcome = render(Converted(ORIGIN, chat("?", ""), (EMPTY,)), simple.FORMAT)

    assert outcome == Rendered(ORIGIN, {"text": "?", "response": ""}, (EMPTY,))


def test_a_row_that_does_not_fit_is_refused_whole(chat: Callable[..., Conversation]) -> None:
    converted = Converted(ORIGIN, chat(tools="[]"), (), b"raw")

    outcome = render(converted, simple.FORMAT)

    reason, seen = Reason.DOES_NOT_FIT_FORMAT, "simple has no place for tools (--lossy tools)"
    assert outcome == Rejected(ORIGIN, reason, "$.tools", seen, b"raw")


def test_a_loss_that_is_allowed_is_counted(chat: Callable[..., Conversation]) -> None:
    converted = Converted(ORIGIN, chat("?", "", tools="[]"), (EMPTY,))

    outcome = render(converted, simple.FORMAT, lossy={Loss.TOOLS})

    loss = Lost(Loss.TOOLS, "$.tools", "tools")
    assert outcome == Rendered(ORIGIN, {"text": "?", "response": ""}, (EMPTY,), (loss,))


def test_a_refused_row_passes_as_it_is() -> None:
    refused = Rejected(ORIGIN, Reason.JSON_INVALID, "$", "cut")

    assert render(refused, openai.FORMAT) is refused
