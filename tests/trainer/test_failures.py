"""What ends a run from outside is one line that says what is kept and what to do."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from vlm_trainer.errors import OutOfMemory, OutputError, RowsRefused, SourceError, UsageError
from vlm_trainer.lock import LOCK, only_run
from vlm_trainer.reporting import TOOLS, check_reporting, send_no_telemetry
from vlm_trainer.run import train
from vlm_trainer.settings import read_config


def settings(data: Path, output: Path, **options: Any) -> dict[str, Any]:
    return {
        "model_name_or_path": "tiny",
        "data": str(data),
        "output_dir": str(output),
        "max_steps": 4,
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 1,
        "logging_steps": 1,
        "use_cpu": True,
        **options,
    }


def run(data: Path, output: Path, **options: Any) -> Any:
    return train(read_config(None, settings(data, output, **options)), lambda _line: None)


def command(data: Path, output: Path, **options: Any) -> list[str]:
    given = settings(data, output, **options)
    given.pop("use_cpu")
    flags = [f"--{key.replace('_', '-')}={value}" for key, value in given.items()]
    return [sys.executable, "-m", "vlm_trainer", *flags, "--use-cpu"]


def flip_pictures(data: Path, row_group: int) -> None:
    """Flip bytes in the column of pictures of one row group, as a bad disk would."""
    import pyarrow.parquet as pq

    path = data / "data" / "train-00000-000.parquet"
    metadata = pq.ParquetFile(path).metadata.row_group(row_group)
    columns = [metadata.column(at) for at in range(metadata.num_columns)]
    column = next(one for one in columns if one.path_in_schema.endswith("bytes"))
    content = bytearray(path.read_bytes())
    start = (
        column.data_page_offset
        if not column.dictionary_page_offset
        else (column.dictionary_page_offset)
    )
    for at in range(start, start + column.total_compressed_size):
        content[at] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_a_corrupt_row_group_stops_with_a_checkpoint_and_the_mended_shard_goes_on(
    rows: Any, tmp_path: Path, workers: int
) -> None:
    from vlm_trainer.order import permutation

    order = permutation(0, 42, 16).tolist()
    late = order[13]  # in the last of four steps
    data = rows.write_import(tmp_path / "data", {"train": rows.digit_rows(range(16))}, group=1)
    shard = data / "data" / "train-00000-000.parquet"
    whole = shard.read_bytes()
    flip_pictures(data, late)

    with pytest.raises(SourceError) as caught:
        run(data, tmp_path / "out", dataloader_num_workers=workers)

    said = str(caught.value)
    assert said.startswith(f"{shard}: not a readable shard (")
    assert "import again (saved at step " in said
    assert said.endswith("; the same command over whole shards goes on)")
    assert "\n" not in said
    shard.write_bytes(whole)
    summary = run(data, tmp_path / "out", dataloader_num_workers=workers)
    assert summary.steps == 4
    assert summary.resumed_from >= 1


@pytest.mark.slow
def test_a_picture_of_another_size_than_the_shard_says_is_named(rows: Any, tmp_path: Path) -> None:
    written = rows.digit_rows(range(8))
    written[3]["image_sizes"][0]["width"] = 57
    data = rows.write_import(tmp_path / "data", {"train": written})

    with pytest.raises(RowsRefused, match="image-size-differs") as caught:
        run(data, tmp_path / "out", max_steps=2)

    assert "--exclude-ids digit-3" in str(caught.value)
    again = run(data, tmp_path / "out", max_steps=2, exclude_ids="digit-3")
    assert (again.steps, again.rows) == (2, 7)


@pytest.mark.slow
def test_a_full_disk_keeps_the_older_checkpoint_and_the_same_command_goes_on(
    digits: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    options = {"save_steps": 2, "max_steps": 60, "save_total_limit": 1}
    words = command(digits, output, **options)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    running = subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True)
    while not list(output.glob("checkpoint-*/complete.json")):
        assert running.poll() is None
        time.sleep(0.02)

    # No file may grow beyond 100 kB from now on: the adapter and the optimizer are larger.
    resource.prlimit(running.pid, resource.RLIMIT_FSIZE, (100_000, 100_000))
    _, said = running.communicate(timeout=120)

    assert running.returncode == 5, said[-2000:]
    last = said.strip().splitlines()[-1]
    assert last.startswith(f"vlm-trainer: {output}: cannot be written, the disk is full (")
    assert "is kept and whole. Make room, and the same command goes on" in last
    assert "Traceback" not in said
    kept = [path.parent.name for path in output.glob("checkpoint-*/complete.json")]
    assert len(kept) == 1
    assert f"; {kept[0]} is kept" in last
    assert [path.name for path in output.glob("checkpoint-*")] == kept

    again = run(digits, output, **options)

    assert again.steps == 60
    assert again.resumed_from == int(kept[0].removeprefix("checkpoint-"))


@pytest.mark.slow
def test_a_gpu_without_memory_is_one_line_with_the_batch_and_what_to_lower(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from transformers import Qwen2_5_VLModel as Model

    def forward(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError(
            "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 79 GiB"
        )

    monkeypatch.setattr(Model, "forward", forward)

    with pytest.raises(OutOfMemory) as caught:
        run(digits, tmp_path / "out")

    said = str(caught.value)
    assert said.startswith("the GPU is out of memory for 2.50 GiB more: step 1 had a batch of 4 ")
    assert "4 pictures of 64 patches" in said
    assert "the longest row has" in said
    assert "Lower --per-device-train-batch-size (4) with as much more --gradient-acc" in said
    assert "--max-pixels (1003520), --max-length (any), or try --load-in 4bit" in said
    assert OutOfMemory.exit_code == 2
    assert "\n" not in said


HOLDER = """
import sys, time
from pathlib import Path
from vlm_trainer.lock import only_run
with only_run(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_run_in_the_folder_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    output = tmp_path / "out"
    first = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(output)], stdout=subprocess.PIPE, text=True
    )
    assert first.stdout is not None
    assert first.stdout.readline() == "held\n"

    said = rf"another run \(process {first.pid}\) trains here"
    with pytest.raises(OutputError, match=said), only_run(output):
        pass

    first.kill()
    first.communicate()
    with only_run(output):
        assert (output / LOCK).read_text() == str(os.getpid())


IN_TURN = """
import os, sys
from pathlib import Path
from vlm_trainer.errors import OutputError
from vlm_trainer.lock import only_run
folder, entered = Path(sys.argv[1]), 0
while entered < 100:
    try:
        with only_run(folder):
            os.mkdir(folder / "alone")  # fails if another is inside
            os.rmdir(folder / "alone")
            entered += 1
    except OutputError:
        pass
"""


def test_a_lock_that_is_taken_away_at_the_end_lets_no_two_in(tmp_path: Path) -> None:
    output = tmp_path / "out"
    words = [sys.executable, "-c", IN_TURN, str(output)]

    runs = [subprocess.Popen(words, stderr=subprocess.PIPE, text=True) for _ in range(3)]

    said = [run.communicate(timeout=60)[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0], said
    assert list(output.iterdir()) == []


def test_a_run_that_is_refused_by_the_lock_writes_nothing(digits: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    words = command(digits, output)

    with only_run(output):
        second = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)

    assert second.returncode == 5
    assert f"another run (process {os.getpid()}) trains here" in second.stderr
    assert list(output.iterdir()) == []


def test_a_tool_that_is_not_installed_is_refused_before_anything_is_written(
    digits: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="report_to wandb: wandb is not installed; `pip install"):
        run(digits, tmp_path / "out", report_to="wandb")
    with pytest.raises(UsageError, match="report_to 'wanbd' is not known; choose none, all or "):
        run(digits, tmp_path / "out", report_to="wanbd")

    assert not (tmp_path / "out").exists()
    check_reporting("none")


@pytest.mark.slow
def test_the_known_tools_are_those_of_transformers() -> None:
    from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

    assert set(TOOLS) == set(INTEGRATION_TO_CALLBACK)


@pytest.mark.parametrize("name", ["HF_HUB_DISABLE_TELEMETRY", "DISABLE_TELEMETRY", "DO_NOT_TRACK"])
def test_telemetry_is_off_unless_the_user_has_decided(name: str) -> None:
    nothing: dict[str, str] = {}
    send_no_telemetry(nothing)
    decided = {name: "0"}
    send_no_telemetry(decided)

    assert nothing == {"HF_HUB_DISABLE_TELEMETRY": "1"}
    assert decided == {name: "0"}


def test_the_command_line_switches_telemetry_off_before_the_hub_reads_it() -> None:
    code = (
        "from vlm_trainer.cli import main\n"
        "try: main(['--version'])\n"
        "except SystemExit: pass\n"
        "from huggingface_hub import constants; print(constants.HF_HUB_DISABLE_TELEMETRY)"
    )
    clean = {k: v for k, v in os.environ.items() if "TELEMETRY" not in k and k != "DO_NOT_TRACK"}

    done = subprocess.run(
        [sys.executable, "-c", code], env=clean, capture_output=True, text=True, check=False
    )

    assert done.stdout.splitlines()[-1] == "True", done.stderr


def test_a_model_that_is_nowhere_is_one_line(digits: Path, tmp_path: Path) -> None:
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache")}
    for name, said in (("./none", "./none: no such model folder"), ("none/such", "Hub does not")):
        words = command(digits, tmp_path / "out", model_name_or_path=name)
        done = subprocess.run(
            words, env=offline, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 3, done.stderr
        assert said in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_the_summary_of_a_full_disk_says_when_nothing_is_kept(tmp_path: Path) -> None:
    from vlm_trainer.failures import disk_full

    error = OSError(28, "No space left on device")

    assert "(No space left on device); no checkpoint was whole yet" in disk_full(tmp_path, error)
