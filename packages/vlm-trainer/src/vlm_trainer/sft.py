"""TRL's SFTTrainer with our rows, our order, our labels and our checkpoints.

What TRL does well stays TRL's: the loss over trained positions alone, accumulation,
mixed precision, many processes. What it gets wrong for pictures is replaced by the four
hooks below.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoTokenizer, TrainerCallback
from transformers.trainer_callback import PrinterCallback
from trl import SFTConfig, SFTTrainer

from vlm_trainer.checkpoint import mark_whole, rotate
from vlm_trainer.collate import collate
from vlm_trainer.config import TrainConfig
from vlm_trainer.data import RenderedRows
from vlm_trainer.errors import Refused, RowsRefused, UsageError
from vlm_trainer.launch import StopRequest
from vlm_trainer.lora import name_base
from vlm_trainer.loss import WeightedLoss
from vlm_trainer.model import Hardware
from vlm_trainer.order import epoch_order
from vlm_trainer.render import Rendered
from vlm_trainer.settings import typed_trainer_fields

OWN_FIELDS = frozenset(  # what this package decides by itself; labels and rows come rendered
    {
        "assistant_only_loss", "completion_only_loss", "dataset_kwargs", "dataset_text_field",
        "padding_free", "remove_unused_columns", "resume_from_checkpoint", "save_strategy",
        "shuffle_dataset", "train_sampling_strategy", "truncation_mode",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Job:
    """All that a trainer is made of.

    Args:
        config: The settings.
        hardware: Device and precision.
        folder: Base model's folder, for its tokenizer.
        rows: To train on.
        total_rows: Rows of the split before any was left out: the order is made over them.
        held_out: To measure on, or None.
        stop: Asked at the end of every step.
    """

    config: TrainConfig
    hardware: Hardware
    folder: Path
    rows: RenderedRows
    total_rows: int
    held_out: RenderedRows | None
    stop: StopRequest


class EpochOrder(torch.utils.data.Sampler[int]):  # a framework hook
    """The seekable order of rows as torch asks for it; resuming skips numbers, not rows."""

    def __init__(self, kept: Sequence[int], total_rows: int, seed: int) -> None:
        self.kept, self.total_rows, self.seed = kept, total_rows, seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        return iter(epoch_order(self.epoch, self.seed, self.kept, self.total_rows).tolist())

    def __len__(self) -> int:
        return len(self.kept)


class StepHooks(TrainerCallback):  # a framework hook
    """Sets the order's epoch, and ends the run after a step when it is asked to."""

    def __init__(self, order: EpochOrder, stop: StopRequest) -> None:
        self.order, self.stop = order, stop

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """Set the epoch here: accelerate does not reach a sampler below a skipping one."""
        self.order.set_epoch(int(state.epoch or 0))

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """Save and stop when any process was asked to stop."""
        if any_process(bool(self.stop), args.device):
            control.should_save = control.should_training_stop = True


class ShardTrainer(WeightedLoss, SFTTrainer):  # framework hooks only
    """SFTTrainer that takes rendered rows in a seekable order and marks whole checkpoints."""

    order: EpochOrder
    keep_checkpoints: int
    base_name: str

    def _get_train_sampler(self, _train_dataset: Any = None) -> EpochOrder:
        return self.order

    def get_batch_samples(self, epoch_iterator: Any, *rest: Any) -> Any:
        """Fetch the batches of a step; a row that failed in a worker stops the run here."""
        return super().get_batch_samples(_without_refused(epoch_iterator), *rest)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        folder = Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}"
        if self.args.should_save:
            (folder / "complete.json").unlink(missing_ok=True)
        super()._save_checkpoint(model, trial)  # type: ignore[no-untyped-call]
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            mark_whole(folder, self._facts())
            best = self.state.best_model_checkpoint
            rotate(folder.parent, keep=self.keep_checkpoints, best=Path(best) if best else None)
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
        super()._save(output_dir, state_dict)
        folder = Path(str(output_dir or self.args.output_dir))
        # A pickle that nothing of ours reads, and nobody should.
        (folder / "training_args.bin").unlink(missing_ok=True)
        name_base(folder, self.base_name)

    def create_model_card(self, *_args: Any, **_options: Any) -> None:
        """Write no card: TRL's would describe a training that did not happen."""

    def _facts(self) -> dict[str, Any]:
        return {
            "step": self.state.global_step,
            "processes": self.args.world_size,
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
        }


def build_trainer(job: Job, model: Any, callbacks: Sequence[TrainerCallback]) -> ShardTrainer:
    """Put model, rows and settings into a trainer.

    Args:
        job: Rows, settings, device.
        model: A transformers or PEFT model.
        callbacks: Further ones, such as the progress.

    Raises:
        UsageError: A field under ``trainer:`` that SFTConfig does not have.
    """
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    # Qwen2.5-VL says False, and the mean of micro-batch means would be taken instead of
    # the mean over all tokens of a step: 8 x 1 would then learn another thing than 1 x 8.
    inner.accepts_loss_kwargs = True
    packing, how = job.config.data.packing, job.rows.how
    collator = partial(collate_rows, pad_id=how.chat.pad_id, image_token_id=how.chat.image_token_id)
    trainer = ShardTrainer(
        model=model,
        args=_sft_config(trainer_arguments(job)),
        train_dataset=_as_columns(job.rows) if packing else _placeholder(),
        eval_dataset=_placeholder() if job.held_out else None,
        processing_class=AutoTokenizer.from_pretrained(job.folder),
        data_collator=None if packing else collator,
    )
    trainer.order = _give_rows(trainer, job)
    trainer.base_name = job.config.model.model_name_or_path
    trainer.keep_checkpoints = job.config.output.save_total_limit
    trainer.remove_callback(PrinterCallback)
    for callback in (StepHooks(trainer.order, job.stop), *callbacks):
        trainer.add_callback(callback)
    return trainer


def _sft_config(arguments: dict[str, Any]) -> SFTConfig:
    try:
        return SFTConfig(**arguments)
    except (ImportError, TypeError, ValueError) as error:
        first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UsageError(f"SFTConfig refuses the settings: {first_line}") from error


def _give_rows(trainer: Any, job: Job) -> EpochOrder:
    """Put our rows in the place of the placeholders, unless TRL has packed them."""
    seed = job.config.schedule.seed
    if job.config.data.packing:
        packed = len(trainer.train_dataset)
        return EpochOrder(range(packed), packed, seed)
    trainer.train_dataset, trainer.eval_dataset = job.rows, job.held_out
    return EpochOrder(job.rows.kept, job.total_rows, seed)


def trainer_arguments(job: Job) -> dict[str, Any]:
    """Return the fields of SFTConfig for a job, those under ``trainer:`` last.

    Raises:
        UsageError: A field that SFTConfig does not have, or that is not the user's.
    """
    known = {field.name: field for field in fields(SFTConfig)}
    theirs = {name: field for name, field in known.items() if name not in OWN_FIELDS}
    given = typed_trainer_fields(job.config.trainer, theirs)
    schedule, output, data = job.config.schedule, job.config.output, job.config.data
    passed = {f.name: getattr(g, f.name) for g in (schedule, output) for f in fields(g)}
    steps_or_epochs = "steps" if output.eval_steps else "epoch"
    towers = {"vision", "merger"} & set(job.config.lora.lora_scope)
    sees = job.config.model.tuning == "full" or bool(towers)
    wanted = {
        **passed,
        "bf16": job.hardware.bf16,
        # transformers 5 has a new name for it and warns at the old one
        "gradient_checkpointing": job.hardware.gradient_checkpointing,
        "activation_checkpointing": job.hardware.gradient_checkpointing,
        "use_cpu": job.hardware.device == "cpu",
        "dataloader_pin_memory": job.hardware.device != "cpu",
        "save_strategy": "steps",
        "save_total_limit": None,  # ours: old ones go only after the new one is whole
        "logging_first_step": True,
        "logging_nan_inf_filter": False,  # a NaN must be seen
        "eval_strategy": steps_or_epochs if job.held_out else "no",
        "max_length": data.max_length if data.packing else None,
        "packing": data.packing,
        "dataset_kwargs": None if data.packing else {"skip_prepare_dataset": True},
        "remove_unused_columns": data.packing,
        "ddp_find_unused_parameters": sees and job.rows.how.chat.image_token_id is not None,
        "average_tokens_across_devices": True,
        "prediction_loss_only": True,
        "disable_tqdm": True,
        "log_level": "error",
        "log_level_replica": "error",
        **given,
    }
    return {key: value for key, value in wanted.items() if key in known}


def collate_rows(
    rows: Sequence[Rendered | Refused], pad_id: int, image_token_id: int | None
) -> Any:
    """Collate rendered rows; refused ones pass as they are, to be raised where a run can save."""
    refused = [row for row in rows if isinstance(row, Refused)]
    if refused:
        return {"refused": refused}
    return collate([row for row in rows if isinstance(row, Rendered)], pad_id, image_token_id)


def any_process(value: bool, device: Any) -> bool:  # noqa: FBT001
    """Say whether the value is true on any process."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return value
    flag = torch.tensor(int(value), device=device)
    torch.distributed.all_reduce(flag, op=torch.distributed.ReduceOp.MAX)
    return bool(flag.item())


def _without_refused(batches: Iterator[Any]) -> Iterator[Any]:
    for batch in batches:
        if "refused" in batch:
            ids = ",".join(row.row_id for row in batch["refused"])
            first = batch["refused"][0]
            raise RowsRefused(f"{first}. To go on without it: --exclude-ids {ids}")
        yield batch


def _placeholder() -> Dataset:
    """SFTTrainer wants a datasets.Dataset when it is made; ours takes its place after."""
    return Dataset.from_dict({"input_ids": [[0]], "labels": [[0]]})


def _as_columns(rows: RenderedRows) -> Dataset:
    rendered = [row for row in map(rows.__getitem__, range(len(rows))) if isinstance(row, Rendered)]
    columns = {"input_ids": "ids", "labels": "labels"}
    return Dataset.from_dict({k: [getattr(r, v) for r in rendered] for k, v in columns.items()})
