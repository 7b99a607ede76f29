"""Training steps without our trainer: a bare loop over our batches, or TRL with all its own.

    python train_step.py bare|trl MODEL DATA STEPS BATCH

Both put the same LoRA on the same model, in float32 on a CPU, with AdamW and clipping. The bare
loop renders and collates rows as our trainer does; TRL gets rows decoded by datasets, its own
collator for pictures and the processor of transformers.
"""

from __future__ import annotations

import sys
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForImageTextToText

from vlm_trainer.chat import read_chat
from vlm_trainer.config import LoraOptions
from vlm_trainer.lora import add_adapter
from vlm_trainer.model import quiet_libraries
from vlm_trainer.processor import read_rule

PIXELS = {"min_pixels": 3136, "max_pixels": 1_003_520}


def bare(model: Any, folder: Path, data: Path, steps: int, batch: int) -> None:
    from vlm_trainer.collate import collate
    from vlm_trainer.data import RenderedRows, ShardSet, find_split
    from vlm_trainer.lengths import Measure

    chat = read_chat(folder, reads_pictures=True)
    how = Measure(chat, read_rule(folder, **PIXELS))
    shards = ShardSet(find_split(data, "train"))
    rows = RenderedRows(shards, range(len(shards)), how)
    order = cycle(range(len(rows)))
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=2e-5, weight_decay=0.0)
    model.train()
    for _ in range(steps):
        chosen = [rows[index] for index in islice(order, batch)]
        model(**collate(chosen, chat.pad_id, chat.image_token_id)).loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()


def with_trl(model: Any, folder: Path, data: Path, steps: int, batch: int) -> None:
    from datasets import load_dataset
    from trl import SFTConfig, SFTTrainer

    from vlm_trainer.hf_processor import load_processor

    processor = load_processor(folder)
    processor.image_processor.size = {
        "shortest_edge": PIXELS["min_pixels"],
        "longest_edge": PIXELS["max_pixels"],
    }
    rows = load_dataset("parquet", data_files=str(data / "data" / "train-*.parquet"), split="train")
    arguments = SFTConfig(
        output_dir=str(data / "trl"),
        max_steps=steps,
        per_device_train_batch_size=batch,
        assistant_only_loss=True,
        max_length=None,
        learning_rate=2e-5,
        bf16=False,
        gradient_checkpointing=False,
        use_cpu=True,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    keep = rows.select_columns(["messages", "images"])
    SFTTrainer(model, args=arguments, train_dataset=keep, processing_class=processor).train()


def main() -> None:
    kind, model, data, steps, batch = sys.argv[1:]
    torch.manual_seed(42)
    with quiet_libraries():
        base = AutoModelForImageTextToText.from_pretrained(model, dtype=torch.float32)
        adapted = add_adapter(base, LoraOptions())
        run = {"bare": bare, "trl": with_trl}[kind]
        run(adapted, Path(model), Path(data), int(steps), int(batch))


if __name__ == "__main__":
    main()
