"""A training tried without being begun: every check, the model, and one step on the longest rows.

The step is whole, optimizer and all, so that it takes of a GPU what the training will. Its rows are
the longest by tokens, those of pictures counted: hardly another step needs more memory.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from vlm_trainer.config import TrainConfig, check_complete
from vlm_trainer.epochs import step_rows
from vlm_trainer.launch import StopRequest, processes_of
from vlm_trainer.lengths import Lengths
from vlm_trainer.output import check_writable
from vlm_trainer.prepared import Prepared
from vlm_trainer.reporting import check_reporting, send_no_telemetry
from vlm_trainer.run import find_output, make_trainer, prepare, speaker

GIB = 1024**3


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a step showed.

    Args:
        rows: Of the step, on all processes.
        tokens: Of the longest row.
        loss: Before the step.
        peak_gib: Most memory that torch held on this process's GPU; None on a CPU.
        seconds: Of the call, loading included.
    """

    rows: int
    tokens: int
    loss: float
    peak_gib: float | None
    seconds: float


def rehearse(config: TrainConfig, tell: Callable[[str], None] | None = None) -> Rehearsal:
    """Do all that `train` does up to its first step, and the step; write nothing of it.

    Args:
        config: As for `train`.
        tell: Takes each line meant for a person; default: stderr, on the first process.

    Raises:
        VlmTrainerError: As `train` does.
    """
    started_s = time.monotonic()
    send_no_telemetry(os.environ)
    check_complete(config)
    check_reporting(config.output.report_to)
    processes = processes_of(config.schedule, os.environ)
    say = tell or speaker(processes)
    prepared = prepare(config, processes)
    place, _ = find_output(prepared)
    prepared.check()
    check_writable(place.folder)
    for line in prepared.lines():
        say(line)
    loss, peak_gib = _step(_one_step(prepared), say)
    rows = min(step_rows(config, processes.count), len(prepared.lengths.rows))
    longest = prepared.plan.longest
    say(f"dry run: a step on the {rows} longest rows, up to {longest:,} tokens, loss {loss:.4f}")
    if peak_gib is not None:
        say(f"peak memory {peak_gib:.1f} GiB on each GPU")
    say("nothing was written; without --dry-run it trains")
    return Rehearsal(rows, longest, loss, peak_gib, round(time.monotonic() - started_s, 1))


def _step(prepared: Prepared, say: Callable[[str], None]) -> tuple[float, float | None]:
    say("loading torch and the model; this takes some seconds")
    from vlm_trainer.model import quiet_libraries

    config = prepared.config
    with quiet_libraries(), tempfile.TemporaryDirectory() as folder:  # a trainer wants one
        from vlm_trainer.hooks import Unsaved

        output = replace(config.output, output_dir=folder, report_to="none", logging_steps=1)
        trial = replace(prepared, config=replace(config, output=output))
        trainer = make_trainer(trial, StopRequest(watch_parent=False), [Unsaved()], say)
        loss = trainer.train().training_loss
        return loss, _peak_gib(trainer.args.device)


def _one_step(prepared: Prepared) -> Prepared:
    """Return the same run, cut down to one step on its longest rows."""
    config = prepared.config
    schedule = replace(config.schedule, max_steps=1)
    rows = step_rows(config, prepared.processes.count)
    return replace(
        prepared,
        config=replace(config, schedule=schedule),
        lengths=_longest(prepared.lengths, rows),
    )


def _longest(lengths: Lengths, rows: int) -> Lengths:
    import numpy as np

    chosen = np.sort(np.argsort(-lengths.widths, kind="stable")[:rows])
    return replace(
        lengths,
        rows=lengths.rows[chosen],
        tokens=lengths.tokens[chosen],
        trained=lengths.trained[chosen],
        widths=lengths.widths[chosen],
        parts=(),
    )


def _peak_gib(device: Any) -> float | None:
    import torch

    if device.type != "cuda":
        return None
    return torch.cuda.max_memory_reserved(device) / GIB
