"""One training run, from a config to a finished folder: the story in one screen."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from vlm_trainer.base_model import BaseModel, check_quantised, find_base
from vlm_trainer.chat import read_chat
from vlm_trainer.checkpoint import step_of
from vlm_trainer.config import TrainConfig, check_complete
from vlm_trainer.contract import make_contract, write_contract
from vlm_trainer.data import RenderedRows, ShardSet, Split, find_split, method_of
from vlm_trainer.errors import RowsRefused, SourceError, Terminated, UsageError
from vlm_trainer.failures import explained
from vlm_trainer.labels import LabelRule
from vlm_trainer.launch import Processes, StopRequest, find_processes, stop_request
from vlm_trainer.lengths import Lengths, Measure, label_rule, measure, token_limit
from vlm_trainer.lock import only_run
from vlm_trainer.output import METRICS, Place, begin, find_place, finish, identity
from vlm_trainer.plan import TrainPlan, check_trainable, make_plan, plan_lines, steps_of
from vlm_trainer.processor import copy_processor, read_rule
from vlm_trainer.reporting import check_reporting, send_no_telemetry
from vlm_trainer.settings import dump_config

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What came of a run.

    Args:
        output_dir: The folder that holds it all.
        steps: Optimizer steps in all, those before a resume included.
        rows: Rows trained on.
        loss: Last logged training loss; None when nothing was logged.
        seconds: Of this call.
        resumed_from: Step it went on from, 0 for a new run.
        was_finished: True when the folder was finished already and nothing was done.
    """

    output_dir: str
    steps: int
    rows: int
    loss: float | None
    seconds: float
    resumed_from: int = 0
    was_finished: bool = False


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run that was checked and counted, before torch is loaded."""

    config: TrainConfig
    processes: Processes
    split: Split
    base: BaseModel
    how: Measure
    lengths: Lengths
    plan: TrainPlan


def train(config: TrainConfig, tell: Tell | None = None) -> RunSummary:
    """Train as the config says, or go on where the same run was stopped.

    Everything that can be wrong with config, shards and output is found before torch is
    imported. The same call after a kill goes on; over a finished run it changes nothing.

    Args:
        config: See `vlm_trainer.config`.
        tell: Takes each line meant for a person; default: stderr, on the first process.

    Raises:
        UsageError: The config, or fewer processes than asked for.
        SourceError: Shards or model cannot be read.
        OutputError: The output folder holds something else or another run.
        RowsRefused: Rows cannot be trained, or a picture failed while training.
        Terminated: SIGTERM came; a checkpoint was saved.
    """
    started_s = time.monotonic()
    send_no_telemetry(os.environ)
    check_complete(config)
    check_reporting(config.output.report_to)
    processes = find_processes(os.environ, config.schedule.expect_processes)
    say = tell or _speaker(processes)
    prepared = prepare(config, processes)
    config = prepared.config  # its method is known now
    record = identity(
        config, prepared.split.manifest_sha256, prepared.base.identity, processes.count
    )
    place = find_place(Path(config.output.output_dir), record)
    if place.finished:
        say(f"{place.folder}: finished already; nothing to do (another --output-dir trains anew)")
        return RunSummary(**{**place.finished, "was_finished": True})
    data = config.data
    check_trainable(prepared.lengths, data.on_refused, data.data, on_too_long=data.on_too_long)
    for line in plan_lines(prepared.plan, prepared.lengths, config, prepared.how.rule):
        say(line)
    with _alone(place, processes), explained(config, prepared.plan.longest):
        if processes.is_first:
            begin(place, record, dump_config(config))
        with stop_request(os.environ) as stop:
            summary = _fit(prepared, place, stop, say)
        summary = replace(summary, seconds=round(time.monotonic() - started_s, 1))
        if processes.is_first:
            finish(place, asdict(summary))
    say(f"done in {summary.seconds:.0f} s: {summary.output_dir}")
    return summary


def _alone(place: Place, processes: Processes) -> AbstractContextManager[None]:
    return only_run(place.folder) if processes.is_first else nullcontext()


def prepare(config: TrainConfig, processes: Processes) -> Prepared:
    """Check and count a run without importing torch.

    Raises:
        SourceError: Shards or model cannot be read.
        UsageError: Settings that do not fit the shards or the model.
    """
    config = _with_method(config)
    data, model, method = config.data, config.model, str(config.learning.method)
    split = find_split(Path(data.data), data.train_split, method)
    if data.eval_split:
        find_split(Path(data.data), data.eval_split, method)
    base = find_base(model.model_name_or_path, model.model_revision, with_weights=False)
    check_quantised(base, model)
    config = replace(config, model=replace(model, load_in=base.quantised or model.load_in))
    rule = read_rule(base.folder, min_pixels=model.min_pixels, max_pixels=model.max_pixels)
    chat = read_chat(base.folder, reads_pictures=base.reads_pictures)
    how = Measure(chat, rule, token_limit(data), label_rule(data), pairs=method == "dpo")
    lengths = measure(ShardSet(split).headers(), how, data.exclude_ids)
    plan = make_plan(config, lengths, processes.count)
    return Prepared(config, processes, split, base, how, lengths, plan)


def _with_method(config: TrainConfig) -> TrainConfig:
    method = config.learning.method or method_of(Path(config.data.data))
    if method == "dpo" and config.data.packing:
        raise UsageError("packing is for sft; pairs are not packed")
    if method == "dpo" and label_rule(config.data) != LabelRule():
        raise UsageError("train_on and json_focus are for sft; dpo scores whole answers")
    return replace(config, learning=replace(config.learning, method=method))


def _fit(prepared: Prepared, place: Place, stop: StopRequest, say: Tell) -> RunSummary:
    say("loading torch and the model; this takes some seconds")
    from vlm_trainer.model import find_hardware, load_model, quiet_libraries

    config = prepared.config
    schedule = config.schedule
    hardware = find_hardware(
        use_cpu=schedule.use_cpu,
        bf16=schedule.bf16,
        gradient_checkpointing=schedule.gradient_checkpointing,
    )
    with quiet_libraries():
        from vlm_trainer.jobs import Job

        base = find_base(config.model.model_name_or_path, config.model.model_revision)
        load = partial(load_model, base, **_loading(config, hardware))
        model = _tuned(load(), config, say)
        rows = RenderedRows(ShardSet(prepared.split), prepared.lengths.rows.tolist(), prepared.how)
        job = Job(
            config, hardware, base.folder, rows, prepared.lengths.total_rows,
            _held_out(prepared), stop,
        )  # fmt: skip
        trainer = _built(job, model, load, _progress(place, prepared.processes, say))
        _train(trainer, prepared, place, say)
        if stop:
            raise Terminated(
                f"stopped at step {trainer.state.global_step}, saved; the same command goes on"
            )
        return _save(trainer, prepared, place)


def _loading(config: TrainConfig, hardware: Any) -> dict[str, Any]:
    from vlm_trainer.quantise import bnb_config

    half = hardware.bf16 and config.model.tuning == "lora"
    return {
        "dtype": "bfloat16" if half else "float32",
        "attention": config.model.attn_implementation,
        "quantisation": bnb_config(config.model, hardware),
        "device": hardware.device,
    }


def _built(job: Any, model: Any, load: Callable[[], Any], progress: list[Any]) -> Any:
    if job.config.learning.method == "sft":
        from vlm_trainer.sft import build_trainer

        return build_trainer(job, model, progress)
    from vlm_trainer.dpo import build_pair_trainer

    reference = load() if job.config.model.tuning == "full" else None
    return build_pair_trainer(job, model, reference, progress)


def _tuned(model: Any, config: TrainConfig, say: Tell) -> Any:
    from transformers import set_seed

    from vlm_trainer.lora import add_adapter, notes, report

    set_seed(config.schedule.seed)  # new adapter weights are random
    if config.model.tuning == "lora":
        model = add_adapter(model, config.lora)
    say(str(report(model)))
    for note in notes(model):
        say(f"note: {note}")
    return model


def _held_out(prepared: Prepared) -> RenderedRows | None:
    data = prepared.config.data
    if not data.eval_split:
        return None
    method = str(prepared.config.learning.method)
    shards = ShardSet(find_split(Path(data.data), data.eval_split, method))
    lengths = measure(shards.headers(), prepared.how, data.exclude_ids)
    where = f"{data.data} split {data.eval_split}"
    check_trainable(lengths, data.on_refused, where, on_too_long=data.on_too_long)
    return RenderedRows(shards, lengths.rows.tolist(), prepared.how)


def _progress(place: Place, processes: Processes, say: Tell) -> list[Any]:
    from vlm_trainer.progress import Progress

    return [Progress(place.folder, say)] if processes.is_first else []


def _train(trainer: Any, prepared: Prepared, place: Place, say: Tell) -> None:
    """Train to the end; a checkpoint at the last step only needs its weights."""
    checkpoint = str(place.checkpoint) if place.checkpoint else None
    steps = steps_of(prepared.config.schedule, len(trainer.order), prepared.processes.count)
    if checkpoint:
        say(f"going on from {checkpoint}")
    if place.checkpoint and step_of(place.checkpoint) >= steps:
        trainer.state.global_step = step_of(place.checkpoint)
        trainer._load_from_checkpoint(checkpoint)
        return
    try:
        trainer.train(resume_from_checkpoint=checkpoint)
    except (RowsRefused, SourceError) as error:  # on every process, see `raise_everywhere`
        trainer._save_checkpoint(trainer.model, None)
        again = "with this flag" if isinstance(error, RowsRefused) else "over whole shards"
        raise type(error)(
            f"{error} (saved at step {trainer.state.global_step}; the same command {again} goes on)"
        ) from error


def _save(trainer: Any, prepared: Prepared, place: Place) -> RunSummary:
    from vlm_trainer.progress import read_metrics, write_curve

    trainer.save_model(str(place.folder))
    trainer.accelerator.wait_for_everyone()
    if prepared.processes.is_first:
        copy_processor(prepared.base.folder, place.folder, prepared.how.rule)
        contract = make_contract(prepared.how.rule, prepared.how.chat.template, prepared.how.limit)
        write_contract(contract, place.folder)
        write_curve(place.folder)
    losses = [line["loss"] for line in read_metrics(place.folder / METRICS) if "loss" in line]
    return RunSummary(
        output_dir=str(place.folder),
        steps=trainer.state.global_step,
        rows=prepared.plan.rows,
        loss=losses[-1] if losses else None,
        seconds=0.0,
        resumed_from=step_of(place.checkpoint) if place.checkpoint else 0,
    )


def _speaker(processes: Processes) -> Tell:
    def speak(line: str) -> None:
        if processes.is_first:
            print(line, file=sys.stderr, flush=True)  # noqa: T201

    return speak
