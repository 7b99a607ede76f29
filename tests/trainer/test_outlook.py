"""What a run takes, told from its rows and settings; the table of the docs is counted so too."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from vlm_trainer.cli import cli
from vlm_trainer.config import from_flat
from vlm_trainer.launch import Processes
from vlm_trainer.memory import Training, memory_of, published
from vlm_trainer.outlook import cost_lines, training_of
from vlm_trainer.run import prepare

DOCS = Path(__file__).parents[2] / "docs" / "trainer.md"


def plan(data: Path, *flags: str) -> str:
    words = ["plan", "--model-name-or-path", "tiny", "--data", str(data), *flags]
    done = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def test_the_table_of_the_docs_is_what_is_counted() -> None:
    lines = ["| GiB on a device | bf16 | 8-bit | 4-bit | bf16 | 8-bit | 4-bit |", "|---" * 7 + "|"]
    for name, config in published().items():
        trainings = [
            Training(kind, batch_tokens=1_500, batch_patches=4_920, checkpointing=checkpointing)
            for checkpointing in (True, False)
            for kind in ("bf16", "8bit", "4bit")
        ]
        found = [memory_of(config, training) for training in trainings]
        sizes = [f"{memory.total / 2**30:.0f}" for memory in found if memory]
        lines.append(f"| {name.partition('/')[2]} | {' | '.join(sizes)} |")

    assert "\n".join(lines) in DOCS.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, {"precision": "bf16", "checkpointing": True, "lora_r": 16}),
        ({"bf16": False}, {"precision": "float32", "checkpointing": True}),
        ({"use_cpu": True}, {"precision": "float32", "checkpointing": False}),
        ({"load_in": "4bit", "quantize_vision": True}, {"precision": "4bit"}),
        ({"tuning": "full"}, {"precision": "float32", "lora_r": 0, "with_reference": False}),
        ({"gradient_checkpointing": False}, {"checkpointing": False}),
        ({"per_device_train_batch_size": 3}, {"batch_tokens": 3 * 40, "batch_patches": 3 * 16}),
    ],
)
def test_the_settings_decide_what_is_held(
    digits: Path, settings: dict[str, Any], expected: dict[str, Any]
) -> None:
    config = from_flat({"model_name_or_path": "tiny", "data": str(digits), **settings})
    lengths = prepare(config, Processes()).lengths

    training = training_of(config, lengths)

    assert {name: getattr(training, name) for name in expected} == expected


def test_a_pair_holds_both_answers_and_a_full_tuning_its_reference(
    make_import: Callable[..., Path], rows: Any
) -> None:
    data = make_import(rows.shade_pairs(range(4)), layout="pair")
    config = from_flat({"model_name_or_path": "tiny", "data": str(data), "tuning": "full"})
    prepared = prepare(config, Processes(2))
    base = published()["Qwen/Qwen2.5-VL-3B-Instruct"]

    training = training_of(prepared.config, prepared.lengths)
    memory = memory_of(base, training)
    first, second = cost_lines(prepared.config, prepared.lengths, base, 2)

    assert training.batch_tokens == prepared.plan.longest
    assert training.batch_patches == 2 * 16
    assert memory is not None
    assert memory.weights == memory.trained == 4 * 3_754_622_976
    assert first.startswith("memory  reference 14.0 GiB, trained 14.0 GiB, gradients 14.0 GiB,")
    assert second == "        on each of 2 devices under DDP; FSDP and DeepSpeed deal out weights"


def test_a_plan_says_memory_time_and_what_is_held_out(digits: Path) -> None:
    flags = ("--eval-share", "0.3", "--num-train-epochs", "2", "--rate", "0.1")
    said = plan(digits, *flags)
    facts = json.loads(plan(digits, *flags, "--json"))

    assert facts["rows"] + facts["held_out_rows"] == 24
    assert facts["seconds"] == facts["tokens"] * 2 / 0.1
    assert facts["memory"]["optimizer"] == 2 * facts["memory"]["gradients"] > 0
    assert "\nmemory  base weights " in said
    hours, minutes = divmod(round(facts["seconds"] / 60), 60)
    assert f"\ntime    {hours} h {minutes} min at 0.1 tokens a second\n" in said
    assert f"\nheld    {facts['held_out_rows']} rows are measured and not trained: " in said
