"""What a server will not take of an adapter is said before it is trained."""

from __future__ import annotations

from typing import Any

import pytest

from vlm_trainer.serving import serving_notes


@pytest.mark.parametrize(
    ("adapter", "towers", "said"),
    [
        ({}, "language", []),
        ({"use_rslora": True, "bias": "none", "modules_to_save": None}, "language", []),
        ({"use_dora": True}, "language", ["refuses DoRA"]),
        ({"modules_to_save": ["lm_head"]}, "language", ["whole modules"]),
        ({"bias": "lora_only"}, "language", ["with biases"]),
        ({}, "language vision", ["vision part"]),
        ({}, "merger vision", ["vision and merger part"]),
        ({"r": 17}, "language", ["--max-lora-rank 32"]),
        ({"rank_pattern": {"q_proj": 40}}, "language", ["rank 40 only with --max-lora-rank 64"]),
        ({"r": 512}, "language", ["--max-lora-rank 512"]),
        ({"r": 513}, "language", ["no rank above 512"]),
        ({"r": 64, "use_dora": True}, "language", ["refuses DoRA", "--max-lora-rank 64"]),
    ],
)
def test_notes_say_what_a_server_will_not_take(
    adapter: dict[str, Any], towers: str, said: list[str]
) -> None:
    notes = serving_notes({"r": 16, **adapter}, towers.split())

    assert len(notes) == len(said)
    assert all(words in note for words, note in zip(said, notes, strict=True))


@pytest.mark.slow
def test_the_notes_of_a_fresh_adapter_come_from_peft_itself(tiny_folder: Any) -> None:
    from vlm_trainer.base_model import find_base
    from vlm_trainer.config import LoraOptions
    from vlm_trainer.lora import add_adapter, notes
    from vlm_trainer.model import load_model, quiet_libraries

    options = LoraOptions(lora_scope=("language", "merger"), use_dora=True, lora_r=4)
    with quiet_libraries():
        model = load_model(find_base(str(tiny_folder)), dtype="float32")
        found = notes(add_adapter(model, options))

    assert len(found) == 2
    assert "refuses DoRA" in found[0]
    assert "merger part" in found[1]
