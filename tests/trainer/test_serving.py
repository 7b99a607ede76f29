"""What a server will not take of an adapter is said before it is trained."""

from __future__ import annotations

import pytest

from vlm_trainer.config import LoraOptions
from vlm_trainer.serving import serving_notes


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, []),
        ({"use_rslora": True, "lora_r": 16}, []),
        ({"use_dora": True}, ["refuses DoRA"]),
        ({"lora_scope": ("language", "vision")}, ["vision part"]),
        ({"lora_scope": ("merger", "vision")}, ["vision and merger part"]),
        ({"lora_r": 17}, ["--max-lora-rank 32"]),
        ({"lora_r": 512}, ["--max-lora-rank 512"]),
        ({"lora_r": 513}, ["no rank above 512"]),
        ({"lora_r": 64, "use_dora": True}, ["refuses DoRA", "--max-lora-rank 64"]),
    ],
)
def test_notes_say_what_a_server_will_not_take(options: dict[str, object], said: list[str]) -> None:
    notes = serving_notes(LoraOptions(**options))  # type: ignore[arg-type]

    assert len(notes) == len(said)
    assert all(words in note for words, note in zip(said, notes, strict=True))
