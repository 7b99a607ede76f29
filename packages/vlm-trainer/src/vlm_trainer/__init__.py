"""LoRA and full fine-tuning of Qwen2.5-VL on normalized shards, with true labels.

Importing the package does nothing; each name below is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vlm_trainer.config import TrainConfig as TrainConfig
    from vlm_trainer.data import ShardSet as ShardSet
    from vlm_trainer.errors import Reason as Reason
    from vlm_trainer.errors import VlmTrainerError as VlmTrainerError
    from vlm_trainer.run import RunSummary as RunSummary
    from vlm_trainer.run import train as train
    from vlm_trainer.settings import read_config as read_config
    from vlm_trainer.tiny import write_tiny as write_tiny

_HOMES = {
    "Reason": "errors",
    "RunSummary": "run",
    "ShardSet": "data",
    "TrainConfig": "config",
    "VlmTrainerError": "errors",
    "read_config": "settings",
    "train": "run",
    "write_tiny": "tiny",
}
__all__ = sorted(_HOMES)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
