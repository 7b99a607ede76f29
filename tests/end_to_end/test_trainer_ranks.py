"""Two processes learn what one learns, to the last row of an epoch, and stop together."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow
BUILD = runpy.run_path(str(Path(__file__).parents[1] / "trainer" / "conftest.py"))

# One start of two processes for all runs of a test: torch takes longer to load than they take.
DRIVER = """
import json, os, sys
from pathlib import Path
from vlm_trainer.errors import VlmTrainerError
from vlm_trainer.run import train
from vlm_trainer.settings import read_config

folder = Path(sys.argv[1]).parent
for number, given in enumerate(json.loads(Path(sys.argv[1]).read_text())):
    try:
        train(read_config(None, given))
        said = None
    except VlmTrainerError as error:
        said = [type(error).__name__, str(error)]
    (folder / f"end-{number}-{os.environ['RANK']}.json").write_text(json.dumps(said))
"""


# accelerate shards on GPUs only; torch's fully_shard runs with gloo as well.
SHARDING_ON_CPU = """
from accelerate.state import DistributedType, PartialState

plain = PartialState.__init__

def as_on_gpus(self, *given, **named):
    plain(self, *given, **named)
    if self.distributed_type == DistributedType.MULTI_CPU:
        PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU

PartialState.__init__ = as_on_gpus
"""
# What Python opens to write, deletes or renames in a process, to the end of its runs.
NOTED = """
import atexit, json, os, sys
from pathlib import Path

changed = set()

def note(event, given):
    if event == "open" and isinstance(given[0], str) and given[2] & (os.O_WRONLY | os.O_RDWR):
        changed.add(given[0])
    elif event in ("os.remove", "os.rename"):
        changed.add(str(given[0]))

def tell():
    path = Path(sys.argv[1]).parent / f"changed-{os.environ['RANK']}.json"
    path.write_text(json.dumps(sorted(changed)))

sys.addaudithook(note)
atexit.register(tell)
"""
FSDP = {
    "TORCH_DISTRIBUTED_DEBUG": "DETAIL",  # who loses step is named, by what it asks for
    "ACCELERATE_USE_FSDP": "true",
    "FSDP_VERSION": "2",
    "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_TRANSFORMER_CLS_TO_WRAP": "Qwen2_5_VLDecoderLayer,Qwen2_5_VLVisionBlock",
    "FSDP_STATE_DICT_TYPE": "FULL_STATE_DICT",
    "FSDP_RESHARD_AFTER_FORWARD": "true",
}


def in_two_processes(
    folder: Path, runs: list[dict[str, Any]], before: str = "", **environment: str
) -> list[list[Any]]:
    """Train one after the other in the same two processes; return how each ended on both."""
    (folder / "driver.py").write_text(before + DRIVER)
    (folder / "runs.json").write_text(json.dumps(runs))
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run(
        [sys.executable, *torchrun, str(folder / "driver.py"), str(folder / "runs.json")],
        env={**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-12000:]
    return [
        [json.loads((folder / f"end-{number}-{rank}.json").read_text()) for rank in (0, 1)]
        for number in range(len(runs))
    ]


def in_one_process(run: dict[str, Any], **other: Any) -> Path:
    from vlm_trainer.run import train
    from vlm_trainer.settings import read_config

    given = {**run, "expect_processes": 1, **other}
    train(read_config(None, given), lambda _line: None)
    return Path(given["output_dir"])


def run_of(data: Path, output: Path, **options: Any) -> dict[str, Any]:
    return {
        "model_name_or_path": "tiny",
        "data": str(data),
        "output_dir": str(output),
        "expect_processes": 2,
        "num_train_epochs": 2,
        "gradient_accumulation_steps": 1,
        "learning_rate": 1e-2,
        "logging_steps": 1,
        "use_cpu": True,
        **options,
    }


def mixed_rows(count: int) -> list[dict[str, Any]]:
    """Rows with 0, 1 and 2 pictures and answers of very unequal length."""
    message, rows = BUILD["message"], BUILD["digit_rows"](range(count))
    for number, row in enumerate(rows):
        parts = [BUILD["IMAGE"]] * (number % 3)
        answer = json.dumps(["seven"] * (1 + 7 * (number % 5)))
        row["messages"] = [message("user", *parts, "Which?"), message("assistant", answer)]
        row["images"] = row["images"][:1] * len(parts)
        row["image_sizes"] = row["image_sizes"][:1] * len(parts)
    return rows


def text_rows(count: int) -> list[dict[str, Any]]:
    message = BUILD["message"]
    return [
        BUILD["chat_row"](f"t{n}", message("user", "How many?"), message("assistant", "seven " * n))
        for n in range(1, count + 1)
    ]


def lines_of(output: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if "loss" in line]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The tiny models as folders: built in each process they would be two."""
    from vlm_trainer.tiny import write_tiny

    folder = tmp_path_factory.mktemp("models")
    for name in ("tiny", "tiny-text"):
        write_tiny(folder / name, vision=name == "tiny")
    return {name: str(folder / name) for name in ("tiny", "tiny-text")}


TOWERS = {"lora_scope": ["language", "vision", "merger"]}
UNEVEN = {
    # name: rows, batch and accumulation of two processes, batch of one, options
    "5 of 8 rows are left": (13, (4, 1), 8, TOWERS),
    "1 of 8 is left, in parts": (9, (2, 2), 8, {"tuning": "full", "learning_rate": 1e-3}),
    "1 of 4, weighted": (5, (2, 1), 4, {"json_focus": 0.25}),
    "1 pair of 4": (9, (2, 1), 4, {}),
    "packed": (14, (2, 1), 4, {"packing": True, "max_length": 96, "learning_rate": 1e-3}),
}


def written(folder: Path, name: str, count: int) -> Path:
    if name == "1 pair of 4":
        rows, layout = BUILD["shade_pairs"](range(count)), "pair"
    elif name == "packed":
        rows, layout = text_rows(count), "text"
    else:
        rows, layout = mixed_rows(count), "conversation"
    return Path(BUILD["write_import"](folder, {"train": rows}, layout=layout))


def test_an_uneven_epoch_is_learned_as_by_one_process(
    tmp_path: Path, models: dict[str, str]
) -> None:
    runs, alone = [], []
    for number, (name, (count, (batch, parts), whole, options)) in enumerate(UNEVEN.items()):
        data = written(tmp_path / f"data-{number}", name, count)
        shape = {"per_device_train_batch_size": batch, "gradient_accumulation_steps": parts}
        model = models["tiny-text" if name == "packed" else "tiny"]
        run = run_of(data, tmp_path / f"two-{number}", **options, **shape)
        run["model_name_or_path"] = model
        runs.append(run)
        one = {"per_device_train_batch_size": whole, "gradient_accumulation_steps": 1}
        alone.append(in_one_process({**run, **one}, output_dir=str(tmp_path / f"one-{number}")))

    ends = in_two_processes(tmp_path, runs)

    for name, run, one, end in zip(UNEVEN, runs, alone, ends, strict=True):
        assert end == [None, None], name
        got, expected = lines_of(Path(run["output_dir"])), lines_of(one)
        for key in ("loss", "grad_norm", "rewards/margins", "rewards/accuracies"):
            values = [line.get(key) for line in got]
            assert values == pytest.approx([line.get(key) for line in expected], abs=1e-5), name


def test_a_row_that_fails_on_one_process_stops_both_with_a_checkpoint(
    tmp_path: Path, models: dict[str, str]
) -> None:
    from vlm_trainer.order import permutation

    rows = BUILD["digit_rows"](range(16))
    order = permutation(0, 42, 16).tolist()
    bad, small = order[9], order[11]  # in the third of four steps: one on each process
    rows[bad]["images"][0]["bytes"] = b"no picture"
    rows[small]["image_sizes"][0]["width"] = 57  # passes the count, not the picture
    data = BUILD["write_import"](tmp_path / "data", {"train": rows, "test": rows[bad : bad + 1]})
    shape = {"per_device_train_batch_size": 2, "num_train_epochs": 1}
    shape["model_name_or_path"] = models["tiny"]
    run = run_of(data, tmp_path / "out", **shape)
    held_out = run_of(data, tmp_path / "held", eval_split="test", eval_steps=1, **shape)
    ids = [f"digit-{bad}", f"digit-{small}"]

    ends = in_two_processes(tmp_path, [run, {**run, "exclude_ids": ids}, held_out])

    kind, said = ends[0][0]
    assert ends[0][1] == [kind, said]
    assert kind == "RowsRefused"
    assert "image-unreadable" in said or "image-size-differs" in said
    assert "--exclude-ids digit-" in said
    assert "(saved at step 2; the same command with this flag goes on)" in said
    assert ends[1] == [None, None]
    assert [line["step"] for line in lines_of(tmp_path / "out")] == [1, 2, 3, 4]
    assert ends[2][0][0] == ends[2][1][0] == "RowsRefused"
    assert f"--exclude-ids digit-{bad}" in ends[2][0][1]


def tie(folder: Path) -> None:
    """Make words and head of a model one weight, as those of Qwen2.5-VL-3B are."""
    from safetensors.torch import load_file, save_file

    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["tie_word_embeddings"] = config["tie_word_embeddings"] = True
    (folder / "config.json").write_text(json.dumps(config))
    weights = load_file(folder / "model.safetensors")
    del weights["lm_head.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def test_sharded_weights_learn_the_same_and_go_on_from_a_checkpoint(
    tmp_path: Path, models: dict[str, str]
) -> None:
    shutil.copytree(models["tiny"], tmp_path / "tied")
    tie(tmp_path / "tied")
    rows = written(tmp_path / "rows", "mixed", 13)  # batches without a picture on one process
    pairs = written(tmp_path / "pairs", "1 pair of 4", 9)
    full = {"tuning": "full", "learning_rate": 1e-3}
    saved = {"save_steps": 1, "save_total_limit": 9}
    given = {
        "lora": (rows, {**TOWERS, **saved}),
        "full": (rows, {**full, **saved, "gradient_accumulation_steps": 2}),
        "one weight": (rows, {**full, "model_name_or_path": str(tmp_path / "tied")}),
        "a reference": (pairs, {**full, "learning_rate": 1e-4}),
    }
    shape = {"model_name_or_path": models["tiny"], "max_steps": 3}
    runs, alone = {}, {}
    for name, (data, options) in given.items():
        run = run_of(data, tmp_path / name, **{**shape, **options})
        parts = run["gradient_accumulation_steps"]
        runs[name] = {**run, "per_device_train_batch_size": 4 // parts}
        one = {**run, "per_device_train_batch_size": 8, "gradient_accumulation_steps": 1}
        alone[name] = in_one_process({**one, "save_steps": 99}, output_dir=f"{tmp_path}/1 {name}")

    ends = in_two_processes(tmp_path, [*runs.values()], NOTED + SHARDING_ON_CPU, **FSDP)

    assert ends == [[None, None]] * len(runs)
    first, second = (changed_below(tmp_path, [*runs], rank) for rank in (0, 1))
    assert {"lora/metrics.jsonl", "lora/README.md"} <= first
    assert {path for path in second if "rng_state_1" not in path} == set()
    for name, one in alone.items():
        for key in ("loss", "grad_norm"):
            values = [line[key] for line in lines_of(tmp_path / name)]
            assert len(values) == 3
            expected = [line[key] for line in lines_of(one)]
            assert values == pytest.approx(expected, rel=1e-5, abs=1e-5), (name, key)
    ended = {name: undisturbed(tmp_path / name) for name in ("lora", "full")}
    again = [runs[name] for name in ended]

    assert in_two_processes(tmp_path, again, SHARDING_ON_CPU, **FSDP) == ends[:2]

    for name, weights in ended.items():
        assert next((tmp_path / name).glob("*model.safetensors")).read_bytes() == weights, name


def changed_below(folder: Path, names: list[str], rank: int) -> set[str]:
    """Return what a process changed in folders, below their parent."""
    paths = map(Path, json.loads((folder / f"changed-{rank}.json").read_text()))
    inside = [path for path in paths if path.is_relative_to(folder)]
    found = {path.relative_to(folder).as_posix() for path in inside}
    return {path for path in found if path.partition("/")[0] in names}


def undisturbed(output: Path) -> bytes:
    """Return what a run ended in, and leave it as after a kill in the first epoch."""
    (path,) = output.glob("*model.safetensors")
    weights = path.read_bytes()
    for step in (2, 3):
        (output / f"checkpoint-{step}" / "complete.json").unlink()
    (output / "finished.json").unlink()
    path.unlink()
    return weights


def test_sharding_on_a_cpu_is_refused_and_not_run_as_something_else(
    tmp_path: Path, models: dict[str, str]
) -> None:
    data = written(tmp_path / "data", "mixed", 4)
    run = run_of(data, tmp_path / "out", model_name_or_path=models["tiny"])

    ends = in_two_processes(tmp_path, [run], **FSDP)

    assert ends[0][0][0] == "UsageError"
    assert "FSDP was asked for, and accelerate runs MULTI_CPU without a word" in ends[0][0][1]
