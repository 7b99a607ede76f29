"""A run from config to finished folder, on the tiny model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vlm_trainer.config import TrainConfig
from vlm_trainer.errors import OutputError, RowsRefused, UsageError
from vlm_trainer.order import permutation
from vlm_trainer.run import train
from vlm_trainer.settings import read_config

pytestmark = pytest.mark.slow


def config(data: Path, output: Path, **options: Any) -> TrainConfig:
    given = {
        "model_name_or_path": "tiny",
        "data": str(data),
        "output_dir": str(output),
        "max_steps": 2,
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 1,
        "logging_steps": 1,
        "use_cpu": True,
    }
    return read_config(None, {**given, **options})


def silent(_line: str) -> None:
    """Take a line of talk."""


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, rows: Any) -> tuple[Path, Path]:
    """Data and the output folder of a LoRA run of two steps with a held-out split."""
    folder = tmp_path_factory.mktemp("run")
    splits = {"train": rows.digit_rows(range(24)), "test": rows.digit_rows(range(24, 32))}
    data = rows.write_import(folder / "data", splits)
    said: list[str] = []
    summary = train(config(data, folder / "out", eval_split="test", eval_steps=1), said.append)
    assert (summary.steps, summary.rows, summary.was_finished) == (2, 24, False)
    assert (summary.gpu_peak_bytes, [line for line in said if "GPU" in line]) == (None, [])
    return data, folder / "out"


def test_a_finished_run_holds_all_that_is_needed(finished: tuple[Path, Path]) -> None:
    _, output = finished

    names = {path.name for path in output.iterdir()}

    assert names >= {
        "adapter_config.json",
        "adapter_model.safetensors",
        "chat_template.jinja",
        "config.yaml",
        "finished.json",
        "loss.svg",
        "metrics.jsonl",
        "pixel_contract.json",
        "preprocessor_config.json",
        "run.json",
        "tokenizer.json",
    }
    assert ".lock" not in names
    assert not list(output.rglob("training_args.bin"))
    limits = json.loads((output / "preprocessor_config.json").read_text())
    assert (limits["min_pixels"], limits["max_pixels"]) == (3136, 1_003_520)


def test_metrics_hold_a_line_a_step(finished: tuple[Path, Path]) -> None:
    lines = [json.loads(line) for line in (finished[1] / "metrics.jsonl").read_text().splitlines()]

    assert [line["step"] for line in lines if "loss" in line] == [1, 2]
    assert [line["step"] for line in lines if "eval_loss" in line] == [1, 2]
    assert all(line["loss"] > 0 and "learning_rate" in line for line in lines if "loss" in line)


def test_the_adapter_remembers_its_base_and_only_the_language_model(
    finished: tuple[Path, Path],
) -> None:
    import re

    from safetensors import safe_open

    adapter = json.loads((finished[1] / "adapter_config.json").read_text())
    with safe_open(finished[1] / "adapter_model.safetensors", "pt") as file:
        names = list(file.keys())

    assert adapter["base_model_name_or_path"] == "tiny"
    assert (adapter["r"], adapter["lora_alpha"]) == (16, 16)
    assert len(names) == 28  # A and B of 7 modules in 2 layers
    assert all(re.search(r"language_model\.layers", name) for name in names)


def test_the_same_command_over_a_finished_run_touches_nothing(
    finished: tuple[Path, Path],
) -> None:
    data, output = finished
    before = contents(output)
    said: list[str] = []

    summary = train(config(data, output, eval_split="test", eval_steps=1), said.append)

    assert summary.was_finished
    assert summary.steps == 2
    assert contents(output) == before
    assert "finished already" in said[0]


def test_other_settings_over_a_finished_run_are_refused(finished: tuple[Path, Path]) -> None:
    data, output = finished
    before = contents(output)

    with pytest.raises(OutputError) as caught:
        train(config(data, output, eval_split="test", eval_steps=1, lora_r=8, seed=1), silent)

    assert "lora_r was 16, is 8; seed was 42, is 1" in str(caught.value)
    assert contents(output) == before


def test_equal_seeds_give_equal_adapters(finished: tuple[Path, Path], tmp_path: Path) -> None:
    data, output = finished

    train(config(data, tmp_path / "out", eval_split="test", eval_steps=1), silent)

    for name in ("adapter_model.safetensors", "adapter_config.json", "pixel_contract.json"):
        assert (tmp_path / "out" / name).read_bytes() == (output / name).read_bytes(), name


def test_the_output_processor_loads_and_keeps_the_limits(finished: tuple[Path, Path]) -> None:
    from vlm_trainer.hf_processor import load_processor

    processor = load_processor(finished[1])

    assert processor.image_processor.size["longest_edge"] == 1_003_520
    assert processor.chat_template is not None


def test_a_folder_with_something_else_is_refused_untouched(digits: Path, tmp_path: Path) -> None:
    output = tmp_path / "mine"
    output.mkdir()
    (output / "thesis.txt").write_text("years of work")
    before = contents(output)

    with pytest.raises(OutputError, match=r"holds 'thesis\.txt' and no run"):
        train(config(digits, output), silent)

    assert contents(output) == before


def test_an_output_that_cannot_be_written_is_one_line(digits: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")

    with pytest.raises(OutputError, match=r"file/out: cannot be written \(Not a directory\)"):
        train(config(digits, tmp_path / "file" / "out"), silent)


def test_a_start_that_failed_before_a_step_leaves_the_folder_free(
    digits: Path, tmp_path: Path
) -> None:
    wrong = config(digits, tmp_path / "out", max_steps=1, trainer={"optim": "nonsense"})
    with pytest.raises(UsageError, match="SFTConfig refuses the settings: nonsense is not a valid"):
        train(wrong, silent)
    wrong = config(digits, tmp_path / "out", max_steps=1, lr_scheduler_type="cosine_with_min_lr")
    with pytest.raises(UsageError, match="SFTConfig refuses the settings: One of min_lr or"):
        train(wrong, silent)

    summary = train(config(digits, tmp_path / "out", max_steps=1), silent)

    assert summary.steps == 1
    assert "nonsense" not in (tmp_path / "out" / "run.json").read_text()


def test_rows_that_cannot_be_trained_stop_the_run_before_it_begins(
    make_import: Callable[..., Path], rows: Any, tmp_path: Path
) -> None:
    bad = rows.chat_row("silent one", rows.message("user", "?"))
    data = make_import([*rows.digit_rows(range(8)), bad])

    with pytest.raises(RowsRefused) as caught:
        train(config(data, tmp_path / "out"), silent)

    assert "1 no-supervised-token" in str(caught.value)
    assert "row 'silent one'" in str(caught.value)
    assert "--on-refused drop" in str(caught.value)
    assert not (tmp_path / "out").exists()
    assert train(config(data, tmp_path / "out", on_refused="drop"), silent).rows == 8


def test_a_picture_that_fails_stops_after_saving_and_goes_on_without_it(
    make_import: Callable[..., Path], rows: Any, tmp_path: Path
) -> None:
    from vlm_trainer.order import permutation

    written = rows.digit_rows(range(16))
    last = int(permutation(0, 42, 16)[13])  # in the last of four batches
    written[last]["images"][0]["bytes"] = b"no picture"
    data, output = make_import(written), tmp_path / "out"

    with pytest.raises(RowsRefused) as caught:
        train(config(data, output, max_steps=4), silent)

    assert f"--exclude-ids digit-{last}" in str(caught.value)
    assert "image-unreadable" in str(caught.value)
    saved = [path.name for path in output.glob("checkpoint-*")]
    assert len(saved) == 1
    again = train(config(data, output, max_steps=4, exclude_ids=[f"digit-{last}"]), silent)
    assert (again.steps, again.rows) == (4, 15)
    assert again.resumed_from == int(saved[0].removeprefix("checkpoint-")) >= 2


def test_a_text_model_trains_packed_rows(
    make_import: Callable[..., Path], rows: Any, tmp_path: Path
) -> None:
    said = [rows.message("user", "How many?"), rows.message("assistant", "seven")]
    written = [rows.chat_row(f"{number}", *said) for number in range(32)]
    data = make_import(written, layout="text")
    options = {"model_name_or_path": "tiny-text", "packing": True, "max_length": 128}

    summary = train(config(data, tmp_path / "out", learning_rate=1e-2, **options), silent)

    lines = (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()
    losses = [json.loads(line)["loss"] for line in lines]
    assert summary.steps == 2
    assert losses[1] < losses[0]
    assert not (tmp_path / "out" / "preprocessor_config.json").exists()


def test_packed_rows_are_not_for_a_model_that_would_lose_its_pictures(
    digits: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="packing loses pictures, which tiny reads"):
        train(config(digits, tmp_path / "out", packing=True, max_length=128), silent)

    assert not (tmp_path / "out").exists()


def test_a_text_set_trains_the_model_that_reads_pictures(
    make_import: Callable[..., Path], rows: Any, tmp_path: Path
) -> None:
    said = [rows.message("user", "How many?"), rows.message("assistant", "seven")]
    data = make_import([rows.chat_row(f"{n}", *said) for n in range(8)], layout="text")

    assert train(config(data, tmp_path / "out", tuning="full"), silent).steps == 2


def test_fields_of_sftconfig_pass_and_unknown_ones_do_not(digits: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="SFTConfig has no field 'optimm'; did you mean 'optim'"):
        train(config(digits, tmp_path / "a", trainer={"optimm": "sgd"}), silent)
    with pytest.raises(UsageError, match="assistant_only_loss of SFTConfig is set by vlm-"):
        train(config(digits, tmp_path / "b", trainer={"assistant_only_loss": True}), silent)
    assert train(config(digits, tmp_path / "c", trainer={"optim": "sgd"}), silent).steps == 2


@pytest.mark.parametrize("last", [2, 4])
def test_full_tuning_goes_on_from_the_weights_of_its_checkpoint(
    digits: Path, tmp_path: Path, last: int
) -> None:
    options = {"tuning": "full", "learning_rate": 1e-2, "max_steps": 4, "save_steps": 2}
    output = tmp_path / "out"
    train(config(digits, output, **options), silent)
    weights = (output / "model.safetensors").read_bytes()
    (output / "finished.json").unlink()
    for checkpoint in set(output.glob("checkpoint-*")) - {output / f"checkpoint-{last}"}:
        (checkpoint / "complete.json").unlink()

    summary = train(config(digits, output, **options), silent)

    assert (summary.steps, summary.resumed_from) == (4, last)
    assert (output / "model.safetensors").read_bytes() == weights


def test_a_checkpoint_at_the_last_step_is_only_finished(digits: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    train(config(digits, output), silent)
    adapter = (output / "adapter_model.safetensors").read_bytes()
    for name in ("finished.json", "adapter_model.safetensors"):  # killed while finishing
        (output / name).unlink()

    summary = train(config(digits, output), silent)

    assert (summary.steps, summary.resumed_from) == (2, 2)
    assert (output / "adapter_model.safetensors").read_bytes() == adapter


def test_a_resumed_run_ends_in_the_same_bytes(digits: Path, tmp_path: Path) -> None:
    options = {"max_steps": 8, "save_steps": 2, "save_total_limit": 9, "lora_dropout": 0.1}
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    train(config(digits, whole, **options), silent)
    train(config(digits, cut, **options), silent)
    (cut / "finished.json").unlink()
    (cut / "checkpoint-8" / "complete.json").unlink()
    (cut / "checkpoint-6" / "optimizer.pt").write_bytes(b"cut short")

    summary = train(config(digits, cut, **options), silent)

    assert summary.resumed_from == 4
    name = "adapter_model.safetensors"
    assert (cut / name).read_bytes() == (whole / name).read_bytes()


def test_checkpointing_changes_no_gradient(digits: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    found = []
    for name, is_on in (("with", True), ("without", False)):
        options = {"lora_scope": ("language", "merger"), "gradient_checkpointing": is_on}
        train(config(digits, tmp_path / name, learning_rate=1e-2, **options), silent)
        found.append(load_file(tmp_path / name / "adapter_model.safetensors"))

    assert found[0].keys() == found[1].keys()
    for key, values in found[0].items():
        assert values == pytest.approx(found[1][key], abs=1e-5), key


def cut_off(output: Path, last_step: int) -> None:
    """Leave a run as a kill would, its checkpoint of that step the newest that is whole."""
    (output / "finished.json").unlink()
    for folder in output.glob("checkpoint-*"):
        if int(folder.name.removeprefix("checkpoint-")) > last_step:
            (folder / "complete.json").unlink(missing_ok=True)


@pytest.mark.parametrize("max_steps", [-1, 7])
def test_a_row_left_out_after_an_epoch_moves_no_step_of_the_next(
    make_import: Callable[..., Path], rows: Any, tmp_path: Path, max_steps: int
) -> None:
    data = make_import(rows.digit_rows(range(9)))  # 3 steps an epoch, the last of one row
    last = int(permutation(1, 42, 9)[-1])
    options: dict[str, Any] = {
        "num_train_epochs": 3, "save_steps": 1, "save_total_limit": 99, "lora_dropout": 0.1,
        "lr_scheduler_type": "constant",
    }  # fmt: skip
    cut, whole, name = tmp_path / "cut", tmp_path / "whole", "adapter_model.safetensors"
    train(config(data, cut, **options, max_steps=max_steps), silent)
    shutil.copytree(cut, whole)
    fewer = {**options, "max_steps": max_steps, "exclude_ids": [f"digit-{last}"]}
    cut_off(cut, 3)

    summary = train(config(data, cut, **fewer), silent)

    assert (summary.resumed_from, summary.steps) == (3, 7)  # 3 and 2 and 2
    for step in (4, 5):  # the second epoch, but for its last row
        saved = [folder / f"checkpoint-{step}" / name for folder in (cut, whole)]
        assert saved[0].read_bytes() == saved[1].read_bytes()
    ended = (cut / name).read_bytes()
    cut_off(cut, 6)
    again = train(config(data, cut, **fewer), silent)
    assert (again.resumed_from, again.steps) == (6, 7)
    assert (cut / name).read_bytes() == ended
