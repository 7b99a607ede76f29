"""Training steps that are timed: a bare loop, our trainer, or TRL with all its own.

    python train_step.py bare|lean|ours|trl MODEL DATA STEPS BATCH REPORT

All put the same LoRA on the same model, in float32 on a CPU, with AdamW, clipping and a line of
metrics every ten steps. The bare loop takes the very batches that our trainer takes, in its order,
and the model's own loss; `lean` is the same loop with our loss. TRL gets rows decoded by datasets,
its own collator for pictures and the processor of transformers. REPORT gets the CPU seconds at the
end of each step.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, set_seed

from vlm_trainer.base_model import find_base
from vlm_trainer.launch import find_processes, stop_request
from vlm_trainer.lora import add_adapter
from vlm_trainer.loss import summed_nll
from vlm_trainer.model import load_model, quiet_libraries
from vlm_trainer.prepared import Prepared
from vlm_trainer.run import make_trainer, prepare
from vlm_trainer.settings import read_config


class Clock(TrainerCallback):
    """CPU seconds of this process at the end of each step."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.seconds.append(time.process_time())


def run(folder: Path, data: Path, steps: int, batch: int) -> Prepared:
    """Return what all three train."""
    given = {
        "model_name_or_path": str(folder), "data": str(data), "max_steps": steps,
        "output_dir": str(data.with_name("out")), "use_cpu": True, "save_steps": 100_000,
        "per_device_train_batch_size": batch, "gradient_accumulation_steps": 1,
        "min_pixels": 3136, "max_pixels": 1_003_520,
    }  # fmt: skip
    return prepare(read_config(None, given), find_processes(os.environ, 1))


def adapted(prepared: Prepared) -> Any:
    """Return the model that our trainer would train."""
    model = load_model(find_base(prepared.config.model.model_name_or_path), dtype="float32")
    set_seed(prepared.config.schedule.seed)
    return add_adapter(model, prepared.config.lora)


def bare(prepared: Prepared, clock: Clock, *, lean: bool = False) -> None:
    model, schedule = adapted(prepared), prepared.config.schedule
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=schedule.learning_rate, weight_decay=0.0, fused=True)
    model.train()
    total, batches = torch.zeros(()), batches_of(prepared)
    for step in range(1, schedule.max_steps + 1):
        loss = lean_loss(model, next(batches)) if lean else model(**next(batches)).loss
        loss.backward()
        total += loss.detach()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step % 10 == 0:
            print(step, total.item() / step)
        clock.on_step_end()


def lean_loss(model: Any, batch: Any) -> Any:
    """Take the loss of the columns that have a label, as our trainer does."""
    tokens = (batch["labels"][:, 1:] != -100).sum()
    return summed_nll(model, batch) / tokens


def batches_of(prepared: Prepared) -> Iterator[Any]:
    from vlm_trainer.collate import collate
    from vlm_trainer.data import RenderedRows, ShardSet
    from vlm_trainer.epochs import epochs_of

    config, chat = prepared.config, prepared.how.chat
    rows = RenderedRows(ShardSet(prepared.split), prepared.lengths.rows.tolist(), prepared.how)
    order, size = (
        epochs_of(config, prepared.lengths, 1),
        config.schedule.per_device_train_batch_size,
    )
    for epoch in range(config.schedule.max_steps):
        places = order.shown(epoch).rows.tolist()
        for start in range(0, len(places), size):
            chosen = [rows[place] for place in places[start : start + size]]
            yield collate(chosen, chat.pad_id, chat.image_token_id)


def ours(prepared: Prepared, clock: Clock) -> None:
    from vlm_trainer.progress import Progress

    folder = Path(prepared.config.output.output_dir)
    with stop_request(os.environ) as stop:
        make_trainer(prepared, stop, [Progress(folder, print), clock], print).train()


def trl(prepared: Prepared, clock: Clock) -> None:
    from datasets import load_dataset
    from trl import SFTConfig, SFTTrainer

    from vlm_trainer.hf_processor import load_processor

    config = prepared.config
    processor = load_processor(Path(config.model.model_name_or_path))
    limits = config.model.min_pixels, config.model.max_pixels
    processor.image_processor.size = dict(
        zip(("shortest_edge", "longest_edge"), limits, strict=True)
    )
    files = [str(prepared.split.folder / name) for name, _ in prepared.split.files]
    rows = load_dataset("parquet", data_files=files, split="train")
    arguments = SFTConfig(
        output_dir=config.output.output_dir,
        max_steps=config.schedule.max_steps,
        per_device_train_batch_size=config.schedule.per_device_train_batch_size,
        assistant_only_loss=True,
        max_length=None,
        learning_rate=config.schedule.learning_rate,
        bf16=False,
        gradient_checkpointing=False,
        use_cpu=True,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    trainer = SFTTrainer(
        adapted(prepared),
        args=arguments,
        train_dataset=rows.select_columns(["messages", "images"]),
        processing_class=processor,
        callbacks=[clock],
    )
    trainer.train()


def main() -> None:
    kind, model, data, steps, batch, report = sys.argv[1:]
    clock = Clock()
    with quiet_libraries():
        prepared = run(Path(model), Path(data), int(steps), int(batch))
        Path(prepared.config.output.output_dir).mkdir(exist_ok=True)
        {"bare": bare, "lean": partial(bare, lean=True), "ours": ours, "trl": trl}[kind](
            prepared, clock
        )
    Path(report).write_text(json.dumps(clock.seconds))


if __name__ == "__main__":
    main()
