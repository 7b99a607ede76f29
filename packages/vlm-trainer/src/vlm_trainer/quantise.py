"""How a base is quantised while it is loaded: QLoRA's NF4, or 8-bit, by bitsandbytes.

PEFT's ``prepare_model_for_kbit_training`` is not called: it makes all that is left
unquantised float32, here the vision tower and the word tables, which costs more memory than
NF4 saves on a small model. What else it does is done elsewhere: PEFT freezes the base, and
TRL lets gradients through a checkpointed one.
"""

from __future__ import annotations

from typing import Any

from vlm_trainer.config import ModelOptions
from vlm_trainer.model import Hardware

SEEING = "model.visual"  # vision tower and merger of Qwen2-VL and its successors


def bnb_config(wanted: ModelOptions, hardware: Hardware) -> Any:
    """Return the bitsandbytes config to load a base with, or None to load it as it is.

    Args:
        wanted: ``load_in`` and ``quantize_vision``.
        hardware: Quantised layers compute in bfloat16 where the rest does, else in float32.

    Returns:
        A transformers config: NF4 with double quantisation, or LLM.int8. The head stays as
        it is, and so do vision tower and merger unless asked for: they are small, and run
        once for every picture token.

    Source:
        Dettmers et al., "QLoRA" (2023): NF4, double quantisation.
    """
    if not wanted.load_in:
        return None
    import torch
    from transformers import BitsAndBytesConfig

    kept = ["lm_head"] if wanted.quantize_vision else ["lm_head", SEEING]
    if wanted.load_in == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=kept)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16 if hardware.bf16 else torch.float32,
        llm_int8_skip_modules=kept,  # the name is 8-bit's; it counts for both
    )
