"""What does a training step take on a GPU: seconds, tokens a second, MFU and peak memory?

    python benchmarks/gpu_train.py [--pictures 224x224 1024x768] [--batches 1x8 8x1]
        [--ways lora qlora] [--steps 30] [--peak-tflops 989]
    python benchmarks/gpu_train.py --tiny --use-cpu     tries the code; its figures mean nothing

No weights are needed: a Qwen2.5-VL-3B is made from its config with random values, once, as a
folder of bf16 safetensors in the benchmark's cache. Then `vlm_trainer` runs as anybody runs it,
one process for each line of the table. `lora` is a base in bf16, `qlora` one in NF4; both have
the default adapter (rank 16, language model) and checkpointing unless --no-checkpointing is said.
Pictures are photos of scikit-image, cropped and scaled; a batch of 8x1 is 8 rows at once, 1x8 is
one row, accumulated 8 times.

A step is the time between the log lines of step --warm-up and of the last one, which are of one
process: the start, the first allocations and kernels that are chosen do not count. Peak memory is
torch.cuda.max_memory_allocated() at the end, loading included; MiB of the driver come on top.

FLOPs of a step, T tokens and P patches in it:
    4 N T + 6 A T + 2 V P + 2 M P / 4
N linear weights of the language model and the head (frozen: forward, and gradients of what comes
in), A numbers of the adapter (forward and both gradients), V weights of the vision tower and M of
the merger (forward only: nothing before them is trained; a merged token is 4 patches). MFU is
these by the seconds and --peak-tflops; "with recomputing" adds the second forward of
checkpointing, 2 (N without the head + A) T. Scores of attention are left out, so both are a
little low. 989 TFLOPS is NVIDIA's figure for bf16 without sparsity on an H100 or H200 SXM.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import math
import multiprocessing
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

from harness.processes import CACHE, OURS, ProcessError, print_about, run_process, say
from PIL import Image
from skimage import data as photos

from vlm_trainer.conversation import ImageSize
from vlm_trainer.memory import Training, adapter_values, published, weights_of
from vlm_trainer.processor import read_rule
from vlm_trainer.sizes import image_tokens

MODEL = "Qwen/Qwen2.5-VL-3B-Instruct"
RULE = {"min_pixels": 3136, "max_pixels": 1_003_520}
RANK = 16
QUESTION = "What does the picture show?"
FULL = {"pictures": ["224x224", "1024x768"], "batches": ["1x8", "8x1"], "ways": ["lora", "qlora"],
        "rows": 64, "warm_up": 10, "steps": 30, "workers": 4}  # fmt: skip
TINY = {"pictures": ["56x56"], "batches": ["1x2"], "ways": ["lora"],
        "rows": 4, "warm_up": 1, "steps": 1, "workers": 0}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """What one way took."""

    pictures: str
    batch: str
    way: str
    step_s: float
    tokens_a_second: float
    mfu: float
    mfu_with_recomputing: float
    peak_gib: float | None


def write_model(folder: Path, *, is_tiny: bool) -> None:
    """Write a model of random weights, whole or not at all."""
    from vlm_trainer.model import quiet_libraries
    from vlm_trainer.tiny import write_tiny, write_tiny_words

    unfinished = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    with quiet_libraries():
        if is_tiny:
            write_tiny(unfinished)
        else:
            write_tiny_words(unfinished)
            config = unfinished / "config.json"
            config.write_text(json.dumps(sized(json.loads(config.read_text()), published()[MODEL])))
            write_weights(unfinished)
    unfinished.rename(folder)


def sized(config: dict[str, Any], sizes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tiny model's config with the sizes of a published one; words stay the few there."""
    own = {key: value for key, value in sizes.items() if key not in ("model_type", "vision_config")}
    # mrope_section and the layers with full attention: config.json of Qwen2.5-VL-3B-Instruct.
    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]}
    text = {**config["text_config"], **own, "rope_parameters": rope, "dtype": "bfloat16"}
    vision = {**sizes["vision_config"], "model_type": "qwen2_5_vl_vision", "window_size": 112,
              "fullatt_block_indexes": [7, 15, 23, 31]}  # fmt: skip
    vision["in_channels"] = vision.pop("in_chans")
    tied = {"tie_word_embeddings": sizes["tie_word_embeddings"], "dtype": "bfloat16"}
    return {**config, "text_config": text, "vision_config": vision, **tied}


def write_weights(folder: Path) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText

    config = AutoConfig.from_pretrained(folder)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = AutoModelForImageTextToText.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(folder)


def model_folder(cache: Path, *, is_tiny: bool) -> Path:
    """Return the model, made in a process of its own, which gives the GPU back."""
    folder = cache / ("tiny" if is_tiny else MODEL.rpartition("/")[2])
    if not folder.exists():
        say(f"random weights of {folder.name}")
        context = multiprocessing.get_context("spawn")
        writer = context.Process(target=write_model, args=(folder,), kwargs={"is_tiny": is_tiny})
        writer.start()
        writer.join()
        if writer.exitcode:
            sys.exit(f"the model could not be written (exit code {writer.exitcode})")
    return folder


def data_folder(cache: Path, size: str, rows: int) -> Path:
    """Return an import of rows with pictures of one size."""
    folder = cache / f"rows-{size}-{rows}"
    if not (folder / "manifest.json").exists():
        lines = []
        for number, picture in enumerate(pictures(size, rows)):
            url = f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}"
            answer = f"It is the number {number}, a picture in red and green."
            lines.append(json.dumps({"text": QUESTION, "image": url, "response": answer}))
        source = cache / f"{folder.name}.jsonl"
        source.write_text("\n".join(lines))
        run_process([str(OURS), "import", str(source), "-q", "-o", str(folder)])
    return folder


def pictures(size: str, count: int) -> list[bytes]:
    """Cut pieces of equal shape out of photos, each from another place, as JPEG files."""
    width, height = map(int, size.split("x"))
    found = []
    for number in range(count):
        whole = Image.fromarray((photos.coffee, photos.astronaut, photos.chelsea)[number % 3]())
        scale = min(whole.width / width, whole.height / height) * 0.8
        left, top = (number * 7 % int(side * 0.2) for side in whole.size)
        box = (left, top, left + round(width * scale), top + round(height * scale))
        file = io.BytesIO()
        whole.crop(box).resize((width, height)).save(file, "JPEG", quality=90)
        found.append(file.getvalue())
    return found


def train(given: argparse.Namespace, out: Path, data: Path, batch: str, way: str) -> None:
    """Train for the steps that are measured and those before them."""
    rows, times = batch.split("x")
    shutil.rmtree(out, ignore_errors=True)
    command = [
        sys.executable, "-m", "vlm_trainer", "--model-name-or-path", str(given.model),
        "--data", str(data), "--output-dir", str(out), "--lora-r", str(RANK),
        "--max-steps", str(given.warm_up + given.steps), "--logging-steps", "1",
        "--per-device-train-batch-size", rows, "--gradient-accumulation-steps", times,
        "--save-steps", "100000", "--dataloader-num-workers", str(given.workers),
        "--max-pixels", str(RULE["max_pixels"]), "--min-pixels", str(RULE["min_pixels"]),
        "--gradient-checkpointing" if given.checkpointing else "--no-gradient-checkpointing",
    ]  # fmt: skip
    command += ["--load-in", "4bit"] * (way == "qlora") + ["--use-cpu"] * given.use_cpu
    run_process(command)


def measured(given: argparse.Namespace, size: str, batch: str, way: str) -> Line:
    """Return a line of the table."""
    data, out = data_folder(given.cache, size, given.rows), given.cache / "out"
    say(f"{size}, batch {batch}, {way}")
    train(given, out, data, batch, way)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    at = {line["step"]: line["elapsed_s"] for line in lines if "loss" in line}
    step_s = (at[given.warm_up + given.steps] - at[given.warm_up]) / given.steps
    tokens, patches = contents_of_step(given, data, size, batch)
    flops = step_flops(json.loads((given.model / "config.json").read_text()), tokens, patches)
    peak = json.loads((out / "finished.json").read_text())["gpu_peak_bytes"]
    again = flops[1] if given.checkpointing else 0
    return Line(
        size, batch, way, step_s, tokens / step_s,
        flops[0] / step_s / given.peak_tflops / 1e12,
        (flops[0] + again) / step_s / given.peak_tflops / 1e12,
        peak and peak / 2**30,
    )  # fmt: skip


def contents_of_step(
    given: argparse.Namespace, data: Path, size: str, batch: str
) -> tuple[float, int]:
    """Return the tokens and the patches of a step; rows differ by a token or two at most."""
    import pyarrow.parquet as pq

    from vlm_trainer.chat import read_chat
    from vlm_trainer.conversation import from_columns
    from vlm_trainer.lengths import Measure, measure

    rule = read_rule(given.model, **RULE)
    rows = [row for path in data.glob("data/*.parquet") for row in pq.read_table(path).to_pylist()]
    chat = read_chat(given.model, reads_pictures=True)
    lengths = measure(map(from_columns, rows), Measure(chat, rule))
    width, height = map(int, size.split("x"))
    rows_a_step = math.prod(map(int, batch.split("x")))
    patches = 4 * image_tokens(ImageSize(width, height), rule)
    return float(lengths.tokens.mean()) * rows_a_step, patches * rows_a_step


def step_flops(config: Mapping[str, Any], tokens: float, patches: int) -> tuple[float, float]:
    """Return the FLOPs of a step, and those of the second forward of checkpointing."""
    weights = weights_of(config) or ()
    matrices = dict.fromkeys(("language", "vision", "merger"), 0)
    for weight in weights:
        if weight.part in matrices and weight.inputs > 1:
            matrices[weight.part] += weight.values
    head = next(w.outputs * w.inputs for w in weights if w.part == "embedding")
    adapter = adapter_values(weights, Training(lora_r=RANK))
    seen = 2 * matrices["vision"] * patches + 2 * matrices["merger"] * patches / 4
    once = 4 * (matrices["language"] + head) * tokens + 6 * adapter * tokens + seen
    return once, 2 * (matrices["language"] + adapter) * tokens


def print_lines(lines: list[Line]) -> None:
    print("\n| pictures | batch | way | s a step | tokens/s | MFU | with recomputing | peak GiB |")
    print("|---|---|---|---:|---:|---:|---:|---:|")
    for line in lines:
        peak = "-" if line.peak_gib is None else f"{line.peak_gib:.1f}"
        print(
            f"| {line.pictures} | {line.batch} | {line.way} | {line.step_s:.3f} | "
            f"{line.tokens_a_second:,.0f} | {line.mfu:.1%} | {line.mfu_with_recomputing:.1%} | "
            f"{peak} |"
        )


def device_name() -> str | None:
    """Name the GPU, or None without one."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def arguments_of(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("pictures", "batches", "ways"):
        parser.add_argument(f"--{name}", nargs="+")
    for name in ("rows", "warm-up", "steps", "workers"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--peak-tflops", type=float, default=989)
    parser.add_argument("--checkpointing", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--cache", type=Path, default=CACHE / "gpu_train")
    for name in ("tiny", "use-cpu", "json"):
        parser.add_argument(f"--{name}", action="store_true")
    given, _ = parser.parse_known_args(argv)  # the session gives all benchmarks the same
    for name, value in (TINY if given.tiny else FULL).items():
        if getattr(given, name) is None:
            setattr(given, name, value)
    return given


def main() -> None:
    given = arguments_of()
    device = None if given.use_cpu else device_name()
    if device is None and not (given.tiny and given.use_cpu):
        sys.exit("no CUDA device here; --tiny --use-cpu tries the code without one")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    given.cache.mkdir(parents=True, exist_ok=True)
    if not given.json:
        print_about(sys.argv)
        print(device or "NO MEASUREMENT: a tiny model on a CPU, to see that the benchmark runs")
    given.model = model_folder(given.cache, is_tiny=given.tiny)
    lines = []
    for size, batch, way in product(given.pictures, given.batches, given.ways):
        try:
            lines.append(measured(given, size, batch, way))
        except ProcessError as error:
            print(f"left out: {size}, batch {batch}, {way}: {error}", file=sys.stderr)
    if given.json:
        found = {"device": device, "is_measurement": device is not None and not given.tiny}
        print(json.dumps({**found, "lines": [asdict(line) for line in lines]}))
    else:
        print_lines(lines)
    if not lines:
        sys.exit(1)


if __name__ == "__main__":
    main()
