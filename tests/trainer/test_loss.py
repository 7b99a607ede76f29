"""The loss is TRL's; tokens that count less do so in it, and a weight of 1 changes no bit."""

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
from vlm_trainer.launch import find_processes, stop_request
from vlm_trainer.order import permutation
from vlm_trainer.render import render
from vlm_trainer.run import make_trainer, prepare, train
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


@pytest.fixture(scope="module")
def trainer(
    forms: tuple[Path, list[Any]], tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """A trainer of ours on the rows of forms, before its first step."""
    from vlm_trainer.model import quiet_libraries

    given = {
        "model_name_or_path": str(tiny_folder), "data": str(forms[0]), "use_cpu": True,
        "output_dir": str(tmp_path_factory.mktemp("run") / "out"), "lora_dropout": 0.0,
        "lora_scope": "language,merger,vision",
    }  # fmt: skip
    prepared = prepare(read_config(None, given), find_processes({}, 1))
    with quiet_libraries(), stop_request({}) as stop:
        return make_trainer(prepared, stop, [], lambda _line: None)


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


def gradients(model: Any, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: w.grad.clone() for name, w in model.named_parameters() if w.grad is not None}


@pytest.mark.parametrize("tokens", [None, 400])
@pytest.mark.parametrize("rows_of_batch", [[0, 1, 2, 3, 4, 5, 6, 7], [3], [0, 1]])
def test_loss_and_gradients_are_those_of_trl(
    trainer: Any, rows_of_batch: list[int], tokens: int | None
) -> None:
    from trl import SFTTrainer

    batch = trainer.data_collator([trainer.train_dataset[row] for row in rows_of_batch])
    model = trainer.model.train()
    ours = trainer.compute_loss(model, dict(batch), num_items_in_batch=tokens)
    theirs = SFTTrainer.compute_loss(trainer, model, dict(batch), num_items_in_batch=tokens)

    assert ours.item() == pytest.approx(theirs.item(), rel=1e-6)
    found, expected = gradients(model, ours), gradients(model, theirs)
    assert found.keys() == expected.keys()
    assert len(found) > 40
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], atol=1e-6, rtol=1e-4)


def test_a_batch_without_a_label_has_no_loss_and_a_gradient_of_zero(trainer: Any) -> None:
    batch = dict(trainer.data_collator([trainer.train_dataset[0]]))
    batch["labels"] = torch.full_like(batch["labels"], -100)

    loss = trainer.compute_loss(trainer.model.train(), batch, num_items_in_batch=torch.tensor(7))

    assert loss.item() == 0.0
    found = gradients(trainer.model, loss)
    assert found
    assert not any(gradient.any() for gradient in found.values())


def test_what_nobody_reads_is_taken_only_with_a_loss_that_only_trl_takes(fit: Any) -> None:
    plain, _ = fit(max_steps=1)
    asked, _ = fit(max_steps=1, trainer={"loss_type": "dft"})

    assert not {"entropy", "mean_token_accuracy"} & {name for line in plain for name in line}
    assert {"entropy", "mean_token_accuracy"} < set(asked[0])
    assert values(asked, "loss")[0] < values(plain, "loss")[0]


def test_gradients_are_clipped_to_the_norm_asked_for(fit: Any) -> None:
    from safetensors.torch import load

    one_step = {"max_steps": 1, "learning_rate": 1.0, "max_grad_norm": 1e-3}
    lines, adapter = fit(**one_step, trainer={"optim": "sgd"})

    moved = [value for name, value in load(adapter).items() if "lora_B" in name]  # from 0
    assert values(lines, "grad_norm")[0] > 1e-3
    assert torch.stack([w.norm() for w in moved]).norm().item() == pytest.approx(1e-3, rel=1e-3)


class Wrapper(torch.nn.Module):
    """Says that it trains, as one for several processes does, around a model that does not."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.inner = model.eval()

    def forward(self, **inputs: Any) -> Any:
        return self.inner(**inputs)


def test_a_wrapped_model_trains_from_the_first_step_and_after_it_was_measured(trainer: Any) -> None:
    wrapped = Wrapper(trainer.model)
    batch = dict(trainer.data_collator([trainer.train_dataset[0]]))

    for _ in range(2):
        trainer.create_optimizer()
        trainer.training_step(wrapped, dict(batch), torch.tensor(7))
        assert all(module.training for module in trainer.model.modules())
        wrapped.eval()
