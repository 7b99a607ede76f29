"""The whole main job on real input: rows to shards, shards to a model that learned them.

1. 1,797 real handwritten digits become rows of OpenAI messages, some of them spoiled.
2. ``vlm-datakit import`` makes shards; what it refuses it names.
3. A tiny Qwen2.5-VL learns to read the digits as words (all weights).
4. A LoRA on top of it learns another form of answer, JSON.
5. Both are judged by exact match on scans that neither has seen.

    python examples/01_digits/demo.py [FOLDER]        everything into FOLDER (default: demo)

Every step is one of the commands a person would type; each is printed before it runs. CPU
only, no network, a few minutes on two cores. Run again, it goes on where it was.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
WORK = ("--per-device-train-batch-size", "32", "--gradient-accumulation-steps", "1", "--use-cpu")
WORDS_RUN = ("--tuning", "full", "--num-train-epochs", "12", "--learning-rate", "1e-3")
JSON_RUN = ("--num-train-epochs", "8", "--learning-rate", "3e-3")


@dataclass(frozen=True)
class Task:
    """One task: its rows, its shards, the model it starts from, and the run that learns it."""

    name: str
    base: str
    output: str
    run: tuple[str, ...]


TASKS = (
    Task("words", "tiny", "model", WORDS_RUN),
    Task("json", "model", "adapter", JSON_RUN),
)


def command(*words: str, folder: Path, read: bool = False) -> str:
    """Run one command in the folder, printed as a person would type it."""
    shown = (
        [Path(words[0]).name, *words[1:]] if words[0] != sys.executable else ["python", *words[1:]]
    )
    print(f"\n$ {shlex.join(shown)}", flush=True)
    # One thread: on a model this small a second one only waits for the first.
    env = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    out = subprocess.PIPE if read else None
    done = subprocess.run(words, cwd=folder, env=env, stdout=out, check=False)
    if done.returncode:
        sys.exit(f"demo: that command ended with exit code {done.returncode}")
    return done.stdout.decode() if read else ""


def imported(task: Task, folder: Path) -> dict[str, Any]:
    """Import a task's rows into shards and return the summary."""
    sources = [f"{split}={task.name}-{split}.jsonl" for split in ("train", "test")]
    tool = str(Path(sys.executable).parent / "vlm-datakit")
    words = (tool, "import", *sources, "-o", task.name, "--max-rejects", "1%", "--json")
    return json.loads(command(*words, folder=folder, read=True))


def trained(task: Task, folder: Path) -> None:
    """Train a task's model, or adapter, from its shards."""
    tool = str(Path(sys.executable).parent / "accelerate")
    one = ("--num_processes", "1", "--num_machines", "1", "--mixed_precision", "no")
    launch = (tool, "launch", *one, "--dynamo_backend", "no", "-m", "vlm_trainer")
    names = ("--model-name-or-path", task.base, "--data", task.name, "--output-dir", task.output)
    command(*launch, *names, *task.run, *WORK, folder=folder)


def exact_match(task: Task, model: str, folder: Path) -> float:
    """Return the share of held-out rows that a model answers to the letter."""
    words = ("-m", "vlm_trainer", "evaluate", "--data", task.name, "--split", "test", "--use-cpu")
    report = command(
        sys.executable, *words, "--model-name-or-path", model, "--json", folder=folder, read=True
    )
    return float(json.loads(report)["exact_match"])


def main(folder: Path) -> None:
    """Run all steps and say what came out."""
    started = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "json-test.jsonl").exists():
        command(sys.executable, str(HERE / "make_digits.py"), ".", folder=folder)
    summaries, scores = {}, {}
    for task in TASKS:
        summaries[task.name] = imported(task, folder)
        before = exact_match(task, task.base, folder)
        trained(task, folder)
        scores[task.name] = before, exact_match(task, task.output, folder)
    print(summary(folder, summaries, scores, time.monotonic() - started))


def summary(
    folder: Path,
    summaries: dict[str, dict[str, Any]],
    scores: dict[str, tuple[float, float]],
    seconds: float,
) -> str:
    """Return what a newcomer wants to know, in words."""
    lines = ["", "=" * 72, f"Done in {seconds:.0f} s. What happened:", ""]
    for task in TASKS:
        told = summaries[task.name]
        reasons = ", ".join(f"{count} {reason}" for reason, count in told["by_reason"].items())
        lines.append(f"  {task.name:5}  {told['written']:,} rows kept, {told['rejected']} refused")
        lines.append(f"         ({reasons})")
    lines += ["", "  exact match on held-out digits  before   after", ""]
    for task in TASKS:
        before, after = scores[task.name]
        what = "all weights" if task.base == "tiny" else "LoRA"
        lines.append(f"  {task.name:5}  {what:24} {before:8.1%} {after:7.1%}")
    lines += ["", *_places(folder), "=" * 72]
    return "\n".join(lines)


def _places(folder: Path) -> list[str]:
    return [
        "  Where everything lies:",
        f"    {folder}/words-train.jsonl   the rows, as a person would bring them",
        f"    {folder}/words/              the shards; rejects/ says which rows were refused",
        f"    {folder}/model/              the trained model; loss.svg is its loss curve",
        f"    {folder}/adapter/            the LoRA, as PEFT saves it; metrics.jsonl, loss.svg",
        "",
        "  What to try next:",
        "    vlm-datakit sample -n 24 --broken 3 -o raw.jsonl && vlm-datakit import raw.jsonl",
        "    vlm-datakit import YOUR.jsonl          your own rows, with pictures",
        "    accelerate launch -m vlm_trainer --model-name-or-path Qwen/Qwen2.5-VL-3B-Instruct \\",
        "        --data YOUR --output-dir adapter   on a machine with a GPU",
    ]


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("demo"))
