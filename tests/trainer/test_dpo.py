"""DPO scores exactly the answers, learns, and ends in the same bytes after a stop."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from vlm_trainer.config import DPO_LOSSES, TrainConfig
from vlm_trainer.errors import RowsRefused, UsageError
from vlm_trainer.run import train
from vlm_trainer.settings import read_config

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*gradient_checkpointing"),  # TRL's; a run silences it
]

ROUNDING = 2e-7  # of a float32: a sum of 150 cannot be told to 1e-5


@pytest.fixture(scope="module")
def shades(tmp_path_factory: pytest.TempPathFactory, rows: Any) -> Path:
    """An import of 24 pairs to train on and 8 held out."""
    splits = {"train": rows.shade_pairs(range(24)), "test": rows.shade_pairs(range(24, 32))}
    return Path(rows.write_import(tmp_path_factory.mktemp("shades"), splits, layout="pair"))


def config(data: Path, output: Path, **options: Any) -> TrainConfig:
    given = {
        "model_name_or_path": "tiny",
        "data": str(data),
        "output_dir": str(output),
        "max_steps": 2,
        "per_device_train_batch_size": 8,
        "gradient_accumulation_steps": 1,
        "learning_rate": 5e-3,
        "logging_steps": 1,
        "use_cpu": True,
    }
    return read_config(None, {**given, **options})


def silent(_line: str) -> None:
    """Take a line of talk."""


def metrics(output: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def mixed(rows: Any, photos: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs with 0, 1 and 2 pictures and answers of very unequal length."""
    words = ["Yes.", "An astronaut, smiling.", "b", "No idea at all, none.", "seven", "red or blue"]
    pairs = []
    for number in range(3):
        chosen, rejected = (rows.message("assistant", word) for word in words[2 * number :][:2])
        asked = rows.message("user", *[rows.IMAGE] * number, "What is it?")
        pairs.append(rows.pair_row(f"{number}", asked, chosen, rejected, photos[:number]))
    folder = tmp_path_factory.mktemp("mixed")
    return Path(rows.write_import(folder, {"train": pairs}, layout="pair"))


def make_trainer(data: Path, output: Path, **options: Any) -> tuple[Any, Any]:
    """Return a trainer over the tiny model and its rows; the adapter is no longer fresh."""
    import torch

    from vlm_trainer.dpo import build_pair_trainer
    from vlm_trainer.epochs import epochs_of
    from vlm_trainer.jobs import Job
    from vlm_trainer.launch import Processes, StopRequest
    from vlm_trainer.lora import add_adapter
    from vlm_trainer.model import find_hardware, load_model, quiet_libraries
    from vlm_trainer.run import find_base, prepare

    prepared = prepare(config(data, output, **options), Processes())
    base = find_base("tiny")
    rows = prepared.rows(None)
    hardware = find_hardware(use_cpu=True)
    epochs = epochs_of(prepared.config, prepared.lengths, 1)
    stop = StopRequest(watch_parent=False)
    job = Job(prepared.config, hardware, base.folder, rows, epochs, None, stop)
    with quiet_libraries(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = add_adapter(load_model(base, dtype="float32"), prepared.config.lora)
        trainer = build_pair_trainer(job, model, None, [])
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.05)
    return trainer, rows


def plain_logp(model: Any, side: Any, chat: Any) -> float:
    """Return the log-probability of an answer: one row, one ordinary forward pass."""
    import torch

    from vlm_trainer.collate import collate

    batch = dict(collate([side], chat.pad_id, chat.image_token_id))
    labels = batch.pop("labels")[0, 1:]
    with torch.no_grad():
        logps = model(**batch).logits[0, :-1].double().log_softmax(-1)
    scored = labels != -100
    return float(logps[scored].gather(1, labels[scored][:, None]).sum())


def test_a_row_scores_as_in_a_plain_forward_pass(mixed: Path, tmp_path: Path) -> None:
    import torch

    trainer, rows = make_trainer(mixed, tmp_path)
    chat, model, logits = rows.how.chat, trainer.model.eval(), []
    for number in range(len(rows)):
        pair = rows[number]
        sides = (pair.chosen, pair.rejected)
        plain = [plain_logp(model, side, chat) for side in sides]
        with model.disable_adapter():
            base = [plain_logp(model, side, chat) for side in sides]
        with torch.no_grad():
            loss = trainer.compute_loss(model, trainer.data_collator([pair]))
        logged = {key: values[-1] for key, values in trainer._metrics["eval"].items()}
        assert logged["logps/chosen"] == pytest.approx(plain[0], rel=ROUNDING, abs=1e-5)
        assert logged["logps/rejected"] == pytest.approx(plain[1], rel=ROUNDING, abs=1e-5)
        assert logged["rewards/chosen"] == pytest.approx(0.1 * (plain[0] - base[0]), abs=1e-5)
        logits.append(0.1 * (plain[0] - base[0] - plain[1] + base[1]))
        assert abs(logits[-1]) > 1e-3
        expected = -torch.nn.functional.logsigmoid(torch.tensor(logits[-1]))
        assert float(loss) == pytest.approx(float(expected), abs=1e-5)

    with torch.no_grad():
        together = trainer.compute_loss(model, trainer.data_collator([rows[n] for n in (2, 0, 1)]))
    each = -torch.nn.functional.logsigmoid(torch.tensor(logits))
    assert float(together) == pytest.approx(float(each.mean()), abs=1e-5)


def test_an_answer_is_scored_with_its_end_and_nothing_else(mixed: Path, tmp_path: Path) -> None:
    _, rows = make_trainer(mixed, tmp_path)

    chat = rows.how.chat
    for number, answer in enumerate(["Yes.", "b", "seven"]):
        side = rows[number].chosen
        scored = side.ids[side.labels != -100].tolist()
        assert chat.tokenizer.decode(scored, skip_special_tokens=False) == f"{answer}<|im_end|>\n"


def test_the_dropout_that_was_asked_for_stays_on(mixed: Path, tmp_path: Path) -> None:
    import torch

    trainer, _ = make_trainer(mixed, tmp_path, lora_dropout=0.25)

    rates = {m.p for m in trainer.model.modules() if isinstance(m, torch.nn.Dropout) and m.p}
    assert rates == {0.25}


def test_every_loss_of_trl_is_known_by_its_name(mixed: Path, tmp_path: Path) -> None:
    import torch

    trainer, rows = make_trainer(mixed, tmp_path)
    batch = trainer.data_collator([rows[0], rows[1]])
    trainer.label_smoothing = 1e-3
    for name in DPO_LOSSES:
        trainer.loss_types, trainer.loss_weights = [name], [1.0]
        with torch.no_grad():
            assert torch.isfinite(trainer.compute_loss(trainer.model, batch)), name
    trainer.loss_types = ["nonsense"]
    with pytest.raises(ValueError, match="Unknown loss type") as caught:
        trainer.compute_loss(trainer.model, batch)
    assert set(re.findall(r"'(\w+)'", str(caught.value))) == set(DPO_LOSSES)


@pytest.mark.parametrize(
    ("tuning", "rate", "scope"),
    [("lora", 5e-3, "language,vision,merger"), ("full", 1e-3, "language")],
)
def test_loss_falls_and_the_chosen_answer_wins_on_held_out_pairs(
    shades: Path, tmp_path: Path, tuning: str, rate: float, scope: str
) -> None:
    said: list[str] = []
    options = {"tuning": tuning, "learning_rate": rate, "lora_scope": scope, "max_steps": 12}
    if tuning == "lora":
        options["lora_dropout"] = 0.1

    train(config(shades, tmp_path, eval_split="test", eval_steps=12, **options), said.append)

    assert "method  dpo, as the shards hold preference pairs: loss sigmoid, beta 0.1" in said
    *steps, held_out = metrics(tmp_path)
    assert steps[0]["loss"] == pytest.approx(0.693147, abs=1e-4)
    assert steps[0]["rewards/margins"] == pytest.approx(0, abs=1e-4)
    assert steps[-1]["loss"] < 0.1
    assert held_out["eval_loss"] < 0.1
    assert held_out["eval_rewards/accuracies"] == 1.0
    assert held_out["eval_rewards/chosen"] > held_out["eval_rewards/rejected"]
    assert steps[0]["rewards/accuracies"] < steps[-1]["rewards/accuracies"] == 1.0
    assert not (tmp_path / "ref").exists()


def test_a_step_learns_the_same_however_its_pairs_are_dealt_out(
    shades: Path, tmp_path: Path
) -> None:
    losses = []
    for batch, accumulation in ((10, 1), (1, 10), (4, 3)):  # 24 pairs: the last step has 4
        output = tmp_path / f"{batch}"
        dealt = {
            "per_device_train_batch_size": batch,
            "gradient_accumulation_steps": accumulation,
            "exclude_ids": [f"shade-{n}" for n in range(14)],  # 10 left: 4 + 4 + 2
        }
        train(config(shades, output, max_steps=3, **dealt), silent)
        losses.append([line["loss"] for line in metrics(output)])

    assert losses[1] == pytest.approx(losses[0], abs=1e-4)
    assert losses[2] == pytest.approx(losses[0], abs=1e-4)
    assert abs(losses[0][0] - losses[0][2]) > 0.01


@pytest.mark.parametrize("tuning", ["lora", "full"])
def test_a_resumed_run_ends_in_the_same_bytes(shades: Path, tmp_path: Path, tuning: str) -> None:
    options: dict[str, Any] = {"max_steps": 6, "save_steps": 2, "save_total_limit": 9}
    options |= {"tuning": tuning, "learning_rate": 1e-3}
    if tuning == "lora":
        options["lora_dropout"] = 0.1
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    train(config(shades, whole, **options), silent)
    shutil.copytree(whole, cut)
    (cut / "finished.json").unlink()
    (cut / "checkpoint-6" / "complete.json").unlink()
    (cut / "checkpoint-4" / "optimizer.pt").write_bytes(b"cut short")

    summary = train(config(shades, cut, **options), silent)

    assert summary.resumed_from == 2
    name = "adapter_model.safetensors" if tuning == "lora" else "model.safetensors"
    assert (cut / name).read_bytes() == (whole / name).read_bytes()
    assert [line["rewards/margins"] for line in metrics(cut)] == [
        line["rewards/margins"] for line in metrics(whole)
    ]
    for lost in ("finished.json", name):  # killed while finishing
        (cut / lost).unlink()
    assert train(config(shades, cut, **options), silent).resumed_from == 6
    assert (cut / name).read_bytes() == (whole / name).read_bytes()


def test_a_picture_that_fails_stops_with_the_flag_that_goes_on(rows: Any, tmp_path: Path) -> None:
    pairs = rows.shade_pairs(range(8))
    pairs[3]["images"][0]["bytes"] = b"no picture"
    data = rows.write_import(tmp_path / "data", {"train": pairs}, layout="pair")

    with pytest.raises(RowsRefused, match=r"image-unreadable.*--exclude-ids shade-3"):
        train(config(data, tmp_path / "out"), silent)


def test_a_held_out_picture_that_fails_stops_and_goes_on_without_it(
    rows: Any, tmp_path: Path
) -> None:
    held_out = rows.shade_pairs(range(8, 12))
    held_out[2]["images"][0]["bytes"] = b"no picture"
    splits = {"train": rows.shade_pairs(range(8)), "test": held_out}
    data, output = rows.write_import(tmp_path / "data", splits, layout="pair"), tmp_path / "out"
    options = {"eval_split": "test", "eval_steps": 1}

    with pytest.raises(RowsRefused, match=r"image-unreadable.*--exclude-ids shade-10 \(saved at"):
        train(config(data, output, **options), silent)

    summary = train(config(data, output, exclude_ids=["shade-10"], **options), silent)
    assert (summary.steps, summary.resumed_from) == (2, 1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"trainer": {"betaa": 1}}, "DPOConfig has no field 'betaa'"),
        (
            {"trainer": {"loss_type": ["ipo"]}},
            "loss_type of DPOConfig is set by vlm-trainer itself",
        ),
        ({"trainer": {"sync_ref_model": True}}, "sync_ref_model of DPOConfig is set by"),
        ({"dpo_loss": "exo_pair"}, "DPOTrainer refuses the settings: Label smoothing must be"),
        ({"train_on": "all"}, "train_on and json_focus are for sft; dpo scores whole answers"),
        ({"packing": True, "max_length": 64}, "packing is for sft; pairs are not packed"),
    ],
)
def test_settings_that_do_not_fit_are_one_line(
    shades: Path, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        train(config(shades, tmp_path / "out", **options), silent)


def test_a_text_model_learns_from_pairs_without_pictures(rows: Any, tmp_path: Path) -> None:
    words = [rows.message("user", "How many?"), *(rows.message("assistant", w) for w in "ab")]
    pairs = [rows.pair_row(f"{number}", *words) for number in range(8)]
    data = rows.write_import(tmp_path / "data", {"train": pairs}, layout="pair")

    train(config(data, tmp_path / "out", model_name_or_path="tiny-text", max_steps=3), silent)

    first, *_, last = metrics(tmp_path / "out")
    assert last["loss"] < first["loss"]


def test_losses_add_up_by_their_weights(shades: Path, tmp_path: Path) -> None:
    trainer = {"loss_weights": [1.0, 0.5]}

    train(config(shades, tmp_path, dpo_loss="sigmoid,sft", trainer=trainer, max_steps=1), silent)

    (line,) = metrics(tmp_path)
    assert line["loss"] > 0.6932 + 0.5  # the second is the mean over tokens of the chosen answers
