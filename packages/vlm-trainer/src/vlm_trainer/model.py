"""Load a model's weights for training or for use: dtype and device, nothing else."""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from vlm_trainer.base_model import BaseModel
from vlm_trainer.errors import SourceError


@dataclass(frozen=True, slots=True)
class Hardware:
    """What the run computes on.

    Args:
        device: ``cpu`` or ``cuda``.
        bf16: Compute in bfloat16.
        gradient_checkpointing: Trade time for memory.
    """

    device: str
    bf16: bool
    gradient_checkpointing: bool


def find_hardware(
    *, use_cpu: bool, bf16: bool | None = None, gradient_checkpointing: bool | None = None
) -> Hardware:
    """Fill in what was left to the machine: with a GPU bfloat16 and checkpointing, else not."""
    import torch

    has_gpu = torch.cuda.is_available() and not use_cpu
    return Hardware(
        device="cuda" if has_gpu else "cpu",
        bf16=has_gpu if bf16 is None else bf16,
        gradient_checkpointing=(
            has_gpu if gradient_checkpointing is None else gradient_checkpointing
        ),
    )


def load_model(
    base: BaseModel,
    *,
    dtype: str,
    attention: str | None = None,
    quantisation: Any = None,
    device: str = "cpu",
) -> Any:
    """Load a model's weights, on the CPU unless they are quantised.

    Args:
        base: What `find_base` found.
        dtype: ``float32`` or ``bfloat16``. Full tuning wants float32 weights also where it
            computes in bfloat16: steps of 1e-5 are lost in bfloat16 weights.
        attention: ``attn_implementation`` of transformers.
        quantisation: A config of bitsandbytes, or None.
        device: ``cpu`` or ``cuda``. Quantised weights are made where they are used: a
            process takes the GPU of its LOCAL_RANK.

    Returns:
        The transformers model, in evaluation mode.

    Raises:
        SourceError: The weights are missing, all or some, not safetensors, or damaged.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    auto: Any = AutoModelForImageTextToText if base.reads_pictures else AutoModelForCausalLM
    options: dict[str, Any] = {"attn_implementation": attention} if attention else {}
    if quantisation and not base.quantised:
        options["quantization_config"] = quantisation
    if quantisation or base.quantised:
        here = device if device == "cpu" else int(os.environ.get("LOCAL_RANK") or 0)
        options["device_map"] = {"": here}
    try:
        model, found = auto.from_pretrained(
            base.weights,
            revision=base.revision or "main",
            dtype=getattr(torch, dtype),
            use_safetensors=True,
            output_loading_info=True,
            **options,
        )
    except Exception as error:  # OSError, SafetensorError, RuntimeError for wrong shapes, ...
        first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise SourceError(f"{base.name}: the weights cannot be loaded ({first_line})") from error
    _check_whole(sorted(found["missing_keys"]), base)
    return _kept_trainable(model)


def _check_whole(missing: Sequence[str], base: BaseModel) -> None:
    """Refuse weights that are not there: transformers makes them up at random."""
    if missing:
        raise SourceError(
            f"{base.name}: {len(missing)} weights are missing, as {missing[0]}; is its "
            "config.json that of another model?"
        )


def _kept_trainable(model: Any) -> Any:
    """Keep 4-bit weights as they are also while a model is evaluated on a CPU.

    Where the CPU has AVX512-BF16, bitsandbytes 0.50 repacks them at the first evaluation, for a
    kernel that computes in bfloat16 and has no gradient: a training would end there.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    return model


def gpu_peak_bytes() -> int | None:
    """Return the most that tensors of this process took on its GPU; None where none was used."""
    import torch

    has_run = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return torch.cuda.max_memory_allocated() if has_run else None


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Silence what the libraries say about themselves; their errors still come through."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # or they warn in every worker
    with warnings.catch_warnings():
        for message in (".*gradient_checkpointing.*", ".*pin_memory.*"):
            warnings.filterwarnings("ignore", message=message)
        for name in ("bitsandbytes", "transformers", "accelerate", "peft", "trl"):
            logging.getLogger(name).setLevel(logging.ERROR)
        import datasets
        from transformers.utils import logging as transformers_logging

        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()
        datasets.disable_progress_bars()
        yield
