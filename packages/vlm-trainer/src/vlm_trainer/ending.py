"""What a run ends in: the weights of its best step, and a card that says what was trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from vlm_trainer.addresses import is_address
from vlm_trainer.checkpoint import is_whole
from vlm_trainer.config import to_flat
from vlm_trainer.contract import PixelContract
from vlm_trainer.errors import OutputError
from vlm_trainer.measures import HeldOutLoss, best_of, held_out_losses
from vlm_trainer.model_card import CardFacts, model_card
from vlm_trainer.output import METRICS
from vlm_trainer.prepared import Prepared
from vlm_trainer.progress import read_metrics

CARD = "README.md"
PACKAGES = ("vlm-trainer", "trl", "transformers", "peft", "torch")


def take_best(trainer: Any, folder: Path, say: Callable[[str], None]) -> HeldOutLoss | None:
    """Give the trainer the weights of the step with the lowest held-out loss.

    Args:
        trainer: At its end, its log complete.
        folder: The output folder, with the checkpoints.
        say: Takes a line for a person.

    Returns:
        That step, or None when no loss was a number: the last weights stay.

    Raises:
        OutputError: Its checkpoint is gone.
    """
    best = best_of(held_out_losses(trainer.state.log_history))
    if best is None:
        say("note: no held-out loss is a number; the last step is kept")
        return None
    say(f"kept    step {best.step} of {trainer.state.global_step}, held-out loss {best.loss:.4f}")
    if best.step == trainer.state.global_step:
        return best
    checkpoint = folder / f"checkpoint-{best.step}"
    if not is_whole(checkpoint):
        raise OutputError(f"{checkpoint}: the best checkpoint is gone or damaged; train anew")
    trainer.state.best_model_checkpoint = str(checkpoint)
    trainer._load_best_model()
    return best


def figures_of(lines: Sequence[Mapping[str, Any]], best: HeldOutLoss | None) -> dict[str, float]:
    """Return the figures of a card from the lines of metrics.jsonl.

    Args:
        lines: In order.
        best: The step that was kept; None for the last.

    Example:
        >>> lines = [{"step": 0, "eval_loss": 3.0}, {"step": 2, "loss": 1.0}]
        >>> figures_of([*lines, {"step": 2, "eval_loss": 2.0}], None)
        {'held-out loss before training': 3.0, 'training loss, last': 1.0, 'held-out loss': 2.0}
    """
    found: dict[str, float] = {}
    for line in lines:
        if "loss" in line:
            found["training loss, last"] = line["loss"]
        if "eval_loss" not in line or (best and line["step"] > best.step):
            continue
        when = " before training" if line["step"] == 0 else ""
        found[f"held-out loss{when}"] = line["eval_loss"]
        for name, words in (("accuracies", "right choices"), ("margins", "margin of rewards")):
            if f"eval_rewards/{name}" in line:
                found[f"held-out {words}{when}"] = line[f"eval_rewards/{name}"]
    return {**found, "step that was kept": best.step} if best else found


def write_card(
    prepared: Prepared, contract: PixelContract, folder: Path, best: HeldOutLoss | None
) -> None:
    """Write README.md into the output folder: names of folders, never where they lie."""
    config, base = prepared.config, prepared.base
    facts = CardFacts(
        base=base.name if base.revision else Path(base.name).name,
        is_adapter=config.model.tuning == "lora",
        data=_name(config.data.data),
        split=config.data.train_split,
        manifest_sha256=prepared.split.manifest_sha256,
        plan=prepared.plan,
        contract=contract,
        settings=to_flat(config),
        processes=prepared.processes.count,
        figures=figures_of(read_metrics(folder / METRICS), best),
        versions={name: version(name) for name in PACKAGES},
    )
    (folder / CARD).write_text(model_card(facts), encoding="utf-8")


def _name(folder: str) -> str:
    if is_address(folder):
        return folder.rstrip("/").rpartition("/")[2]
    return Path(folder).resolve().name
