"""What both methods hook into the trainer of transformers: order, stop, whole checkpoints.

What TRL does well stays TRL's: accumulation, mixed precision, many processes. What it gets
wrong for pictures and for a run that is killed is replaced by the hooks below.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import TrainerCallback
from transformers.trainer_callback import PrinterCallback

from vlm_trainer.ahead import AheadOrder
from vlm_trainer.checkpoint import mark_whole, rotate
from vlm_trainer.config import OutputOptions
from vlm_trainer.data import RenderedRows
from vlm_trainer.errors import OutputError, RowsRefused, VlmTrainerError
from vlm_trainer.failures import describe_batch, disk_full, is_full
from vlm_trainer.jobs import Job
from vlm_trainer.launch import StopRequest
from vlm_trainer.lean_steps import LeanSteps
from vlm_trainer.lora import name_base
from vlm_trainer.measures import best_of, held_out_losses, is_stopped
from vlm_trainer.plan import steps_per_epoch
from vlm_trainer.position import PositionHooks
from vlm_trainer.samplers import EpochOrder, SharedOrder
from vlm_trainer.settings import join_list
from vlm_trainer.sharding import gather_head, is_sharded
from vlm_trainer.shares import Blank, SharedCollator, SharedRows


class StepHooks(TrainerCallback):  # a framework hook
    """Sets the order's epoch, and ends the run after a step when it is asked to."""

    def __init__(self, order: EpochOrder, stop: StopRequest) -> None:
        self.order, self.stop = order, stop

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """Set the epoch here: accelerate does not reach a sampler below a skipping one.

        ``state.epoch`` of a checkpoint was counted over the rows of then, and a row left out since
        may have made an epoch a step shorter.
        """
        steps = steps_per_epoch(args, len(self.order), args.world_size)
        self.order.set_epoch(*divmod(state.global_step - self.order.ahead, steps))

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """Save and stop when any process was asked to stop."""
        if any_process(bool(self.stop), args.device):
            control.should_save = control.should_training_stop = True


class HeldOutHooks(TrainerCallback):  # a framework hook
    """Saves what the held-out loss calls better, and ends the run when it gets no better.

    The stock callback for it keeps a count that a resume forgets; here the log is asked.
    """

    def __init__(self, output: OutputOptions) -> None:
        self.output = output

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """Take the intervals of this start: a checkpoint brings its own."""
        state.compute_steps(args, state.max_steps)

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """Judge the loss just measured."""
        output, log = self.output, state.log_history
        best = best_of(held_out_losses(log))
        if output.keep_best and best and best.step == state.global_step:
            control.should_save = True
        if is_stopped(log, output.early_stopping, output.early_stopping_threshold):
            control.should_save = control.should_training_stop = True


class Unsaved(TrainerCallback):  # a framework hook
    """Takes back the wish to save or to measure: for a step that is only tried."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """Leave the checkpoint and the measuring of a step."""
        control.should_save = control.should_evaluate = False

    on_epoch_end = on_step_end


class ShardHooks(PositionHooks, LeanSteps):  # framework hooks only; before a trainer of TRL
    """Rendered rows in a seekable order, and checkpoints that are marked whole."""

    order: EpochOrder
    keep_checkpoints: int
    base_name: str
    keep_best: bool
    rows: RenderedRows
    ahead: AheadOrder | None = None

    def _get_train_sampler(self, _train_dataset: Any = None) -> Any:
        processes, order = self.args.world_size, self.order
        shared = order if processes == 1 else SharedOrder(order, self._train_batch_size, processes)
        cache = self.rows.shards.cache
        if cache is None:
            return shared
        batches = 2 + 2 * self.args.dataloader_num_workers  # torch's prefetch_factor
        slack = batches * self._train_batch_size * processes
        self.ahead = AheadOrder(shared, lambda: order.seen, self.rows, cache, slack)
        return self.ahead

    def train(self, *args: Any, **options: Any) -> Any:
        """Train; where it ends, nothing is fetched any more."""
        try:
            return super().train(*args, **options)
        finally:
            if self.ahead:
                self.ahead.stop()

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: Any) -> Any:
        """Fetch the batches of a step; where one process has none to give, all stop here."""
        batches: list[Any] = []
        error: VlmTrainerError | None = None
        try:
            batches += islice(epoch_iterator, num_batches)
            _check_whole(batches)
        except VlmTrainerError as caught:
            error = _without_worker(caught)
        raise_everywhere(error, self.args.device)
        return super().get_batch_samples(iter(batches), num_batches, device)

    def training_step(self, model: Any, inputs: Any, *rest: Any, **options: Any) -> Any:
        """Train on a batch; where the memory ends there, the error says how large it was."""
        gather_head(model)
        try:
            return super().training_step(model, inputs, *rest, **options)
        except torch.OutOfMemoryError as error:
            error.add_note(f"step {self.state.global_step + 1} had {describe_batch(inputs)}")
            raise

    def prediction_step(self, model: Any, inputs: Any, *rest: Any, **options: Any) -> Any:
        """Measure a batch; a held-out row that failed on any process stops the run too."""
        error = None
        try:
            _check_whole([inputs])
        except RowsRefused as caught:
            error = caught
        raise_everywhere(error, self.args.device)
        return super().prediction_step(model, inputs, *rest, **options)

    def evaluate(self, *args: Any, **options: Any) -> dict[str, float]:
        """Measure without touching chance: dropout goes on as if nobody had looked."""
        devices = [self.args.device] if self.args.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            measured: dict[str, float] = super().evaluate(*args, **options)
        return measured

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        folder = Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}"
        if self.args.should_save:
            (folder / "complete.json").unlink(missing_ok=True)
        full: VlmTrainerError | None = None
        try:
            super()._save_checkpoint(model, trial)
        except Exception as error:
            if not is_full(error):
                raise
            shutil.rmtree(folder, ignore_errors=True)  # it only takes room now
            full = OutputError(disk_full(folder.parent, error))
        raise_everywhere(full, self.args.device)
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            mark_whole(folder, self._facts())
            best = best_of(held_out_losses(self.state.log_history)) if self.keep_best else None
            kept = folder.with_name(f"checkpoint-{best.step}") if best else None
            rotate(folder.parent, keep=self.keep_checkpoints, best=kept)
        self.accelerator.wait_for_everyone()

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Load all weights or fail. A full model is saved under the names of its first release.

        The stock method loads those names with strict=False: none fits, nothing is said, and
        the run goes on from the base.
        """
        whole: Any = self.model if model is None else model
        if hasattr(whole, "peft_config") or self.is_fsdp_enabled or self.is_deepspeed_enabled:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        saved = type(whole).from_pretrained(
            resume_from_checkpoint, dtype=whole.dtype, use_safetensors=True
        )
        whole.load_state_dict(saved.state_dict())

    def _load_best_model(self) -> None:
        if hasattr(self.model, "peft_config") or self.is_fsdp_enabled or self.is_deepspeed_enabled:
            super()._load_best_model()
            return
        self._load_from_checkpoint(str(self.state.best_model_checkpoint))

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Write a model, from one process: with FSDP the stock trainer asks all of them to."""
        if not self.args.should_save:
            return
        super()._save(output_dir, state_dict)
        folder = Path(str(output_dir or self.args.output_dir))
        # A pickle that nothing of ours reads, and nobody should.
        (folder / "training_args.bin").unlink(missing_ok=True)
        name_base(folder, self.base_name)

    def create_model_card(self, *_args: Any, **_options: Any) -> None:
        """Write no card: TRL's would describe a training that did not happen."""

    def _facts(self) -> dict[str, Any]:
        args: Any = self.args
        steps = steps_per_epoch(args, len(self.order), args.world_size)
        epoch, step = divmod(self.state.global_step - self.order.ahead, steps)
        return {
            "step": self.state.global_step,
            "epoch": epoch,
            "step_of_epoch": step,
            "processes": args.world_size,
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
        }


def settle(trainer: Any, job: Job, order: EpochOrder, callbacks: Sequence[TrainerCallback]) -> None:
    """Give a trainer just made its order, its callbacks and the adapter as it was."""
    trainer.order = order
    trainer.base_name = job.config.model.model_name_or_path
    trainer.keep_checkpoints = job.config.output.save_total_limit
    output, processes = job.config.output, trainer.args.world_size
    trainer.keep_best = output.keep_best
    trainer.rows = job.rows
    trainer.args.eval_steps = output.eval_steps or steps_per_epoch(
        job.config.schedule, len(order), processes
    )
    trainer.remove_callback(PrinterCallback)
    for callback in (StepHooks(order, job.stop), HeldOutHooks(output), *callbacks):
        trainer.add_callback(callback)
    if trainer.args.world_size > 1:
        blank = _blank(job) if is_sharded(trainer) else None
        trainer.data_collator = SharedCollator(trainer.data_collator, trainer.train_dataset, blank)
        trainer.train_dataset = SharedRows(trainer.train_dataset)
    for parameter in trainer.model.parameters():
        # TRL makes the adapter of a quantised base bfloat16, where steps of 1e-5 are lost.
        if parameter.requires_grad and parameter.dtype == torch.bfloat16:
            parameter.data = parameter.data.float()


def _blank(job: Job) -> Blank | None:
    how = job.rows.how
    if how.chat.image_token_id is None:
        return None
    values = 3 * how.rule.temporal_patch_size * how.rule.patch_size**2
    return Blank(how.chat.image_token_id, how.rule.merge_size**2, values)


def placeholder() -> Dataset:
    """TRL wants a datasets.Dataset when a trainer is made; ours takes its place after."""
    return Dataset.from_dict({"input_ids": [[0]], "labels": [[0]]})


def any_process(value: bool, device: Any) -> bool:  # noqa: FBT001
    """Say whether the value is true on any process."""
    if not _several():
        return value
    flag = torch.tensor(int(value), device=device)
    torch.distributed.all_reduce(flag, op=torch.distributed.ReduceOp.MAX)
    return bool(flag.item())


def raise_everywhere(error: VlmTrainerError | None, device: Any) -> None:
    """Raise an error on every process when any has one: the others would wait for it forever."""
    if not any_process(error is not None, device):
        return
    if _several():
        found: list[Any] = [None] * torch.distributed.get_world_size()
        torch.distributed.all_gather_object(found, error)
        error = next(one for one in found if one is not None)
    if error is not None:
        raise error


def _without_worker(error: VlmTrainerError) -> VlmTrainerError:
    """Take the traceback of a data worker, which torch writes into the message, off again."""
    if "Original Traceback" not in str(error):
        return error
    kind = type(error)
    last = str(error).strip().splitlines()[-1]
    return kind(last.removeprefix(f"{kind.__module__}.{kind.__qualname__}: "))


def _several() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def _check_whole(batches: Sequence[Any]) -> None:
    refused = [row for batch in batches for row in batch.get("refused", ())]
    if refused:
        ids = shlex.quote(join_list(dict.fromkeys(row.row_id for row in refused)))
        raise RowsRefused(f"{refused[0]}. To go on without it: --exclude-ids {ids}")
