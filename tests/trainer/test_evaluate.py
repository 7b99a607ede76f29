"""What evaluate and generate say of a trained model, and under which contract."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vlm_trainer.conversation import ImageSize, from_columns
from vlm_trainer.errors import OutputError, RowsRefused, SourceError, UsageError
from vlm_trainer.evaluate import EvaluateConfig, evaluate, figure_lines
from vlm_trainer.generate import GenerateConfig, as_line, generate, generate_lines, read_pictures
from vlm_trainer.prompts import Prompt
from vlm_trainer.render import lay_out_prompt
from vlm_trainer.run import train
from vlm_trainer.settings import read_config
from vlm_trainer.shrink import TokenLimit
from vlm_trainer.sizes import PixelRule, image_tokens
from vlm_trainer.trained import find_trained, read_trained_rule

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory, rows: Any) -> tuple[Path, Path, Path]:
    """Eight digits by heart: their data, a fully tuned model, and an adapter on top of it."""
    folder = tmp_path_factory.mktemp("learned")
    digits = list(range(8))
    plain = rows.write_import(
        folder / "plain", {"train": rows.digit_rows(digits), "test": rows.digit_rows(digits)}
    )
    form = rows.digit_rows(digits, question="In JSON?", form='{{"digit": {}}}')
    json_form = rows.write_import(folder / "json", {"train": form, "test": form})
    common = {"per_device_train_batch_size": 8, "gradient_accumulation_steps": 1, "use_cpu": True}
    steps = {
        "full": {"model_name_or_path": "tiny", "data": plain, "tuning": "full"},
        "lora": {"model_name_or_path": folder / "full", "data": json_form},
    }
    for name, options in steps.items():
        rate = {"full": 3e-3, "lora": 1e-2}[name]
        given = {**common, **options, "max_steps": 60, "learning_rate": rate}
        texts = {key: str(v) if isinstance(v, Path) else v for key, v in given.items()}
        train(read_config(None, {**texts, "output_dir": str(folder / name)}), lambda _line: None)
    return plain, json_form, folder


def on_cpu(data: Path, **options: Any) -> EvaluateConfig:
    return EvaluateConfig(data=data, use_cpu=True, **options)


def test_full_tuning_learns_and_an_adapter_on_it_learns_another_form(
    learned: tuple[Path, Path, Path],
) -> None:
    plain, json_form, folder = learned

    full = evaluate(on_cpu(plain, model_name_or_path=str(folder / "full")))
    before = evaluate(on_cpu(json_form, model_name_or_path=str(folder / "full")))
    after = evaluate(on_cpu(json_form, adapter=folder / "lora"))

    assert (full.rows, full.exact_match) == (8, 1.0)
    assert before.exact_match == 0.0
    assert before.misses[0]["expected"].startswith('{"digit": ')
    assert after.exact_match == after.normalised_match == after.anls == 1.0
    assert after.fields is not None
    assert (after.fields.f1, after.fields.by_field) == (1.0, {"digit": (8, 8)})
    assert full.fields is None
    assert after.loss < before.loss


def test_every_answer_and_a_page_of_the_wrong_ones_can_be_kept(
    learned: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    _, json_form, folder = learned
    out = tmp_path / "judged"

    for _ in range(2):  # an earlier evaluation is replaced
        report = evaluate(
            on_cpu(json_form, model_name_or_path=str(folder / "full"), output=out, limit=4)
        )

    answers = [json.loads(line) for line in (out / "answers.jsonl").read_text().splitlines()]
    figures = json.loads((out / "evaluation.json").read_text())
    page = (out / "wrong-answers.html").read_text()
    assert [answer["id"] for answer in answers] == [f"digit-{n}" for n in range(4)]
    assert answers[0]["expected"] == '{"digit": 0}'
    assert (figures["rows"], figures["exact_match"]) == (4, 0.0)
    assert report.fields is not None
    assert figures["fields"]["no_json"] == report.fields.no_json == 4
    assert page.count("<article>") == page.count("<img ") == 4
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(OutputError, match=r"holds 'thesis.txt' and no evaluation"):
        evaluate(on_cpu(json_form, adapter=folder / "lora", output=tmp_path / "mine"))


def test_neither_batch_nor_padding_changes_the_figures(learned: tuple[Path, Path, Path]) -> None:
    _, json_form, folder = learned

    at_once = evaluate(on_cpu(json_form, adapter=folder / "lora", batch_size=8))
    one_by_one = evaluate(on_cpu(json_form, adapter=folder / "lora", batch_size=1))

    assert one_by_one.exact_match == at_once.exact_match
    assert one_by_one.loss == pytest.approx(at_once.loss, abs=1e-4)


def test_habits_of_the_base_in_speaking_do_not_bend_a_greedy_answer(
    learned: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    _, json_form, folder = learned
    base = shutil.copytree(folder / "full", tmp_path / "base")
    habits = {"do_sample": True, "temperature": 0.7, "top_k": 20, "repetition_penalty": 50.0}
    (base / "generation_config.json").write_text(json.dumps(habits))

    report = evaluate(on_cpu(json_form, model_name_or_path=str(base), adapter=folder / "lora"))

    assert report.exact_match == 1.0


def test_generate_answers_about_a_picture(
    learned: tuple[Path, Path, Path], tmp_path: Path, rows: Any
) -> None:
    row = rows.digit_rows([3])[0]
    (tmp_path / "three.png").write_bytes(row["images"][0]["bytes"])

    pictures = read_pictures([tmp_path / "three.png"])
    answer = generate(
        GenerateConfig(adapter=learned[2] / "lora", use_cpu=True), Prompt("In JSON?", pictures)
    )

    assert answer == '{"digit": 3}'


def test_lines_are_answered_in_order_and_a_bad_one_in_its_place(
    learned: tuple[Path, Path, Path], tmp_path: Path, rows: Any
) -> None:
    for number, row in enumerate(rows.digit_rows(range(3))):
        (tmp_path / f"{number}.png").write_bytes(row["images"][0]["bytes"])
    asked = [{"id": n, "text": "In JSON?", "image": f"{n}.png"} for n in (2, 0, 7, 1)]
    asked[1]["response"] = "0"
    lines = [*(json.dumps(row) + "\n" for row in asked), "\n", "no JSON\n"]
    lines += ['{"text": "\\ud800"}\n', '{"text": "a byte that is no UTF-8: \udcff"}\n']
    config = GenerateConfig(
        adapter=learned[2] / "lora", use_cpu=True, batch_size=2, image_root=tmp_path
    )

    answers = list(generate_lines(config, lines))

    assert [row.get("id") for row in answers] == [2, 0, 7, 1, None, None, None]
    assert [row["response"] for row in answers] == [
        '{"digit": 2}',
        '{"digit": 0}',
        None,
        '{"digit": 1}',
        None,
        None,
        None,
    ]
    assert answers[1]["expected"] == "0"
    assert answers[2]["error"].startswith("image-unreadable at $.images[0]")
    assert (answers[4]["line"], answers[4]["error"][:17]) == ("no JSON", "prompt-invalid at")
    assert answers[5]["error"] == r"prompt-invalid at $.text: no text: '\ud800'"
    assert answers[6]["error"] == r"prompt-invalid at $: not UTF-8: '\udcff'"
    assert json.loads(as_line(answers[6]).encode()) == answers[6]


def test_rows_that_cannot_be_evaluated_are_named_or_left_out_and_counted(
    learned: tuple[Path, Path, Path], tmp_path: Path, rows: Any
) -> None:
    silent = rows.chat_row("silent", rows.message("user", "?"))
    data = rows.write_import(tmp_path / "data", {"test": [*rows.digit_rows(range(2)), silent]})

    with pytest.raises(RowsRefused, match="1 no-supervised-token") as caught:
        evaluate(on_cpu(data, adapter=learned[2] / "lora"))

    assert str(caught.value).endswith(". To ask the others: --on-refused drop")
    asked = evaluate(on_cpu(data, adapter=learned[2] / "lora", on_refused="drop"))
    first = evaluate(on_cpu(data, adapter=learned[2] / "lora", limit=1))
    assert (asked.rows, asked.refused) == (2, {"no-supervised-token": 1})
    assert (first.rows, first.refused) == (1, {})
    assert "left out 1 no-supervised-token" in figure_lines(asked)


def test_other_pixel_limits_than_trained_are_refused(learned: tuple[Path, Path, Path]) -> None:
    _, json_form, folder = learned

    with pytest.raises(UsageError, match="max_pixels 3136 here, 1003520 there"):
        evaluate(on_cpu(json_form, adapter=folder / "lora", max_pixels=3136))


def test_no_picture_is_one_clear_line(learned: tuple[Path, Path, Path], tmp_path: Path) -> None:
    adapter = learned[2] / "lora"
    with pytest.raises(RowsRefused, match=r"image-unreadable at \$.images\[0\]"):
        generate(GenerateConfig(adapter=adapter, use_cpu=True), Prompt("?", (b"no picture",)))
    with pytest.raises(SourceError, match=r"none.png: cannot be read"):
        read_pictures([tmp_path / "none.png"])


def test_what_names_no_model_is_refused(learned: tuple[Path, Path, Path]) -> None:
    folder = learned[2]

    with pytest.raises(UsageError, match="which model"):
        find_trained(None, None)
    with pytest.raises(SourceError, match=r"no adapter_config\.json"):
        find_trained(None, folder / "full")
    with pytest.raises(UsageError, match="is an adapter itself"):
        find_trained(str(folder / "lora"), folder / "lora")
    assert find_trained(str(folder / "lora"), None) == find_trained(None, folder / "lora")


def test_pixel_limits_that_exclude_each_other_are_refused(tiny_words: Path, chat: Any) -> None:
    with pytest.raises(UsageError, match="min_pixels 100 and max_pixels 10: no size lies between"):
        read_trained_rule(tiny_words, chat, (100, 10))


def test_rows_are_shown_as_small_as_in_training(tmp_path: Path, rows: Any) -> None:
    """The loss that evaluate finds is the one that was measured at the end of the training."""
    written = rows.digit_rows(range(8))
    for row, large in zip(written, ([], [0, 1]) * 4, strict=True):
        for _ in large:  # a second and a third picture, 224 x 224 of noise
            noise = np.random.default_rng(len(row["images"])).integers(0, 256, (224, 224, 3))
            row["messages"][0]["content"].insert(0, rows.IMAGE)
            row["images"].append({"bytes": rows.picture(noise.astype(np.uint8)), "path": None})
            row["image_sizes"].append({"width": 224, "height": 224})
    data = rows.write_import(tmp_path / "data", {"train": written, "test": written})
    given = {
        "model_name_or_path": "tiny", "data": str(data), "output_dir": str(tmp_path / "out"),
        "eval_split": "test", "max_steps": 1, "use_cpu": True, "learning_rate": 1e-2,
        "max_length": 90, "on_too_long": "shrink",
    }  # fmt: skip
    said: list[str] = []

    train(read_config(None, given), said.append)

    lines = [json.loads(x) for x in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    measured = next(line["eval_loss"] for line in lines if "eval_loss" in line)
    contract = json.loads((tmp_path / "out" / "pixel_contract.json").read_text())
    found = evaluate(on_cpu(data, adapter=tmp_path / "out"))
    assert any(line.startswith("shrunk  4 rows show smaller pictures") for line in said)
    assert contract["shrink_to_tokens"] == 90
    assert found.loss == pytest.approx(measured, abs=1e-4)
    (tmp_path / "out" / "pixel_contract.json").write_text(
        json.dumps({**contract, "shrink_to_tokens": None})
    )
    larger = evaluate(on_cpu(data, adapter=tmp_path / "out"))
    assert larger.loss != pytest.approx(measured, abs=1e-4)


def test_a_prompt_is_shrunk_to_what_rows_were(rows: Any, chat: Any) -> None:
    asked = from_columns(rows.chat_row("a", rows.message("user", rows.IMAGE, "?")))
    asked = replace(asked, image_sizes=(ImageSize(1120, 1120),))
    rule = PixelRule()

    whole = lay_out_prompt(asked, chat, rule)
    small = lay_out_prompt(asked, chat, rule, TokenLimit(200, shrinks=True))

    assert (len(whole.ids), whole.shrunk_to) == (1253, None)
    assert 180 < len(small.ids) <= 200
    assert image_tokens(ImageSize(1120, 1120), small.rule(rule)) == len(small.ids) - 28
