"""What does a training step cost beside its arithmetic, and what does TRL's own take?

    python benchmarks/train.py [--workload digits photos] [--rounds 5] [--steps 100]

Every figure is of whole processes, one a run, in interleaved rounds, on a tiny model and one
thread: what a step costs is the CPU of a long run less that of a short one, by the steps between
them, so that no start counts. `digits` are 56x56, where all but the arithmetic weighs most;
`photos` are 640x480 JPEG, where pictures do. The bare loop renders and collates the same rows as we
do and does nothing else; TRL reads them by datasets, with its own collator and the processor of
transformers. Before that: what one picture costs to be cut into patches, ours and transformers'.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from harness.processes import (
    CACHE,
    OURS,
    PEERS,
    ProcessError,
    fresh,
    interleaved,
    print_about,
    run_process,
    say,
)
from PIL import Image
from skimage import data as photos
from sklearn.datasets import load_digits

ROWS, BATCH, SHORT = 256, 8, 4
RULE = {"min_pixels": 3136, "max_pixels": 1_003_520}


def pictures(workload: str) -> list[bytes]:
    if workload == "digits":
        found = [Image.fromarray((grey * 15.9).astype(np.uint8)) for grey in load_digits().images]
        return [encoded(picture.resize((56, 56)).convert("RGB"), "PNG") for picture in found[:ROWS]]
    whole = [Image.fromarray(picture()) for picture in (photos.coffee, photos.astronaut)]
    crops = [
        picture.crop((n % 60, n % 40, n % 60 + 400, n % 40 + 300)).resize((640, 480))
        for n, picture in zip(range(ROWS), whole * ROWS, strict=False)
    ]
    return [encoded(crop, "JPEG") for crop in crops]


def encoded(picture: Image.Image, form: str) -> bytes:
    file = io.BytesIO()
    picture.save(file, form, quality=90)
    return file.getvalue()


def prepare(workload: str) -> tuple[Path, Path]:
    """Return a tiny model and an import of a workload's rows, made once."""
    from vlm_trainer.tiny import write_tiny

    model, data = CACHE / "train" / "tiny", CACHE / "train" / workload
    if not model.exists():
        write_tiny(model)
    if not (data / "manifest.json").exists():
        say(f"rows of {workload}")
        lines = [
            {
                "text": "What does the picture show?",
                "image": f"data:image/x;base64,{base64.b64encode(picture).decode()}",
                "response": f'{{"digit": {number % 10}, "name": "a picture"}}',
            }
            for number, picture in enumerate(pictures(workload))
        ]
        rows = CACHE / "train" / f"{workload}.jsonl"
        rows.write_text("".join(json.dumps(line) + "\n" for line in lines))
        subprocess.run([OURS, "import", rows, "-q", "-o", data], check=True)
    return model, data


def commands(model: Path, data: Path, steps: int) -> dict[str, list[str]]:
    out = fresh(CACHE / "train" / "out")
    shutil.rmtree(out)
    peer = [sys.executable, str(PEERS / "train_step.py")]
    rest = [str(model), str(data), str(steps), str(BATCH)]
    ours = [
        sys.executable, "-m", "vlm_trainer", "--model-name-or-path", str(model),
        "--data", str(data), "--output-dir", str(out), "--max-steps", str(steps), "--use-cpu",
        "--per-device-train-batch-size", str(BATCH), "--gradient-accumulation-steps", "1",
        "--save-steps", "100000",
    ]  # fmt: skip
    return {
        "bare loop": [*peer, "bare", *rest],
        "ours": ours,
        "TRL, its own collator": [*peer, "trl", *rest],
    }


def step_ms(workload: str, rounds: int, steps: int) -> dict[str, float]:
    """Return the median CPU milliseconds a step of each way."""
    model, data = prepare(workload)

    def spent(name: str) -> float:
        cpu = [
            run_process(commands(model, data, count)[name]).cpu_s
            for count in (SHORT, SHORT + steps)
        ]
        return (cpu[1] - cpu[0]) / steps * 1000

    left_out: dict[str, str] = {}
    ways: dict[str, Callable[[], float]] = {
        name: (lambda name=name: spent(name)) for name in commands(model, data, 1)
    }
    took = interleaved(ways, rounds, left_out)
    for name, why in left_out.items():
        print(f"left out: {name}: {why}")
    return {name: statistics.median(values) for name, values in took.items()}


def picture_ms(rounds: int) -> dict[str, float]:
    """Return the median CPU milliseconds of a 640x480 picture, from RGB to patches."""
    from vlm_trainer.hf_processor import load_processor
    from vlm_trainer.model import quiet_libraries
    from vlm_trainer.pixels import cut_patches
    from vlm_trainer.processor import read_rule

    model, _ = prepare("photos")
    crops = [Image.open(io.BytesIO(data)).convert("RGB") for data in pictures("photos")[:32]]
    rule = read_rule(model, **RULE)
    with quiet_libraries():
        theirs = load_processor(model).image_processor
    size = {"shortest_edge": RULE["min_pixels"], "longest_edge": RULE["max_pixels"]}
    for crop in crops[:2]:
        patches = theirs(images=crop, size=size, return_tensors="np")["pixel_values"]
        if not np.allclose(patches, cut_patches(crop, rule).values_PD, atol=1e-5):
            raise ProcessError("our patches differ from those of transformers")
    ways = {
        "ours: cut_patches": lambda: [cut_patches(crop, rule) for crop in crops],
        "transformers: image processor": lambda: [
            theirs(images=crop, size=size, return_tensors="np") for crop in crops
        ],
    }
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            begun = time.process_time()
            way()
            spent[name].append((time.process_time() - begun) * 1000 / len(crops))
    return {name: statistics.median(values) for name, values in spent.items()}


def print_table(title: str, unit: str, found: dict[str, float]) -> None:
    first = next(iter(found.values()))
    print(f"\n| {title} | {unit} | ratio |\n|---|---:|---:|")
    for name, value in found.items():
        print(f"| {name} | {value:.2f} | {value / first:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workload", nargs="+", default=["digits", "photos"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    arguments, _ = parser.parse_known_args()  # the session gives all benchmarks the same
    os.environ["OMP_NUM_THREADS"] = "1"
    if not arguments.json:
        print_about(sys.argv)
    found = {"a 640x480 picture": picture_ms(arguments.rounds)}
    for workload in arguments.workload:
        found[f"{workload}, batch {BATCH}"] = step_ms(workload, arguments.rounds, arguments.steps)
    if arguments.json:
        print(json.dumps(found))
        return
    for title, values in found.items():
        print_table(title, "CPU ms" if "picture" in title else "CPU ms a step", values)


if __name__ == "__main__":
    main()
