"""What ends a training from outside, said in one line: a full disk, a GPU without memory."""

from __future__ import annotations

import errno
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vlm_trainer.checkpoint import newest_whole
from vlm_trainer.config import TrainConfig
from vlm_trainer.errors import OutOfMemory, OutputError, VlmTrainerError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# safetensors and torch.save write in Rust and C++ and say it in words of their own.
FULL_WORDS = re.compile(r"os error (?:28|122|27)\b|PytorchStreamWriter failed|inline_container")
ASKED = re.compile(r"Tried to allocate ([\d.]+ \w+)")


@contextmanager
def explained(config: TrainConfig, longest: int) -> Iterator[None]:
    """Turn what ends a run from outside into one line with what to do.

    Args:
        config: The run's settings.
        longest: Tokens of the longest row.

    Raises:
        OutputError: The disk is full; names the checkpoint that is kept.
        OutOfMemory: With the batch, the plan's numbers, and what to lower.
    """
    try:
        yield
    except VlmTrainerError:
        raise
    except Exception as error:
        if is_full(error):
            raise OutputError(disk_full(Path(config.output.output_dir), error)) from error
        if _is_out_of_memory(error):
            raise OutOfMemory(out_of_memory(config, longest, error)) from error
        raise


def is_full(error: BaseException) -> bool:
    """Say whether an error is that of a disk without room."""
    if isinstance(error, OSError) and error.errno in FULL:
        return True
    return not isinstance(error, OSError) and bool(FULL_WORDS.search(str(error)))


def disk_full(output: Path, error: BaseException) -> str:
    """Say what is kept in an output folder whose disk is full, and what to do."""
    whole = newest_whole(output)
    kept = f"{whole.name} is kept and whole" if whole else "no checkpoint was whole yet"
    cause = (str(error).strip().splitlines() or [""])[0]
    seen = (error.strerror if isinstance(error, OSError) else None) or cause
    return (
        f"{output}: cannot be written, the disk is full ({seen}); {kept}. "
        "Make room, and the same command goes on"
    )


def out_of_memory(config: TrainConfig, longest: int, error: BaseException) -> str:
    """Say on what the GPU ran out of memory, and what to lower."""
    schedule, model, data = config.schedule, config.model, config.data
    asked = ASKED.search(str(error))
    batch = " ".join(getattr(error, "__notes__", ()))
    batch = batch or "while the model was loaded or the optimizer made"
    lower = [f"--max-pixels ({model.max_pixels})", f"--max-length ({data.max_length or 'any'})"]
    if schedule.per_device_train_batch_size > 1:
        rows = f"--per-device-train-batch-size ({schedule.per_device_train_batch_size})"
        lower.insert(0, f"{rows} with as much more --gradient-accumulation-steps")
    also = [] if model.load_in or model.tuning == "full" else ["--load-in 4bit"]
    also += [] if schedule.gradient_checkpointing else ["--gradient-checkpointing"]
    more = f" for {asked.group(1)} more" if asked else ""
    hints = f", or try {' or '.join(also)}" if also else ""
    return (
        f"the GPU is out of memory{more}: {batch}; the longest row has {longest:,} tokens. "
        f"Lower {', '.join(lower)}{hints}. Other settings want another --output-dir once a step "
        "is saved"
    )


def describe_batch(batch: Any) -> str:
    """Say how large a batch is, from its tensors' shapes.

    Args:
        batch: As `vlm_trainer.collate.collate` makes it.
    """
    rows, width = batch["input_ids"].shape
    mask = batch.get("attention_mask")
    tokens = rows * width if mask is None else int(mask.cpu().sum())
    pictures = batch.get("image_grid_thw", ())
    patches = len(batch["pixel_values"]) if len(pictures) else 0
    return (
        f"a batch of {rows} rows and {tokens:,} tokens ({rows * width:,} with padding), "
        f"{len(pictures)} pictures of {patches:,} patches"
    )


def _is_out_of_memory(error: BaseException) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(error, torch.OutOfMemoryError)
