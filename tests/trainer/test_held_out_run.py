"""Runs that are measured on held-out rows: what is held out, what is kept, and when they end."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vlm_trainer.config import TrainConfig
from vlm_trainer.data import ShardSet, find_split
from vlm_trainer.errors import OutputError, RowsRefused, UsageError
from vlm_trainer.held_out import contents_of
from vlm_trainer.launch import Processes
from vlm_trainer.reserve import NOTE, chosen_rows
from vlm_trainer.run import prepare, train
from vlm_trainer.settings import read_config

ADAPTER = "adapter_model.safetensors"


def config(data: Path, output: Path | str = "", **options: Any) -> TrainConfig:
    given = {
        "model_name_or_path": "tiny",
        "data": str(data),
        "output_dir": str(output),
        "max_steps": 4,
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 1,
        "logging_steps": 1,
        "use_cpu": True,
    }
    return read_config(None, {**given, **options})


def silent(_line: str) -> None:
    """Take a line of talk."""


def measured(output: Path) -> dict[int, float]:
    lines = map(json.loads, (output / "metrics.jsonl").read_text().splitlines())
    found = [(line["step"], line["eval_loss"]) for line in lines if "eval_loss" in line]
    assert len(found) == len(dict(found))  # each step once
    return dict(found)


def forget(output: Path, last_step: int) -> None:
    """Leave a run as a kill would, its checkpoint of that step the newest that is whole."""
    (output / "finished.json").unlink()
    (output / ADAPTER).unlink()
    for folder in output.glob("checkpoint-*"):
        if int(folder.name.removeprefix("checkpoint-")) > last_step:
            (folder / "complete.json").unlink()


def test_equal_pictures_are_never_on_both_sides(
    make_import: Callable[..., Path], rows: Any
) -> None:
    written = [*rows.digit_rows(range(30)), *rows.digit_rows(range(30), question="And this?")]
    for number, row in enumerate(written):
        row["id"] = f"row-{number}"
    data = make_import(written)

    prepared = prepare(config(data, eval_share=0.3), Processes())

    assert prepared.reserve is not None
    held, trained = prepared.reserve.lengths.rows, prepared.lengths.rows
    shards = ShardSet(prepared.split)
    seen = [
        {c for row in side for c in contents_of(shards.get(int(row)))} for side in (held, trained)
    ]
    assert not seen[0] & seen[1]
    assert len(held) + len(trained) == 60
    assert 0 < len(held) < 40
    (line,) = [line for line in prepared.lines() if line.startswith("held ")]
    assert line.startswith(f"held    {len(held)} rows are measured and not trained: ")


def test_a_mix_holds_rows_out_of_each_folder_and_no_picture_is_on_both_sides(
    make_import: Callable[..., Path], rows: Any
) -> None:
    plain = make_import(rows.digit_rows(range(40)), name="plain")
    other = make_import(rows.digit_rows(range(20, 80), question="And this?"), name="other")
    mixed = {"mix": f"{other}=0.5", "eval_share": 0.3}

    prepared = prepare(config(plain, **mixed), Processes())

    assert prepared.reserve is not None
    held, trained = prepared.reserve.lengths.rows.tolist(), prepared.lengths.rows.tolist()
    shards = ShardSet(prepared.split)
    seen = [{c for row in side for c in contents_of(shards.get(row))} for side in (held, trained)]
    assert not seen[0] & seen[1]
    assert sorted([*held, *trained]) == list(range(100))
    assert 0 < sum(row < 40 for row in held) < 20
    assert 0 < sum(row >= 40 for row in held) < 30
    first, second = prepared.lengths.parts
    assert first.shown == sum(row < 40 for row in trained)
    assert second.shown == round(sum(row >= 40 for row in trained) / 2)
    lines = prepared.lines()
    assert f"held    {len(held)} rows are measured and not trained: " in "\n".join(lines)
    alone = prepare(config(plain, eval_share=0.3), Processes()).reserve
    assert alone is not None  # what is held out of a folder does not depend on the others
    assert alone.lengths.rows.tolist() == [row for row in held if row < 40]


def test_a_held_out_row_of_a_mix_that_cannot_be_measured_is_named_with_its_folder(
    make_import: Callable[..., Path], rows: Any
) -> None:
    plain = make_import(rows.digit_rows(range(8)), name="plain")
    written = rows.digit_rows(range(8, 16))
    for row in written:
        row["messages"] = row["messages"][:1]  # no answer
    other = make_import([*written, *rows.digit_rows(range(16, 24))], name="other")
    options = {"mix": str(other), "eval_share": 0.5, "on_refused": "drop"}
    prepared = prepare(config(plain, **options), Processes())

    assert prepared.reserve is not None
    assert {row.folder for row in prepared.reserve.lengths.refused} == {str(other)}


def test_a_row_left_out_moves_no_other(digits: Path) -> None:
    both = prepare(config(digits, eval_share=0.3), Processes()).reserve
    assert both is not None
    first = f"digit-{min(both.lengths.rows)}"

    fewer = prepare(config(digits, eval_share=0.3, exclude_ids=[first]), Processes())

    assert fewer.reserve is not None
    assert fewer.reserve.chosen == both.chosen
    assert fewer.reserve.lengths.rows.tolist() == both.lengths.rows.tolist()[1:]
    assert fewer.plan.unknown_ids == 0


def test_a_noted_choice_is_not_made_again(digits: Path, tmp_path: Path) -> None:
    split = find_split(digits, "train")
    key = {"manifest_sha256": split.manifest_sha256, "split": "train"}
    (tmp_path / NOTE).write_text(json.dumps({**key, "share": 0.3, "rows": [5]}))

    assert chosen_rows(config(digits, tmp_path, eval_share=0.3), split) == {5}
    assert chosen_rows(config(digits, tmp_path, eval_share=0.4), split) != {5}
    assert chosen_rows(config(digits, tmp_path), split) is None


def test_rows_that_all_hang_together_are_not_held_out(
    make_import: Callable[..., Path], rows: Any
) -> None:
    data = make_import([row | {"id": str(n)} for n in range(4) for row in rows.digit_rows([0])])

    with pytest.raises(UsageError, match=r"eval_share 0\.0001 holds out none of 4 rows: rows with"):
        prepare(config(data, eval_share=0.0001), Processes())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"eval_share": 1.0}, "eval_share is 1; it must be between 0 and 1"),
        ({"eval_share": 0.1, "eval_split": "test"}, "held-out rows come from one of them"),
        ({"keep_best": True}, "keep_best needs held-out rows: give eval_split or eval_share"),
        ({"early_stopping": 2}, "early_stopping needs held-out rows"),
        ({"eval_on_start": True}, "eval_on_start needs held-out rows"),
        ({"early_stopping": 0, "eval_share": 0.1}, "early_stopping is 0; it must be at least 1"),
        (
            {"early_stopping_threshold": 0.1, "eval_share": 0.1},
            "early_stopping_threshold needs early_stopping",
        ),
    ],
)
def test_settings_that_cannot_be_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        config(Path("data"), **options)


def test_held_out_rows_that_cannot_be_measured_stop_the_run_before_it_begins(
    tmp_path: Path, rows: Any
) -> None:
    silent_row = rows.chat_row("no answer", rows.message("user", "?"))
    splits = {"train": rows.digit_rows(range(4)), "test": [silent_row]}
    data = rows.write_import(tmp_path / "data", splits)

    with pytest.raises(RowsRefused, match=r"split test, held out: rows that .* 'no answer'"):
        prepare(config(data, eval_split="test"), Processes()).check()


@pytest.fixture(scope="module")
def worse(tmp_path_factory: pytest.TempPathFactory, rows: Any) -> tuple[Path, Path, dict[str, Any]]:
    """A run whose held-out answers are others than those it learns: it gets worse and stops."""
    folder = tmp_path_factory.mktemp("worse")
    splits = {
        "train": rows.digit_rows(range(24)),
        "test": rows.digit_rows(range(24, 32), form="the word is not {}"),
    }
    data = rows.write_import(folder / "data", splits)
    options: dict[str, Any] = {
        "max_steps": 12, "learning_rate": 3e-2, "lora_dropout": 0.1, "eval_split": "test",
        "eval_steps": 2, "eval_on_start": True, "keep_best": True, "early_stopping": 2,
        "save_steps": 3, "save_total_limit": 2,
    }  # fmt: skip
    train(config(data, folder / "out", **options), silent)
    return data, folder / "out", options


@pytest.mark.slow
def test_a_run_that_gets_no_better_ends_with_its_best_step(
    worse: tuple[Path, Path, dict[str, Any]],
) -> None:
    _, output, _ = worse
    losses = measured(output)
    summary = json.loads((output / "finished.json").read_text())

    best = min((step for step in losses if step), key=losses.__getitem__)
    assert next(iter(losses)) == 0
    assert summary["steps"] == list(losses)[-1] == best + 4 < 12
    assert (summary["best_step"], summary["held_out_loss"]) == (best, losses[best])
    checkpoint = output / f"checkpoint-{best}"
    assert (checkpoint / "complete.json").is_file()
    assert (checkpoint / ADAPTER).read_bytes() == (output / ADAPTER).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("after", ["before", "best", "end"])
def test_a_killed_run_keeps_the_same_step_also_in_a_folder_that_moved(
    worse: tuple[Path, Path, dict[str, Any]], tmp_path: Path, after: str
) -> None:
    data, whole, options = worse
    cut, said = tmp_path / "elsewhere", []
    shutil.copytree(whole, cut)
    saved = sorted(int(folder.name.removeprefix("checkpoint-")) for folder in cut.glob("check*"))
    best = json.loads((whole / "finished.json").read_text())["best_step"]
    forget(cut, {"before": 0, "best": best, "end": saved[-1]}[after])

    summary = train(config(data, cut, **options), said.append)

    assert (cut / ADAPTER).read_bytes() == (whole / ADAPTER).read_bytes()
    assert measured(cut) == measured(whole)
    assert summary.best_step == best
    assert summary.resumed_from == {"before": 0, "best": best, "end": saved[-1]}[after]
    assert (cut / "README.md").read_bytes() == (whole / "README.md").read_bytes()
    (kept,) = [line for line in said if line.startswith("kept ")]
    assert kept.startswith(f"kept    step {best} of {summary.steps}, held-out loss ")


@pytest.mark.slow
def test_the_card_tells_the_run_and_no_place_on_a_disk(
    worse: tuple[Path, Path, dict[str, Any]],
) -> None:
    data, output, _ = worse
    card, losses = (output / "README.md").read_text(), measured(output)

    assert "| data | data, split train |" in card
    assert f"| held-out loss before training | {losses[0]:.6g} |" in card
    assert f"| held-out loss | {min(list(losses.values())[1:]):.6g} |" in card
    assert "transformers " in card
    assert str(data.parent) not in card
    assert not list(output.glob("checkpoint-*/README.md"))  # PEFT's


@pytest.mark.slow
def test_a_best_checkpoint_that_is_gone_is_no_reason_to_keep_another(
    worse: tuple[Path, Path, dict[str, Any]], tmp_path: Path
) -> None:
    data, whole, options = worse
    cut = tmp_path / "out"
    shutil.copytree(whole, cut)
    forget(cut, 99)
    best = json.loads((whole / "finished.json").read_text())["best_step"]
    shutil.rmtree(cut / f"checkpoint-{best}")

    with pytest.raises(OutputError, match=f"checkpoint-{best}: the best checkpoint is gone"):
        train(config(data, cut, **options), silent)


@pytest.mark.slow
def test_measuring_changes_nothing_that_is_learned(digits: Path, tmp_path: Path) -> None:
    options = {"max_steps": 3, "lora_dropout": 0.5, "learning_rate": 1e-2}
    train(config(digits, tmp_path / "a", **options), silent)

    looked = {"eval_split": "test", "eval_steps": 1, "eval_on_start": True}
    train(config(digits, tmp_path / "b", **options, **looked), silent)

    assert (tmp_path / "a" / ADAPTER).read_bytes() == (tmp_path / "b" / ADAPTER).read_bytes()


@pytest.mark.slow
def test_a_resumed_run_measures_and_saves_as_often_as_it_is_told_now(
    digits: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    options = {"max_steps": 4, "save_steps": 2, "eval_share": 0.3}
    train(config(digits, output, **options, eval_steps=2), silent)
    forget(output, 2)

    train(config(digits, output, **options, eval_steps=1), silent)

    assert list(measured(output)) == [2, 3, 4]
    assert json.loads((output / NOTE).read_text())["share"] == 0.3


@pytest.mark.slow
def test_an_epoch_ends_with_a_measure_that_its_checkpoint_knows(
    digits: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    options = {"max_steps": -1, "num_train_epochs": 2, "save_steps": 6, "eval_split": "test"}
    train(config(digits, output, **options), silent)
    losses = measured(output)
    forget(output, 6)

    train(config(digits, output, **options), silent)

    assert list(losses) == [6, 12]
    assert measured(output) == losses


@pytest.mark.slow
@pytest.mark.parametrize(("last", "measures"), [(2, [2, 4]), (4, [4])])
def test_a_held_out_picture_that_fails_is_left_out_and_the_measure_taken(
    tmp_path: Path, rows: Any, last: int, measures: list[int]
) -> None:
    bad = rows.digit_rows(range(24, 28))
    bad[2]["images"][0]["bytes"] = b"no picture"
    data = rows.write_import(tmp_path / "data", {"train": rows.digit_rows(range(8)), "test": bad})
    options = {"eval_split": "test", "eval_steps": last}

    with pytest.raises(RowsRefused, match="--exclude-ids digit-26"):
        train(config(data, tmp_path / "out", **options), silent)
    again = train(config(data, tmp_path / "out", **options, exclude_ids=["digit-26"]), silent)

    assert again.resumed_from == last
    assert list(measured(tmp_path / "out")) == measures


@pytest.mark.slow
def test_packed_rows_are_measured_on_packed_rows(
    make_import: Callable[..., Path], rows: Any, tmp_path: Path
) -> None:
    said = [
        [rows.message("user", f"How many? {n}"), rows.message("assistant", "seven")]
        for n in range(32)
    ]
    data = make_import([rows.chat_row(f"{n}", *row) for n, row in enumerate(said)], layout="text")
    options = {"model_name_or_path": "tiny-text", "packing": True, "max_length": 128}

    train(config(data, tmp_path / "out", eval_share=0.3, eval_steps=2, **options), silent)

    assert list(measured(tmp_path / "out")) == [2, 4]
    assert all(0 < loss < 20 for loss in measured(tmp_path / "out").values())


@pytest.mark.slow
def test_a_full_tuning_on_pairs_keeps_its_best_step_and_says_it_in_its_words(
    tmp_path: Path, rows: Any
) -> None:
    wrong = rows.shade_pairs(range(8, 12))
    for row in wrong:  # what is learned makes these worse
        row["chosen"], row["rejected"] = row["rejected"], row["chosen"]
    splits = {"train": rows.shade_pairs(range(8)), "test": wrong}
    data, output = rows.write_import(tmp_path / "data", splits, layout="pair"), tmp_path / "out"
    options = {"tuning": "full", "learning_rate": 1e-4, "eval_split": "test", "eval_steps": 1}

    summary = train(config(data, output, **options, keep_best=True, save_total_limit=1), silent)

    best, name = summary.best_step, "model.safetensors"
    assert best is not None
    assert best < summary.steps == 4
    assert (output / name).read_bytes() == (output / f"checkpoint-{best}" / name).read_bytes()
    assert len(list(output.glob("checkpoint-*"))) == 2
    card = (output / "README.md").read_text()
    assert "Trained to prefer the chosen over the rejected answer" in card
    assert "| held-out right choices | " in card
    assert f"| step that was kept | {best} |" in card
