"""Tokens that count less do so in the loss that is trained, and a weight of 1 changes no bit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from vlm_trainer.base_model import find_base
from vlm_trainer.chat import read_chat
from vlm_trainer.collate import collate
from vlm_trainer.conversation import from_columns
from vlm_trainer.labels import LabelRule
from vlm_trainer.order import permutation
from vlm_trainer.render import render
from vlm_trainer.run import train
from vlm_trainer.settings import read_config
from vlm_trainer.sizes import PixelRule

pytestmark = pytest.mark.slow

ROWS, BATCH = 8, 4


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory, rows: Any) -> tuple[Path, list[Any]]:
    """An import of digits whose answers are JSON of unequal length, every third a plain word."""
    written = rows.digit_rows(range(ROWS), question="In JSON?")
    for number, row in enumerate(written):
        answer = json.dumps({"digit": [number] * number, "name": "seven"}, indent=number % 2)
        row["messages"][1] = rows.message("assistant", "seven" if number % 3 == 0 else answer)
    splits = {"train": written, "test": written[:5]}
    return rows.write_import(tmp_path_factory.mktemp("forms") / "data", splits), written


@pytest.fixture(scope="module")
def fit(
    forms: tuple[Path, list[Any]], tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., tuple[list[dict[str, Any]], bytes]]:
    """Train two steps and return the lines of metrics and the adapter."""

    def run(**options: Any) -> tuple[list[dict[str, Any]], bytes]:
        output = tmp_path_factory.mktemp("run") / "out"
        given = {
            "model_name_or_path": str(tiny_folder), "data": str(forms[0]), "max_steps": 2,
            "output_dir": str(output), "per_device_train_batch_size": BATCH,
            "gradient_accumulation_steps": 1, "logging_steps": 1, "use_cpu": True,
            "learning_rate": 1e-2, "eval_split": "test", "eval_steps": 1,
            "per_device_eval_batch_size": 5, **options,
        }  # fmt: skip
        train(read_config(None, given), lambda _line: None)
        lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
        return lines, (output / "adapter_model.safetensors").read_bytes()

    return run


def values(lines: list[dict[str, Any]], name: str) -> list[float]:
    return [line[name] for line in lines if name in line]


def weighted_mean(folder: Path, rows: list[Any], labels: LabelRule) -> float:
    """Work the loss out by hand, from the logits of the untrained model."""
    from vlm_trainer.model import load_model, quiet_libraries

    chat = read_chat(folder, reads_pictures=True)
    rendered = [render(from_columns(row), chat, PixelRule(), labels) for row in rows]
    batch = dict(collate(rendered, chat.pad_id, chat.image_token_id))
    with quiet_libraries(), torch.inference_mode():
        model = load_model(find_base(str(folder)), dtype="float32").eval()
        targets, weights = batch.pop("labels")[:, 1:], batch.pop("loss_weights")[:, 1:]
        logits = model(**batch).logits[:, :-1].float()
    nll = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), reduction="none", ignore_index=-100
    )
    return float((nll * weights.flatten()).sum() / weights.sum())


def test_a_weight_of_one_is_the_plain_loss_to_the_bit(fit: Any) -> None:
    plain, adapter = fit()
    weighed, same = fit(json_focus=1.0, json_focus_keys=True)

    assert values(weighed, "loss") == values(plain, "loss")
    assert values(weighed, "eval_loss") == values(plain, "eval_loss")
    assert same == adapter


@pytest.mark.parametrize("weight", [0.25, 0.0])
def test_the_loss_is_the_weighted_mean_over_the_step(
    fit: Any, forms: tuple[Path, list[Any]], tiny_folder: Path, weight: float
) -> None:
    labels = LabelRule("assistant", weight)
    first = [forms[1][row] for row in permutation(0, 42, ROWS)[:BATCH]]

    lines, _ = fit(json_focus=weight)
    pieces, _ = fit(json_focus=weight, per_device_train_batch_size=1, gradient_accumulation_steps=4)

    expected = weighted_mean(tiny_folder, first, labels)
    assert values(lines, "loss")[0] == pytest.approx(expected, abs=1e-4)
    assert values(pieces, "loss") == pytest.approx(values(lines, "loss"), abs=1e-4)
    assert expected != pytest.approx(
        weighted_mean(tiny_folder, first, LabelRule("flags")), abs=1e-2
    )


def test_weights_of_the_flags_are_in_the_loss_and_in_what_is_measured(
    rows: Any, fit: Any, forms: tuple[Path, list[Any]], tiny_folder: Path, tmp_path: Path
) -> None:
    flagged = [
        {**row, "extras": json.dumps({"1": {"weight": 0.1 * number}})}
        for number, row in enumerate(forms[1], start=1)
    ]
    data = rows.write_import(tmp_path / "data", {"train": flagged, "test": flagged[:5]})

    lines, _ = fit(data=str(data), train_on="flags", learning_rate=0.0)

    first = [flagged[row] for row in permutation(0, 42, ROWS)[:BATCH]]
    expected = weighted_mean(tiny_folder, first, LabelRule("flags"))
    measured = weighted_mean(tiny_folder, flagged[:5], LabelRule("flags"))
    assert values(lines, "loss")[0] == pytest.approx(expected, abs=1e-4)
    assert values(lines, "eval_loss") == pytest.approx([measured] * 2, abs=1e-4)
