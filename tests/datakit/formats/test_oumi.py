"""Conversations of Oumi."""

from __future__ import annotations

import pytest

from vlm_datakit.conversation import Conversation, Image, ImageRef, Message, Text
from vlm_datakit.formats.format import row_of
from vlm_datakit.formats.oumi import FORMAT, losses, parse, render

GIF = Image(b"GIF", "image/gif", 1, 1)
SHOWN = Conversation(
    (Message("user", (ImageRef(), Text("?"))), Message("assistant", (Text("!"),))), (GIF,), "7"
)


def test_texts_are_contents_and_pictures_are_base64() -> None:
    assert row_of(SHOWN, FORMAT) == {
        "conversation_id": "7",
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "image_binary", "binary": "R0lG"},
                    {"type": "text", "content": "?"},
                ],
            },
            {"role": "assistant", "content": "!"},
        ],
    }
    assert losses(SHOWN) == ()


@pytest.mark.parametrize(
    ("picture", "kind"),
    [("https://a.example/a.gif", "image_url"), ("pictures/a.gif", "image_path")],
)
def test_a_picture_that_is_named_keeps_its_name(picture: str, kind: str) -> None:
    part = render(SHOWN, [picture])["messages"][0]["content"][0]

    assert part == {"type": kind, "content": picture}


def test_the_conversations_own_id_goes_before_another() -> None:
    row = {"conversation_id": "a", "id": "b", "messages": [{"role": "user", "content": "?"}]}

    draft = parse(row)

    assert (draft.id, [warned.where for warned in draft.warnings]) == ("a", ["$.id"])
    assert parse({**row, "conversation_id": None}).id == "b"


def test_bytes_go_before_a_path_which_is_warned_of() -> None:
    part = {"type": "image_path", "content": "a.png", "binary": "R0lG"}

    draft = parse({"messages": [{"role": "user", "content": [part]}]})

    assert draft.images[0].value == "R0lG"
    assert [warned.where for warned in draft.warnings] == ["$.messages[0].content[0].content"]
