"""What a run tells while it trains: metrics.jsonl, a bar or a plain line, the loss curve."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from vlm_trainer.curve import loss_svg
from vlm_trainer.output import METRICS

CURVE = "loss.svg"
PLAIN_LINE_EVERY_S = 10.0
# What says nothing here, and TRL's count of tokens, which starts again at every resume.
SKIPPED = frozenset({"total_flos", "num_tokens", "eval_num_tokens"})


class Progress(TrainerCallback):  # a framework hook
    """Writes one JSON object a logged step, and shows where the run is.

    Only for the first process. On a resume the lines beyond the checkpoint are dropped,
    so that every step stands in the file once.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self.folder = folder
        self.say = say
        self.started_s = self._said_s = time.monotonic()
        self._bar: Any = None
        self._task: Any = None
        self._last: Mapping[str, Any] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """Drop lines of steps that will be trained again, and open the bar."""
        keep_steps(self.folder / METRICS, state.global_step or -1)  # step 0 is measured again
        if sys.stderr.isatty():
            self._open_bar(state.max_steps, state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:  # noqa: ARG002
        """Append one line of metrics."""
        values = {key: value for key, value in (logs or {}).items() if key not in SKIPPED}
        if "train_runtime" in values:  # the trainer's own summary, not a step
            return
        self._last = {**self._last, **values}
        line = {"step": state.global_step, **values}
        line["elapsed_s"] = round(time.monotonic() - self.started_s, 3)
        with (self.folder / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """Move the bar, or say a plain line every ten seconds."""
        loss = self._last.get("loss")
        words = f"loss {loss:.4f}" if isinstance(loss, float) else "loss -"
        if self._bar:
            self._bar.update(self._task, completed=state.global_step, words=words)
        elif time.monotonic() - self._said_s > PLAIN_LINE_EVERY_S:
            self._said_s = time.monotonic()
            self.say(f"step {state.global_step} of {state.max_steps}  {words}")

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """Close the bar and draw the curve."""
        self.close()
        write_curve(self.folder)

    def close(self) -> None:
        """Close the bar, if one is open."""
        if self._bar:
            self._bar.stop()
            self._bar = None

    def _open_bar(self, steps: int, done: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (
            TextColumn("training"), BarColumn(), MofNCompleteColumn(),
            TextColumn("{task.fields[words]}"), TimeRemainingColumn(),
        )  # fmt: skip
        self._bar = Bar(*columns, console=Console(stderr=True))
        self._task = self._bar.add_task("training", total=steps, completed=done, words="")
        self._bar.start()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Read metrics.jsonl; a last line cut by a kill is left out."""
    if not path.exists():
        return []
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            break
    return found


def keep_steps(path: Path, last_step: int) -> None:
    """Drop the lines of steps after ``last_step``."""
    lines = [line for line in read_metrics(path) if line["step"] <= last_step]
    if path.exists():
        temporary = path.with_name(f".{path.name}")
        temporary.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        temporary.replace(path)


def write_curve(folder: Path) -> None:
    """Draw ``loss.svg`` from ``metrics.jsonl``."""
    lines = read_metrics(folder / METRICS)
    trained = [(line["step"], line["loss"]) for line in lines if "loss" in line]
    held_out = [(line["step"], line["eval_loss"]) for line in lines if "eval_loss" in line]
    (folder / CURVE).write_text(loss_svg(trained, held_out), encoding="utf-8")
