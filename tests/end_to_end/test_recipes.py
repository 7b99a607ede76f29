"""The recipes do what their first lines say, as far as a machine without a GPU can tell."""

from __future__ import annotations

import csv
import itertools
import json
import math
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vlm_trainer.config import TrainConfig
from vlm_trainer.memory import Training, memory_of, published
from vlm_trainer.settings import read_config

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "examples" / "recipes").glob("*.yaml"))
PIXELS_OF_PATCH = 14 * 14
PLAN = """
import sys
from vlm_trainer.cli import main
main(sys.argv[1:])
sys.exit("torch was imported" if "torch" in sys.modules else 0)
"""

pytestmark = pytest.mark.slow
every_recipe = pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)


def commands(recipe: Path) -> list[list[str]]:
    """Return the commands in a recipe's first comment."""
    comment = recipe.read_text(encoding="utf-8").partition("\n\n")[0]
    lines = re.findall(r"^#   (\S.*)$", comment, re.MULTILINE)
    assert lines
    return [shlex.split(line) for line in lines]


def photo(path: Path, name: str) -> None:
    """Write one of scikit-image's photos."""
    import skimage.data
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(getattr(skimage.data, name)()).save(path)


def write_rows(folder: Path) -> None:
    """Write a few rows of every kind that the recipes name, of real photos and drawn forms."""
    for split, end in (("train", ""), ("val", "-val")):
        for name in ("astronaut", "chelsea", "coffee"):
            photo(folder / "photos" / split / name / "1.jpg", name)
        cup, cat = (f"photos/{split}/{name}/1.jpg" for name in ("coffee", "chelsea"))
        with (folder / f"captions{end}.csv").open("w", newline="") as file:
            rows = [
                ("file", "caption"),
                (cup, "A cup of coffee, seen from above."),
                (cat, "A cat."),
            ]
            csv.writer(file).writerows(rows)
        asked = [
            {"image": cup, "question": "What is in the cup?", "answers": ["coffee", "coffee"]},
            {"image": cat, "question": "Which animal is it?", "answers": ["cat"]},
        ]
        write_lines(folder / f"vqa{end}.jsonl", asked)
        shown = {"prompt": "Describe the picture.", "images": [cup]}
        pair = {**shown, "chosen": "A cup of coffee.", "rejected": "A cup of coffee and a cake."}
        write_lines(folder / f"pairs{end}.jsonl", [pair])
        photo(folder / "pictures" / f"{split}.jpg", "coffee")
        said = [("human", "<image>\nWhat is it?"), ("gpt", "A cup of coffee.")]
        turns = [{"from": who, "value": text} for who, text in said]
        llava = [{"id": split, "image": f"{split}.jpg", "conversations": turns}]
        (folder / f"llava{end}.json").write_text(json.dumps(llava))


def write_lines(path: Path, rows: list[Any]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def datakit(*words: str, folder: Path) -> str:
    """Run one command of vlm-datakit in a folder and return its data."""
    command = [sys.executable, "-m", "vlm_datakit", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with rows for all recipes; of the chats every second one is about a form."""
    folder = tmp_path_factory.mktemp("rows")
    write_rows(folder)
    for seed, end in ((0, ""), (1, "-val")):
        drawn = datakit("sample", "-n", "6", "--seed", str(seed), folder=folder)
        lines = drawn.splitlines(keepends=True)
        (folder / f"chats{end}.jsonl").write_text(drawn)
        (folder / f"forms{end}.jsonl").write_text("".join(lines[1::2]))
    return folder


def planned(recipe: Path, folder: Path) -> dict[str, Any]:
    """Return what `plan` counts with a tiny model, in a process that never imports torch."""
    words = ["plan", "--config", str(recipe), "--model-name-or-path", "tiny", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", PLAN, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@every_recipe
def test_a_recipe_plans_what_its_own_import_wrote(recipe: Path, folder: Path) -> None:
    (import_line,) = (words for words in commands(recipe) if words[0] == "vlm-datakit")
    config = read_config(recipe, {})

    datakit(*import_line[1:], folder=folder)
    plan = planned(recipe, folder)

    manifest = json.loads((folder / config.data.data / "manifest.json").read_bytes())
    assert manifest["splits"].keys() == {"train", "val"}
    assert (manifest["layout"] == "pair") == ("dpo" in recipe.stem)
    assert plan["rows"] == plan["images"] == manifest["splits"]["train"]["rows"]
    assert (plan["refused"], plan["shrunk"]) == ({}, 0)
    assert 0 < plan["trained_tokens"] < plan["tokens"]


@every_recipe
def test_the_commands_of_a_recipe_name_what_is_there(recipe: Path) -> None:
    config = read_config(recipe, {})
    done = [words for words in commands(recipe) if words[0] != "vlm-datakit"]

    assert [words[1] for words in done[:2]] == ["plan", "launch"]
    for words in done:
        given = dict(itertools.pairwise(words))
        assert given.get("--config", str(recipe.relative_to(ROOT))) == str(recipe.relative_to(ROOT))
        assert given.get("--data", config.data.data) == config.data.data
        assert given.get("--split", config.data.eval_split) == config.data.eval_split
        for flag in ("--adapter", "--model-name-or-path"):
            assert given.get(flag, config.output.output_dir) == config.output.output_dir
        count = given.get("--num_processes")
        assert count is None or int(count) == config.schedule.expect_processes
    assert recipe.name in (ROOT / "examples" / "README.md").read_text(encoding="utf-8")


@every_recipe
def test_a_recipe_says_the_memory_that_its_numbers_take(recipe: Path) -> None:
    config = read_config(recipe, {})

    told = re.search(r"at most about (\d+) GiB", recipe.read_text(encoding="utf-8"))

    assert told is not None
    assert int(told[1]) == math.ceil(most_memory(config, answers=2 if "dpo" in recipe.stem else 1))


def most_memory(config: TrainConfig, answers: int) -> float:
    """Return the GiB of a batch of rows that are as long as they may be, with one picture each."""
    model, data, schedule = config.model, config.data, config.schedule
    rows = schedule.per_device_train_batch_size * answers
    assert schedule.per_device_eval_batch_size <= schedule.per_device_train_batch_size
    training = Training(
        precision=model.load_in or "bf16",
        lora_r=config.lora.lora_r,
        scope=config.lora.lora_scope,
        batch_tokens=rows * (data.max_length or 0),
        batch_patches=rows * model.max_pixels // PIXELS_OF_PATCH,
    )
    found = memory_of(published()[model.model_name_or_path], training)
    assert found is not None
    return found.total / 2**30
