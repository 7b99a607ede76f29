"""What a server will make of an adapter: said before it is trained, not found after."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

VLLM_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # MaxLoRARanks
VLLM_DEFAULT_RANK = 16
MERGE = "merge it before serving"


def serving_notes(adapter: Mapping[str, Any], towers: Collection[str]) -> list[str]:
    """Name what vLLM refuses or leaves out when it serves an adapter beside its base.

    None of it concerns a merged model. rsLoRA is served as it is.

    Args:
        adapter: The values of adapter_config.json.
        towers: Those with adapted modules: language, vision, merger.

    Returns:
        A sentence for each finding; none when the adapter is served whole by default.

    Source:
        vLLM: ``PEFTHelper`` (DoRA, ``modules_to_save``, ``bias``) and ``LoRAConfig``
        (``max_lora_rank``, 16 by default; ``enable_tower_connector_lora``, off by default,
        without which adapters on vision tower and merger are dropped with a warning).

    Example:
        >>> serving_notes({"r": 16}, ["language"])
        []
        >>> serving_notes({"r": 20}, ["language"])
        ['vLLM serves rank 20 only with --max-lora-rank 32 (its default is 16)']
    """
    notes = []
    if adapter.get("use_dora"):
        notes.append(f"vLLM refuses DoRA adapters; {MERGE}")
    if adapter.get("modules_to_save"):
        notes.append(f"vLLM refuses adapters with whole modules (modules_to_save); {MERGE}")
    if adapter.get("bias", "none") != "none":
        notes.append(f"vLLM refuses adapters with biases; {MERGE}")
    seeing = [tower for tower in ("vision", "merger") if tower in towers]
    if seeing:
        notes.append(
            f"vLLM leaves out the adapter's {' and '.join(seeing)} part and only warns, unless it "
            f"knows --enable-tower-connector-lora and is given it; or {MERGE}"
        )
    return [
        *notes,
        *_about_rank(max([adapter["r"], *(adapter.get("rank_pattern") or {}).values()])),
    ]


def _about_rank(rank: int) -> list[str]:
    enough = next((known for known in VLLM_RANKS if known >= rank), None)
    if enough is None:
        return [f"vLLM serves no rank above {VLLM_RANKS[-1]}; {MERGE}"]
    if enough <= VLLM_DEFAULT_RANK:
        return []
    return [
        f"vLLM serves rank {rank} only with --max-lora-rank {enough} "
        f"(its default is {VLLM_DEFAULT_RANK})"
    ]
