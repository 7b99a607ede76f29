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

from vlm_trainer.addresses import place_of
from vlm_trainer.base_model import check_quantised, find_base
from vlm_trainer.chat import read_chat
from vlm_trainer.checkpoint import step_of, steps_ahead
from vlm_trainer.config import TrainConfig, check_complete
from vlm_trainer.contract import make_contract, write_contract
from vlm_trainer.data import find_split, joined_split, method_of
from vlm_trainer.epochs import epochs_of
from vlm_trainer.errors import RowsRefused, SourceError, Terminated, UsageError
from vlm_trainer.failures import explained
from vlm_trainer.folders import count_rows, find_splits
from vlm_trainer.labels import LabelRule
from vlm_trainer.launch import Processes, StopRequest, processes_of, stop_request
from vlm_trainer.lengths import Measure, label_rule, token_limit
from vlm_trainer.lock import only_run
from vlm_trainer.measures import held_out_losses, is_stopped
from vlm_trainer.output import METRICS, Place, begin, find_place, finish, identity
from vlm_trainer.plan import make_plan, steps_of, steps_per_epoch
from vlm_trainer.prepared import Prepared
from vlm_trainer.processor import copy_processor, read_rule
from vlm_trainer.reporting import check_reporting, send_no_telemetry
from vlm_trainer.reserve import chosen_rows, find_reserve, note_rows
from vlm_trainer.settings import dump_config

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What came of a run.

    Args:
        output_dir: The folder that holds it all.
        steps: Optimizer steps in all, those before a resume included.
        rows: Rows that an epoch shows.
        loss: Last logged training loss; None when nothing was logged.
        seconds: Of this call.
        resumed_from: Step it went on from, 0 for a new run.
        was_finished: True when the folder was finished already and nothing was done.
        gpu_peak_bytes: The most that tensors took on this process's GPU; None without one.
        held_out_loss: Of the weights that were kept; None when nothing was measured.
        best_step: Whose weights were kept, with ``keep_best``; else the last one's were.
    """

    output_dir: str
    steps: int
    rows: int
    loss: float | None
    seconds: float
    resumed_from: int = 0
    was_finished: bool = False
    gpu_peak_bytes: int | None = None
    held_out_loss: float | None = None
    best_step: int | None = None


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
    processes = processes_of(config.schedule, os.environ)
    say = tell or speaker(processes)
    prepared = prepare(config, processes)
    config = prepared.config  # its method is known now
    place, record = find_output(prepared)
    if place.finished:
        say(f"{place.folder}: finished already; nothing to do (another --output-dir trains anew)")
        return RunSummary(**{**place.finished, "was_finished": True})
    prepared.check()
    for line in prepared.lines():
        say(line)
    with _alone(place, processes), explained(config, prepared.plan.longest):
        if processes.is_first:
            begin(place, record, dump_config(config))
            if config.data.eval_share and prepared.reserve and prepared.reserve.chosen:
                chosen, share = prepared.reserve.chosen, config.data.eval_share
                note_rows(chosen, prepared.split, share, place.folder)
        with stop_request(os.environ) as stop:
            summary = _fit(prepared, place, stop, say)
        summary = replace(summary, seconds=round(time.monotonic() - started_s, 1))
        if processes.is_first:
            finish(place, asdict(summary))
    if summary.gpu_peak_bytes:
        say(f"memory  {summary.gpu_peak_bytes / 2**30:.1f} GiB on the GPU at most")
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
    splits = find_splits(data, method)
    if data.eval_split:
        find_split(place_of(data.data), data.eval_split, method)
    base = find_base(model.model_name_or_path, model.model_revision, with_weights=False)
    check_quantised(base, model)
    if data.packing and base.reads_pictures:
        raise UsageError(f"packing loses pictures, which {base.name} reads: it is for text models")
    config = replace(config, model=replace(model, load_in=base.quantised or model.load_in))
    rule = read_rule(base.folder, min_pixels=model.min_pixels, max_pixels=model.max_pixels)
    chat = read_chat(base.folder, reads_pictures=base.reads_pictures)
    how = Measure(chat, rule, token_limit(data), label_rule(data), pairs=method == "dpo")
    split = joined_split(splits)
    chosen = chosen_rows(config, split)
    trained = None if chosen is None else (lambda row: row not in chosen)
    lengths = count_rows(splits, how, data, trained)
    plan = make_plan(config, lengths, processes.count)
    reserve = find_reserve(config, splits, how, chosen)
    return Prepared(config, processes, split, base, how, lengths, plan, reserve)


def find_output(prepared: Prepared) -> tuple[Place, dict[str, Any]]:
    """Find the run's output folder, and what the run is recognised by in it.

    Raises:
        OutputError: The folder holds something else or another run.
    """
    config, data = prepared.config, prepared.split.manifest_sha256
    record = identity(config, data, prepared.base.identity, prepared.processes.count)
    return find_place(Path(config.output.output_dir), record), record


def _with_method(config: TrainConfig) -> TrainConfig:
    method = config.learning.method or method_of(place_of(config.data.data))
    if method == "dpo" and config.data.packing:
        raise UsageError("packing is for sft; pairs are not packed")
    if method == "dpo" and label_rule(config.data) != LabelRule():
        raise UsageError("train_on and json_focus are for sft; dpo scores whole answers")
    return replace(config, learning=replace(config.learning, method=method))


def _fit(prepared: Prepared, place: Place, stop: StopRequest, say: Tell) -> RunSummary:
    say("loading torch and the model; this takes some seconds")
    from vlm_trainer.model import quiet_libraries

    with quiet_libraries():
        trainer = make_trainer(prepared, stop, _progress(place, prepared.processes, say), say)
        _train(trainer, prepared, place, say)
        if stop:
            raise Terminated(
                f"stopped at step {trainer.state.global_step}, saved; the same command goes on"
            )
        return _save(trainer, prepared, place, say)


def make_trainer(prepared: Prepared, stop: StopRequest, progress: list[Any], say: Tell) -> Any:
    """Load the model and put it, the rows and the settings into a trainer of TRL."""
    from vlm_trainer.jobs import Job
    from vlm_trainer.model import find_hardware, load_model

    config, lengths = prepared.config, prepared.lengths
    schedule = config.schedule
    hardware = find_hardware(
        use_cpu=schedule.use_cpu,
        bf16=schedule.bf16,
        gradient_checkpointing=schedule.gradient_checkpointing,
    )
    base = find_base(config.model.model_name_or_path, config.model.model_revision)
    load = partial(load_model, base, **_loading(config, hardware))
    model = _tuned(load(), config, say)
    altered_by = schedule.seed if config.data.augment else None
    rows = prepared.rows(altered_by)
    epochs = epochs_of(config, lengths, prepared.processes.count)
    job = Job(config, hardware, base.folder, rows, epochs, prepared.held_out(), stop)
    return _built(job, model, load, progress)


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


def _progress(place: Place, processes: Processes, say: Tell) -> list[Any]:
    from vlm_trainer.progress import Progress

    return [Progress(place.folder, say)] if processes.is_first else []


def _train(trainer: Any, prepared: Prepared, place: Place, say: Tell) -> None:
    """Train to the end; a checkpoint that was saved there only needs its weights."""
    checkpoint = str(place.checkpoint) if place.checkpoint else None
    schedule, processes = prepared.config.schedule, prepared.processes.count
    steps = steps_of(schedule, len(trainer.order), processes)
    if checkpoint:
        say(f"going on from {checkpoint}")
    if place.checkpoint:
        an_epoch = steps_per_epoch(schedule, len(trainer.order), processes)
        trainer.order.ahead = steps_ahead(place.checkpoint, an_epoch)
        steps += trainer.order.ahead if schedule.max_steps < 1 else 0
        state = type(trainer.state).load_from_json(str(place.checkpoint / "trainer_state.json"))
        if state.global_step >= steps or _stops_early(state, prepared):
            trainer.state = state
            trainer._load_from_checkpoint(checkpoint)
            if _owes_measure(trainer, state, steps):
                trainer.evaluate()
            return
        # Not the measure before step 1, which was taken, but one that a bad picture cut short.
        trainer.args.eval_on_start = _owes_measure(trainer, state, steps)
    try:
        trainer.train(resume_from_checkpoint=checkpoint)
    except (RowsRefused, SourceError) as error:  # on every process, see `raise_everywhere`
        if not trainer.state.global_step:
            raise  # there is nothing to save
        trainer._save_checkpoint(trainer.model, None)
        again = "with this flag" if isinstance(error, RowsRefused) else "over whole shards"
        raise type(error)(
            f"{error} (saved at step {trainer.state.global_step}; the same command {again} goes on)"
        ) from error
    if trainer.state.global_step < steps and _stops_early(trainer.state, prepared):
        measures = prepared.config.output.early_stopping
        say(
            f"stopped at step {trainer.state.global_step} of {steps}: {measures} measures without "
            "a better held-out loss"
        )


def _owes_measure(trainer: Any, state: Any, steps: int) -> bool:
    """Say whether a checkpoint was saved where a measure was due and could not be taken."""
    step, args = state.global_step, trainer.args
    due = step >= args.eval_delay and (step % args.eval_steps == 0 or step >= steps)
    measured = any(line["step"] == step and "eval_loss" in line for line in state.log_history)
    return trainer.eval_dataset is not None and due and not measured


def _stops_early(state: Any, prepared: Prepared) -> bool:
    output = prepared.config.output
    return is_stopped(state.log_history, output.early_stopping, output.early_stopping_threshold)


def _save(trainer: Any, prepared: Prepared, place: Place, say: Tell) -> RunSummary:
    from vlm_trainer.ending import take_best, write_card
    from vlm_trainer.model import gpu_peak_bytes
    from vlm_trainer.progress import read_metrics, write_curve

    measured = held_out_losses(trainer.state.log_history)
    keeps_best = prepared.config.output.keep_best
    best = take_best(trainer, place.folder, say) if keeps_best else None
    trainer.save_model(str(place.folder))
    trainer.accelerator.wait_for_everyone()
    if cache := prepared.cache():
        cache.clear()
    if prepared.processes.is_first:
        copy_processor(prepared.base.folder, place.folder, prepared.how.rule)
        contract = make_contract(prepared.how.rule, prepared.how.chat.template, prepared.how.limit)
        write_contract(contract, place.folder)
        write_curve(place.folder)
        write_card(prepared, contract, place.folder, best)
    losses = [line["loss"] for line in read_metrics(place.folder / METRICS) if "loss" in line]
    return RunSummary(
        output_dir=str(place.folder),
        steps=trainer.state.global_step,
        rows=prepared.plan.rows,
        loss=losses[-1] if losses else None,
        seconds=0.0,
        resumed_from=step_of(place.checkpoint) if place.checkpoint else 0,
        gpu_peak_bytes=gpu_peak_bytes(),
        held_out_loss=(best or measured[-1]).loss if measured else None,
        best_step=best.step if best else None,
    )


def speaker(processes: Processes) -> Tell:
    """Return what writes lines to stderr, on the first process."""

    def speak(line: str) -> None:
        if processes.is_first:
            print(line, file=sys.stderr, flush=True)  # noqa: T201

    return speak
