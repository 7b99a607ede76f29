"""What each process gets of an epoch, and the configs that start several processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlm_trainer.shares import NO_ROW, Blank, SharedCollator, SharedRows, deal, with_blank

CONFIGS = Path(__file__).parents[2] / "examples" / "accelerate"


@given(st.integers(0, 100), st.integers(1, 9), st.integers(1, 5), st.integers(1, 4))
def test_every_row_comes_once_in_the_step_of_one_process_and_shares_differ_by_one_at_most(
    rows: int, batch: int, processes: int, parts: int
) -> None:
    order = list(range(rows))[::-1]

    dealt = deal(order, batch, processes)

    whole = batch * processes
    assert sorted(row for row in dealt if row != NO_ROW) == sorted(order)
    assert len(dealt) == -(-rows // whole) * whole
    step = whole * parts
    for start in range(0, len(dealt), step):  # a step has the rows that one process gives it
        shown = {row for row in dealt[start : start + step] if row != NO_ROW}
        assert shown == set(order[start : start + step])
    last = dealt[len(dealt) - whole :] if dealt else []
    shares = [
        sum(row != NO_ROW for row in last[at : at + batch]) for at in range(0, len(last), batch)
    ]
    assert not shares or max(shares) - min(shares) <= 1


def test_a_process_without_a_row_gets_the_first_row_without_labels() -> None:
    import torch

    def collate(rows: list[Any]) -> Any:
        return {"input_ids": torch.tensor(rows), "labels": torch.tensor(rows),
                "loss_weights": torch.ones(len(rows), 2)}  # fmt: skip

    rows = SharedRows([[5, 6], [7, 8]])
    collator = SharedCollator(collate, rows.rows)

    stands_in = collator([rows[NO_ROW], rows[NO_ROW]])
    mixed = collator([rows[1], rows[NO_ROW]])

    assert stands_in["input_ids"].tolist() == [[5, 6]]
    assert stands_in["labels"].tolist() == [[-100, -100]]
    assert stands_in["loss_weights"].tolist() == [[0, 0]]
    assert mixed["labels"].tolist() == [[7, 8]]


@pytest.mark.slow
def test_a_blank_picture_behind_the_end_changes_no_logit(tiny_folder: Path) -> None:
    import torch

    from vlm_trainer.base_model import find_base
    from vlm_trainer.chat import read_chat
    from vlm_trainer.model import load_model

    image_token = read_chat(tiny_folder, reads_pictures=True).image_token_id
    assert image_token is not None
    batch = {
        "input_ids": torch.tensor([[5, 6, 7, 0], [9, 10, 11, 12]]),
        "labels": torch.tensor([[-100, 6, 7, -100], [-100, 10, 11, 12]]),
        "attention_mask": torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]]),
    }
    model = load_model(find_base(str(tiny_folder)), dtype="float32")

    wide = with_blank(batch, Blank(image_token, patches=4, values=1176))

    assert wide["input_ids"].tolist() == [[5, 6, 7, image_token, 0], [9, 10, 11, 12, 0]]
    assert wide["labels"].tolist() == [[-100, 6, 7, -100, -100], [-100, 10, 11, 12, -100]]
    with torch.inference_mode():
        plain = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        wide.pop("labels")
        blank = model(**wide).logits
    # Not to the bit: kernels add up in another order for another length.
    torch.testing.assert_close(blank[0, :3], plain[0, :3], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(blank[1, :4], plain[1], atol=1e-5, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_accelerate_reads_the_configs_of_the_examples(path: Path) -> None:
    from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser

    config = load_config_from_file(str(path))
    words = ["--config_file", str(path), "-m", "vlm_trainer"]
    arguments, _, _ = _validate_launch_command(launch_command_parser().parse_args(words))

    assert isinstance(config, ClusterConfig)
    assert config.num_processes == arguments.num_processes == 2
    assert arguments.use_fsdp == (path.stem == "fsdp")
    assert arguments.use_deepspeed == path.stem.startswith("deepspeed")


@pytest.mark.slow
def test_the_classes_that_fsdp_wraps_are_those_of_the_model(tiny_folder: Path) -> None:
    import yaml

    from vlm_trainer.base_model import find_base
    from vlm_trainer.model import load_model

    wrapped = yaml.safe_load((CONFIGS / "fsdp.yaml").read_text())["fsdp_config"]
    model = load_model(find_base(str(tiny_folder)), dtype="float32")

    names = set(wrapped["fsdp_transformer_layer_cls_to_wrap"].split(","))
    assert names <= {type(module).__name__ for module in model.modules()}


@pytest.mark.slow
def test_the_config_for_a_cpu_starts_two_processes(tmp_path: Path) -> None:
    script = tmp_path / "say.py"
    script.write_text(
        "import os, pathlib\n"
        "pathlib.Path('rank' + os.environ['RANK']).write_text(os.environ['WORLD_SIZE'])\n"
    )
    accelerate = str(Path(sys.executable).with_name("accelerate"))

    done = subprocess.run(
        [accelerate, "launch", "--config_file", str(CONFIGS / "ddp_cpu.yaml"), str(script)],
        cwd=tmp_path,
        env={**os.environ, "ACCELERATE_USE_CPU": "true"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    said = {path.name: path.read_text() for path in tmp_path.glob("rank*")}
    assert said == {"rank0": "2", "rank1": "2"}, done.stderr[-2000:]
