"""Runs over several folders, with pictures changed and rows grouped by length."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vlm_trainer.cli import main
from vlm_trainer.config import TrainConfig
from vlm_trainer.errors import OutputError, RowsRefused, SourceError, UsageError
from vlm_trainer.run import train
from vlm_trainer.settings import read_config

pytestmark = pytest.mark.slow
ADAPTER = "adapter_model.safetensors"


def config(data: Path, output: Path, **options: Any) -> TrainConfig:
    given = {
        "model_name_or_path": "tiny",
        "data": str(data),
        "output_dir": str(output),
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 1,
        "learning_rate": 1e-2,
        "logging_steps": 1,
        "use_cpu": True,
    }
    return read_config(None, {**given, **options})


def silent(_line: str) -> None:
    """Take a line of talk."""


@pytest.fixture
def folders(tmp_path: Path, rows: Any) -> tuple[Path, Path]:
    """Two imports of digits, the second with longer answers."""
    longer = rows.digit_rows(range(30, 42), form='{{"digit": "{}"}}')
    for name, written in (("plain", rows.digit_rows(range(10))), ("json", longer)):
        rows.write_import(tmp_path / name, {"train": written, "test": written[:2]})
    return tmp_path / "plain", tmp_path / "json"


def test_a_mix_trains_on_what_its_epochs_show(folders: tuple[Path, Path], tmp_path: Path) -> None:
    plain, other = folders
    said: list[str] = []
    options = {"mix": f"{other}=0.5", "num_train_epochs": 2}

    summary = train(config(plain, tmp_path / "out", **options), said.append)

    assert (summary.rows, summary.steps) == (16, 8)  # 10 and 6 an epoch
    assert said[0] == "rows    22 of 22; 16 images"
    assert f"mix     {plain}: 10 an epoch of 10 rows" in said
    assert f"        {other}: 6 an epoch of 12 rows" in said
    again = config(plain, tmp_path / "out", **{**options, "mix": f"{other}=2"})
    with pytest.raises(OutputError, match=r"weights was \[0\.5\], is \[2\.0\]"):
        train(again, silent)
    with pytest.raises(OutputError, match=r"data was \w+, is \w+; weights was \[0\.5\], is None"):
        train(config(plain, tmp_path / "out", num_train_epochs=2), silent)


def test_a_mix_is_refused_before_it_begins(folders: tuple[Path, Path], rows: Any) -> None:
    plain, _other = folders
    out = plain.parent / "out"
    bad = rows.chat_row("silent one", rows.message("user", "?"))
    rows.write_import(plain.parent / "bad", {"train": [bad]})
    rows.write_import(plain.parent / "pairs", {"train": rows.shade_pairs([1])}, layout="pair")

    def mixed(*names: str, **options: Any) -> str:
        mix = [str(plain.parent / name) for name in names]
        with pytest.raises((RowsRefused, SourceError, UsageError)) as caught:
            train(config(plain, out, mix=mix, **options), silent)
        return str(caught.value)

    assert f"First: row 'silent one' of {plain.parent / 'bad'}: no-sup" in mixed("bad")
    assert mixed("bad", on_refused="drop") == f"{plain.parent / 'bad'}: no row to train on"
    assert "these are preference pairs, for --method dpo" in mixed("pairs")
    assert "no split 'test'; it has train" in mixed("json", "bad", train_split="test")
    assert "named twice; --mix FOLDER=2 shows it twice" in mixed("json", "plain=2")
    assert not out.exists()


def test_a_picture_that_fails_in_a_mix_is_named_with_its_folder(
    folders: tuple[Path, Path], rows: Any, tmp_path: Path
) -> None:
    written = rows.digit_rows(range(30, 34))
    written[0]["images"][0]["bytes"] = b"no picture"
    rows.write_import(folders[1], {"train": written})

    with pytest.raises(RowsRefused) as caught:
        train(config(folders[0], tmp_path / "out", mix=[str(folders[1])]), silent)

    assert f"row 'digit-30' of {folders[1]}: image-unreadable" in str(caught.value)
    assert "--exclude-ids digit-30" in str(caught.value)


def test_a_limit_takes_the_first_trainable_rows_of_each_folder(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    from vlm_trainer.launch import Processes
    from vlm_trainer.run import prepare

    options = {"mix": str(folders[1]), "limit": 3, "exclude_ids": "digit-1,digit-31"}
    prepared = prepare(config(folders[0], tmp_path / "out", **options), Processes())

    assert prepared.lengths.rows.tolist() == [0, 2, 3, 10, 12, 13]
    assert (prepared.lengths.total_rows, prepared.plan.rows) == (22, 6)


def test_pictures_are_changed_in_training_alone(folders: tuple[Path, Path], tmp_path: Path) -> None:
    from vlm_trainer.launch import Processes, StopRequest
    from vlm_trainer.model import quiet_libraries
    from vlm_trainer.run import make_trainer, prepare

    options = {"augment": "mild", "eval_split": "test", "seed": 7}
    prepared = prepare(config(folders[0], tmp_path / "out", **options), Processes())

    with quiet_libraries():
        trainer = make_trainer(prepared, StopRequest(watch_parent=False), [], silent)

    assert (trainer.train_dataset.augment, trainer.eval_dataset.augment) == (7, None)
    assert trainer.args.per_device_eval_batch_size == 4  # as in training


@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_changed_pictures_are_the_same_for_any_workers_and_after_a_resume(
    tmp_path: Path, rows: Any, method: str
) -> None:
    if method == "dpo":
        splits = {"train": rows.shade_pairs(range(10))}
        data = rows.write_import(tmp_path / "rows", splits, layout="pair")
    else:
        data = rows.write_import(tmp_path / "rows", {"train": rows.digit_rows(range(10))})
    options = {"num_train_epochs": 2, "save_steps": 1, "save_total_limit": 9}
    plain, whole, cut = tmp_path / "plain", tmp_path / "whole", tmp_path / "cut"
    train(config(data, plain, **options), silent)
    train(config(data, whole, **options, augment="mild"), silent)
    workers = {**options, "augment": "mild", "dataloader_num_workers": 2}
    train(config(data, cut, **workers), silent)
    assert (cut / ADAPTER).read_bytes() == (whole / ADAPTER).read_bytes()
    (cut / "finished.json").unlink()
    for step in (5, 6):
        (cut / f"checkpoint-{step}" / "complete.json").unlink()

    summary = train(config(data, cut, **workers), silent)

    assert (summary.resumed_from, summary.steps) == (4, 6)  # in the second epoch
    assert (cut / ADAPTER).read_bytes() == (whole / ADAPTER).read_bytes()
    assert (plain / ADAPTER).read_bytes() != (whole / ADAPTER).read_bytes()


def test_a_dry_run_takes_a_step_on_the_longest_rows_and_writes_nothing(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from vlm_trainer.rehearsal import rehearse

    said: list[str] = []
    before = sorted(tmp_path.rglob("*"))
    options = {"mix": str(folders[1]), "eval_split": "test", "save_steps": 1}

    tried = rehearse(config(folders[0], tmp_path / "out", **options), said.append)

    assert (tried.rows, tried.peak_gib) == (4, None)
    assert tried.loss > 0
    assert said[0] == "rows    22 of 22; 22 images"
    assert said[-2] == f"dry run: a step on the 4 longest rows, up to {tried.tokens} tokens, " + (
        f"loss {tried.loss:.4f}"
    )
    assert sorted(tmp_path.rglob("*")) == before
    flags = ["--data", str(folders[0]), "--output-dir", str(tmp_path / "out"), "--use-cpu"]
    main(["--model-name-or-path", "tiny", *flags, "--dry-run", "--json"])
    assert json.loads(capsys.readouterr().out)["rows"] == 8
    assert sorted(tmp_path.rglob("*")) == before
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match=r"file/out: cannot be written"):
        rehearse(config(folders[0], tmp_path / "file" / "out"), silent)
    with pytest.raises(UsageError, match="report_to wandb: wandb is not installed"):
        rehearse(config(folders[0], tmp_path / "out", report_to="wandb"), silent)


def test_a_row_left_out_since_the_checkpoint_does_not_repeat_an_epoch() -> None:
    from types import SimpleNamespace

    from vlm_trainer.epochs import Epochs
    from vlm_trainer.hooks import StepHooks
    from vlm_trainer.launch import StopRequest
    from vlm_trainer.samplers import EpochOrder

    order = EpochOrder(Epochs(range(12), 13, seed=42))  # 3 steps of 4; with the 13th row 4
    args = SimpleNamespace(
        per_device_train_batch_size=4, gradient_accumulation_steps=1, world_size=1
    )
    state = SimpleNamespace(global_step=3, epoch=0.75)

    StepHooks(order, StopRequest(watch_parent=False)).on_epoch_begin(args, state, None)

    assert order.epoch == 1


def test_rows_by_length_train_the_same_however_a_step_is_dealt_out(
    make_import: Callable[..., Path], rows: Any, tmp_path: Path
) -> None:
    written = rows.digit_rows(range(24))
    for number, row in enumerate(written):
        answer = "seven " * (1 + 5 * (number % 7))
        row["messages"][1] = rows.message("assistant", answer)
    data = make_import(written)
    losses = []
    for batch in (8, 2):
        options = {
            "per_device_train_batch_size": batch,
            "gradient_accumulation_steps": 8 // batch,
            "group_by_length": True,
        }
        train(config(data, tmp_path / str(batch), **options), silent)
        lines = (tmp_path / str(batch) / "metrics.jsonl").read_text().splitlines()
        losses.append([json.loads(line)["loss"] for line in lines])

    assert len(losses[0]) == 3
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)


def test_a_mix_of_pairs_is_trained_measured_and_goes_on_exactly(tmp_path: Path, rows: Any) -> None:
    for name, numbers in (("plain", range(10)), ("other", range(10, 30))):
        splits = {"train": rows.shade_pairs(numbers)}
        rows.write_import(tmp_path / name, splits, layout="pair")
    plain, whole, cut = (tmp_path / name for name in ("plain", "whole", "cut"))
    options: dict[str, Any] = {
        "mix": f"{tmp_path / 'other'}=0.5", "eval_share": 0.2, "num_train_epochs": 2,
        "save_steps": 1, "save_total_limit": 99, "lora_dropout": 0.1, "augment": "mild",
    }  # fmt: skip
    said: list[str] = []
    summary = train(config(plain, whole, **options), said.append)
    train(config(plain, cut, **options), silent)
    (cut / "finished.json").unlink()
    for folder in cut.glob("checkpoint-*"):
        if int(folder.name.removeprefix("checkpoint-")) > summary.steps // 2 + 1:
            (folder / "complete.json").unlink()

    again = train(config(plain, cut, **options), silent)

    lines = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    assert again.resumed_from == summary.steps // 2 + 1
    assert (cut / ADAPTER).read_bytes() == (whole / ADAPTER).read_bytes()
    half = summary.steps // 2
    assert [line["step"] for line in lines if "eval_loss" in line] == [half, 2 * half]
    assert lines[-1]["eval_rewards/accuracies"] >= 0
    assert any(line.startswith("method  dpo") for line in said)
