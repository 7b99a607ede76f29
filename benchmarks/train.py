"""What does a training step cost beside its arithmetic, and what does TRL's own take?

    python benchmarks/train.py [--size tiny] [--workload digits photos] [--rounds 5]

Every way is a process of its own, in interleaved rounds and on one thread; what a step costs is its
CPU, user and system, from the fourth step to the last, so that no start counts. `tiny` is the model
of the tests, whose arithmetic is next to nothing; `small` has 18 million weights: most of a second
a step of digits, minutes of photos. `digits` are 56x56, where all but the arithmetic weighs most;
`photos` are 640x480 JPEG, where pictures do. The bare loop takes the same batches as we do and does
nothing else, once with the model's own loss and once with ours; TRL reads the rows by datasets, and
has its own collator and the processor of transformers. Before that: what a picture of a batch of
eight costs from RGB to its place in the batch, ours and transformers'.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
from harness.processes import (
    CACHE,
    OURS,
    PEERS,
    ProcessError,
    interleaved,
    print_about,
    run_process,
    say,
)
from PIL import Image
from skimage import data as photos
from sklearn.datasets import load_digits

ROWS, BATCH, SKIPPED = 256, 8, 4
STEPS = {"tiny": 124, "small": 34}
SMALL = {  # what differs from the tiny model; a vocabulary far larger than its tokenizer's
    "text_config": {
        "hidden_size": 512, "intermediate_size": 1536, "num_hidden_layers": 4,
        "num_attention_heads": 8, "num_key_value_heads": 4, "vocab_size": 4096,
        "rope_parameters": {
            "rope_type": "default", "rope_theta": 10000.0, "mrope_section": [8, 12, 12]
        },
    },
    "vision_config": {
        "hidden_size": 256, "intermediate_size": 768, "depth": 4, "num_heads": 4,
        "out_hidden_size": 512,
    },
}  # fmt: skip
WAYS = {
    "bare loop": "bare",
    "bare loop, our loss": "lean",
    "ours": "ours",
    "TRL, its own collator": "trl",
}
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


def model_of(size: str) -> Path:
    """Return a random model, made once."""
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText

    from vlm_trainer.tiny import write_tiny, write_tiny_words

    folder = CACHE / "train" / size
    if folder.exists():
        return folder
    if size == "tiny":
        write_tiny(folder)
        return folder
    write_tiny_words(folder)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    for part, values in SMALL.items():
        config[part] |= values
    path.write_text(json.dumps(config))
    torch.manual_seed(0)
    whole = AutoModelForImageTextToText.from_config(AutoConfig.from_pretrained(folder))
    whole.save_pretrained(folder)
    return folder


def data_of(workload: str) -> Path:
    """Return an import of a workload's rows, made once."""
    data = CACHE / "train" / workload
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
    return data


def step_ms(size: str, workload: str, rounds: int, steps: int) -> dict[str, float]:
    """Return the median CPU milliseconds a step of each way."""
    model, data = model_of(size), data_of(workload)
    report = CACHE / "train" / "seconds.json"

    def spent(kind: str) -> float:
        words = [kind, model, data, steps, BATCH, report]
        run_process([sys.executable, str(PEERS / "train_step.py"), *map(str, words)])
        seconds = json.loads(report.read_text())[SKIPPED - 1 :]
        return (seconds[-1] - seconds[0]) / (len(seconds) - 1) * 1000

    left_out: dict[str, str] = {}
    ways: dict[str, Callable[[], float]] = {
        name: (lambda kind=kind: spent(kind)) for name, kind in WAYS.items()
    }
    took = interleaved(ways, rounds, left_out)
    for name, why in left_out.items():
        print(f"left out: {name}: {why}")
    return {name: statistics.median(values) for name, values in took.items()}


def picture_ms(rounds: int) -> dict[str, float]:
    """Return the median CPU milliseconds of a 640x480 picture, from RGB into a batch."""
    import torch

    from vlm_trainer.collate import pixel_values
    from vlm_trainer.hf_processor import load_processor
    from vlm_trainer.model import quiet_libraries
    from vlm_trainer.pixels import cut_patches
    from vlm_trainer.processor import read_rule

    model = model_of("tiny")
    crops = [Image.open(io.BytesIO(data)).convert("RGB") for data in pictures("photos")[:32]]
    batches = [crops[start : start + BATCH] for start in range(0, len(crops), BATCH)]
    rule = read_rule(model, **RULE)
    with quiet_libraries():
        theirs = load_processor(model).image_processor
    size = {"shortest_edge": RULE["min_pixels"], "longest_edge": RULE["max_pixels"]}
    ways = {
        "ours": lambda batch: pixel_values([cut_patches(crop, rule) for crop in batch]),
        "transformers: image processor": lambda batch: theirs(
            images=batch, size=size, return_tensors="pt"
        )["pixel_values"],
    }
    first, second = (way(batches[0]) for way in ways.values())
    if not torch.allclose(first, second, atol=1e-5):
        raise ProcessError("our patches differ from those of transformers")
    del first, second
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(3 * rounds):
        for name, way in ways.items():
            begun = time.process_time()
            for batch in batches:
                way(batch)
            spent[name].append((time.process_time() - begun) * 1000 / len(crops))
    return {name: statistics.median(values) for name, values in spent.items()}


def print_table(title: str, unit: str, found: dict[str, float]) -> None:
    first = next(iter(found.values()))
    print(f"\n| {title} | {unit} | ratio |\n|---|---:|---:|")
    for name, value in found.items():
        print(f"| {name} | {value:.2f} | {value / first:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", nargs="+", choices=STEPS, default=["tiny"])
    parser.add_argument("--workload", nargs="+", default=["digits", "photos"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, help="default: 124 of tiny, 34 of small")
    parser.add_argument("--json", action="store_true")
    arguments, _ = parser.parse_known_args()  # the session gives all benchmarks the same
    os.environ["OMP_NUM_THREADS"] = "1"
    if not arguments.json:
        print_about(sys.argv)
    found = {"a 640x480 picture": picture_ms(arguments.rounds)}
    for size, workload in product(arguments.size, arguments.workload):
        steps = arguments.steps or STEPS[size]
        title = f"{size}, {workload}, batch {BATCH}, {steps - SKIPPED} steps"
        found[title] = step_ms(size, workload, arguments.rounds, steps)
    if arguments.json:
        print(json.dumps(found))
        return
    for title, values in found.items():
        print_table(title, "CPU ms" if "picture" in title else "CPU ms a step", values)


if __name__ == "__main__":
    main()
