"""The records: what a draft keeps when its pictures are opened, and how a place is spelled."""

from __future__ import annotations

from dataclasses import fields

import pytest

from vlm_datakit.conversation import (
    Conversation,
    Draft,
    Image,
    ImageForm,
    ImageSource,
    Message,
    Origin,
    Text,
)


def test_opening_the_pictures_keeps_everything_else() -> None:
    source = ImageSource(ImageForm.PATH, "a.png", "$.image")
    image = Image(b"GIF", "image/gif", 1, 1)
    answer = (Message("assistant", (Text("5"),)),)
    draft = Draft((Message("user", ()),), (source,), "7", "[]", 1, answer)

    conversation = draft.with_images((image,))

    assert conversation == Conversation(draft.messages, (image,), "7", "[]", 1, answer)
    assert {f.name for f in fields(Draft)} - {f.name for f in fields(Conversation)} == {"warnings"}


@pytest.mark.parametrize(
    ("origin", "words"),
    [
        pytest.param(Origin("a.jsonl", 120, 3), "a.jsonl:3", id="line known"),
        pytest.param(Origin("a.jsonl", 120), "a.jsonl:byte 120", id="line unknown"),
    ],
)
def test_a_place_is_spelled_for_people(origin: Origin, words: str) -> None:
    assert str(origin) == words
