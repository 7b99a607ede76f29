"""The output folder of a run: whose it is, how far it came, what may go on in it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlm_trainer.addresses import is_address
from vlm_trainer.chat import read_json
from vlm_trainer.checkpoint import newest_whole, write_atomically
from vlm_trainer.config import TrainConfig, to_flat
from vlm_trainer.errors import OutputError
from vlm_trainer.mixing import parse_mix

RUN, FINISHED, METRICS = "run.json", "finished.json", "metrics.jsonl"
# What may change between a start and its resume: it does not change what is learned from
# the rows that are seen.
FREE_KEYS = frozenset(
    {
        "data", "dataloader_num_workers", "eval_steps", "exclude_ids", "expect_processes",
        "logging_steps", "mix", "model_name_or_path", "model_revision", "on_refused", "output_dir",
        "per_device_eval_batch_size", "report_to", "save_steps", "save_total_limit",
        "stream_cache_mib",
    }
)  # fmt: skip
# These too, unless the held-out loss decides what the run ends in.
MEASURE_KEYS = frozenset({"eval_steps", "per_device_eval_batch_size"})


@dataclass(frozen=True, slots=True)
class Place:
    """An output folder as this run finds it.

    Args:
        folder: The folder, which may not exist yet.
        checkpoint: Newest whole checkpoint to go on from, or None.
        finished: The record of a finished run with the same settings, or None.
    """

    folder: Path
    checkpoint: Path | None = None
    finished: Mapping[str, Any] | None = None


def identity(config: TrainConfig, data_sha256: str, model: str, processes: int) -> dict[str, Any]:
    """Name all that decides what a run learns: settings, data, base model, processes.

    Folders may move, so a mix is known by its manifests, in order, and their weights. Whether one
    is streamed, and through how large a cache, decides the order of its rows.
    """
    decides = config.output.keep_best or config.output.early_stopping
    free = FREE_KEYS - MEASURE_KEYS if decides else FREE_KEYS
    settings = {key: value for key, value in to_flat(config).items() if key not in free}
    if config.data.mix:
        settings["weights"] = [weight for _, weight in map(parse_mix, config.data.mix)]
    mix = [folder for folder, _ in map(parse_mix, config.data.mix)]
    streamed = [is_address(folder) for folder in (config.data.data, *mix)]
    if any(streamed):
        settings |= {"streamed": streamed, "stream_cache_mib": config.data.stream_cache_mib}
    return {"data": data_sha256, "model": model, "processes": processes, "settings": settings}


def find_place(folder: Path, wanted: Mapping[str, Any]) -> Place:
    """Look at an output folder and decide: new, to be resumed, or finished.

    Args:
        folder: ``--output-dir``.
        wanted: The `identity` of this run.

    Raises:
        OutputError: The folder holds something that is no run, or a run that differs;
            the difference is shown.
    """
    if not folder.exists():
        return Place(folder)
    if not folder.is_dir():
        raise OutputError(f"{folder}: a file, not a folder; choose another --output-dir")
    record = read_json(folder / RUN)
    if not record:
        strangers = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
        if strangers:
            raise OutputError(
                f"{folder}: holds {sorted(strangers)[0]!r} and no run of this trainer; "
                "choose another --output-dir"
            )
        return Place(folder)
    found = changes(record.get("identity") or {}, wanted)
    if found and _has_trained(folder):
        raise OutputError(
            f"{folder}: begun with other settings: {'; '.join(found)}. "
            "Use the old ones to go on, or another --output-dir"
        )
    return Place(folder, newest_whole(folder), read_json(folder / FINISHED) or None)


def _has_trained(folder: Path) -> bool:
    """Whether a step was trained; a start that failed before leaves nothing to protect."""
    steps = (folder / METRICS).is_file() and (folder / METRICS).stat().st_size > 0
    return steps or (folder / FINISHED).exists() or newest_whole(folder) is not None


def begin(place: Place, wanted: Mapping[str, Any], config_yaml: str) -> None:
    """Make the folder and write down what the run is, before anything else is written.

    Raises:
        OutputError: The folder cannot be made or written.
    """
    try:
        place.folder.mkdir(parents=True, exist_ok=True)
        if read_json(place.folder / RUN).get("identity") != wanted:
            write_atomically(place.folder / RUN, {"identity": dict(wanted)})
        (place.folder / "config.yaml").write_text(config_yaml, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{place.folder}: cannot be written ({error.strerror})") from error


def check_writable(folder: Path) -> None:
    """Refuse a folder that `begin` could not make or write into, without trying.

    Raises:
        OutputError: A file stands in the way, or the user may not write there.
    """
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise OutputError(f"{folder}: cannot be written ({nearest} is no folder to write into)")


def finish(place: Place, summary: Mapping[str, Any]) -> None:
    """Mark the run finished; nothing is written into the folder after this."""
    write_atomically(place.folder / FINISHED, summary)


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Name every value in which two nested records differ.

    Example:
        >>> changes({"settings": {"seed": 1}}, {"settings": {"seed": 2}})
        ['seed was 1, is 2']
    """
    found = []
    for key in sorted({*before, *now}):
        old, new = before.get(key), now.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += changes(old, new)
        elif old != new:
            found.append(f"{key} was {old}, is {new}")
    return found
