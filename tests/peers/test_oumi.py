"""Oumi's record classes take our oumi rows, and say and show the same."""

from __future__ import annotations

import json

from oumi.core.types.conversation import Conversation, Type

from .conftest import ROWS, pictures_of, texts_of


def test_conversations_have_the_same_texts_and_pictures(converted) -> None:
    out = converted(ROWS, "oumi")

    lines = out.read_text(encoding="utf-8").split("\n")[:-1]
    for row, line in zip(ROWS, lines, strict=True):
        found = Conversation.from_dict(json.loads(line))
        turns = [
            (
                str(message.role),
                "".join(
                    item.content if item.type is Type.TEXT else "<image>"
                    for item in message.content_items
                ),
            )
            for message in found.messages
        ]
        items = [item for message in found.messages for item in message.image_content_items]
        assert turns == texts_of(row)
        assert [item.binary for item in items] == pictures_of(row)
