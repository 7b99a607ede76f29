"""What a server will make of an adapter: said before it is trained, not found after."""

from __future__ import annotations

from vlm_trainer.config import LoraOptions

VLLM_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # MaxLoRARanks
VLLM_DEFAULT_RANK = 16


def serving_notes(options: LoraOptions) -> list[str]:
    """Name what vLLM refuses or leaves out when it serves the adapter beside its base.

    None of it touches a merged model. rsLoRA is served as it is.

    Args:
        options: The adapter. Biases and whole modules (``modules_to_save``), which vLLM
            refuses as well, cannot be asked for here.

    Returns:
        A sentence for each finding; none when the adapter is served whole by default.

    Source:
        vLLM: ``PEFTHelper._validate_features`` (DoRA, modules_to_save) and ``LoRAConfig``
        (``max_lora_rank``, 16 by default; ``enable_tower_connector_lora``, off by default,
        without which adapters on vision tower and merger are dropped with a warning).

    Example:
        >>> serving_notes(LoraOptions())
        []
        >>> serving_notes(LoraOptions(lora_r=20))
        ['vLLM serves rank 20 only with --max-lora-rank 32 (its default is 16)']
    """
    notes = []
    if options.use_dora:
        notes.append("vLLM refuses DoRA adapters; merge it before serving")
    seeing = [scope for scope in ("vision", "merger") if scope in options.lora_scope]
    if seeing:
        notes.append(
            f"vLLM leaves out the adapter's {' and '.join(seeing)} part and only warns, unless it "
            "knows --enable-tower-connector-lora and is given it; or merge before serving"
        )
    enough = next((rank for rank in VLLM_RANKS if rank >= options.lora_r), None)
    if enough is None:
        notes.append(f"vLLM serves no rank above {VLLM_RANKS[-1]}; merge it before serving")
    elif enough > VLLM_DEFAULT_RANK:
        notes.append(
            f"vLLM serves rank {options.lora_r} only with --max-lora-rank {enough} "
            f"(its default is {VLLM_DEFAULT_RANK})"
        )
    return notes
