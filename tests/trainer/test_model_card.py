"""The card of an output folder says what was trained on what."""

from __future__ import annotations

from dataclasses import replace

import yaml

from vlm_trainer.contract import make_contract
from vlm_trainer.model_card import CardFacts, model_card
from vlm_trainer.plan import TrainPlan
from vlm_trainer.sizes import PixelRule

FACTS = CardFacts(
    base="Qwen/Qwen2.5-VL-3B-Instruct", is_adapter=True, data="forms", split="train",
    manifest_sha256="0" * 64,
    plan=TrainPlan(
        rows=1_200, images=1_200, tokens=900_000, trained_tokens=40_000, longest=1_400,
        steps_per_epoch=150, steps=300, refused={"row-too-long": 2},
    ),
    contract=make_contract(PixelRule(), "template"),
    settings={"lora_r": 16, "learning_rate": 1e-4, "output_dir": "/my/secret/out"},
    processes=2, figures={"loss": 0.0712}, versions={"vlm-trainer": "0.1.0", "trl": "1.16"},
)  # fmt: skip


def test_the_hub_reads_its_head() -> None:
    _, head, _ = model_card(FACTS).split("---\n", 2)

    assert yaml.safe_load(head) == {
        "base_model": "Qwen/Qwen2.5-VL-3B-Instruct",
        "library_name": "peft",
        "pipeline_tag": "image-text-to-text",
        "tags": ["vlm-trainer", "lora"],
    }


def test_a_person_reads_what_was_trained_on_what() -> None:
    card = model_card(FACTS)

    assert "| rows | 1,200, with 1,200 pictures |" in card
    assert "| refused rows | 2 row-too-long |" in card
    assert "| lora_r | `16` |" in card
    assert "| loss | 0.0712 |" in card
    assert "vlm-trainer 0.1.0, trl 1.16" in card
    assert "secret" not in card  # no place on a disk


def test_a_run_on_pairs_has_its_own_words() -> None:
    settings = {"method": "dpo", "beta": 0.1, "dpo_loss": ["sigmoid"], "train_on": "assistant"}
    card = model_card(replace(FACTS, settings=settings))
    plain = model_card(replace(FACTS, settings={**settings, "method": "sft"}))

    assert "Trained to prefer the chosen over the rejected answer of each pair" in card
    assert "| pairs | 1,200, with 1,200 pictures |" in card
    assert "| dpo_loss | `['sigmoid']` |" in card
    assert "train_on" not in card
    assert yaml.safe_load(card.split("---\n", 2)[1])["tags"] == ["vlm-trainer", "lora", "dpo"]
    assert "Trained to give the answers of its data" in plain
    assert "beta" not in plain


def test_a_base_without_a_name_on_the_hub_is_not_named_to_it() -> None:
    head = model_card(replace(FACTS, base="my-model")).split("---\n", 2)[1]

    assert "base_model" not in yaml.safe_load(head)


def test_a_name_cannot_break_the_card() -> None:
    card = model_card(replace(FACTS, data="a | b\n---\nlicense: mit"))

    assert "| data | a \\| b --- license: mit, split train |" in card
    assert card.count("\n---\n") == 1
