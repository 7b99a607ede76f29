"""Weights that are dealt out to the processes, by FSDP or DeepSpeed, and what that asks for."""

from __future__ import annotations

import os
from typing import Any

from vlm_trainer.errors import UsageError


def is_sharded(trainer: Any) -> bool:
    """Say whether the weights are dealt out too; refuse where that does not hold.

    Raises:
        UsageError: On a CPU accelerate shards nothing and says nothing.
    """
    sharded = bool(trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled)
    kind = str(trainer.accelerator.distributed_type.value)
    asked = [name for name in ("FSDP", "DEEPSPEED") if _is_set(f"ACCELERATE_USE_{name}")]
    if asked and kind not in asked:
        raise UsageError(
            f"{asked[0]} was asked for, and accelerate runs {kind} without a word: on a CPU it "
            "shards nothing. Use a config without it, such as examples/accelerate/ddp_cpu.yaml"
        )
    return sharded


def gather_head(model: Any) -> None:
    """Gather the head of a model whose weights are dealt out and trained (FSDP 2), as a layer is.

    TRL reads the head's weight without running it, so that no hook gathers it; what TRL gathers
    itself (``full_tensor``, 1.16) takes each process's gradient for the sum of all. Where words
    and head are one weight, the words' layer has gathered it before.
    """
    head: Any = getattr(model, "get_output_embeddings", lambda: None)()
    if hasattr(head, "unshard") and head.weight.requires_grad:
        head.unshard()


def _is_set(name: str) -> bool:
    return os.environ.get(name, "false").lower() == "true"
