"""The processor files of a model folder: read without torch, copied into every output.

Copied rather than saved again, so that an output holds what its base holds, the video
part included, and loads with AutoProcessor wherever the base does.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from vlm_trainer.chat import read_json
from vlm_trainer.errors import SourceError, UsageError
from vlm_trainer.sizes import PixelRule

PROCESSOR_FILES = (
    "added_tokens.json", "chat_template.jinja", "chat_template.json", "merges.txt",
    "preprocessor_config.json", "processor_config.json", "special_tokens_map.json",
    "tokenizer.json", "tokenizer_config.json", "video_preprocessor_config.json", "vocab.json",
)  # fmt: skip
PREPROCESSOR = "preprocessor_config.json"


def read_rule(folder: Path, *, min_pixels: int, max_pixels: int) -> PixelRule:
    """Read the numbers of a folder's image processor, under the given pixel limits.

    A text model has none; the defaults then stand for nothing.

    Raises:
        SourceError: The numbers are there and are not numbers.
        UsageError: ``max_pixels`` is less than one image token covers.
    """
    values = _processor_values(folder)
    default = PixelRule()
    try:
        rule = PixelRule(
            min_pixels=min_pixels,
            max_pixels=max_pixels,
            patch_size=int(values.get("patch_size", default.patch_size)),
            merge_size=int(values.get("merge_size", default.merge_size)),
            temporal_patch_size=int(values.get("temporal_patch_size", default.temporal_patch_size)),
            mean=tuple(map(float, values.get("image_mean", default.mean))),
            std=tuple(map(float, values.get("image_std", default.std))),
        )
    except (TypeError, ValueError) as error:
        raise SourceError(f"{folder / PREPROCESSOR}: not an image processor ({error})") from error
    side = rule.factor_px
    if max_pixels < side**2:
        raise UsageError(
            f"max_pixels {max_pixels} is below {side**2}: one image token is {side}x{side} pixels"
        )
    return rule


def copy_processor(base: Path, output: Path, rule: PixelRule) -> None:
    """Copy tokenizer, template and processor files, with the pixel limits of the run.

    Args:
        base: Folder of the base model.
        output: An existing folder.
        rule: Its limits replace those of the base, so whatever loads the output shows
            pictures at the size it was trained on.
    """
    for name in PROCESSOR_FILES:
        if (base / name).is_file():
            shutil.copyfile(base / name, output / name)
    for name in (PREPROCESSOR, "processor_config.json"):
        values = read_json(output / name)
        if values:
            text = json.dumps(_with_limits(values, rule), indent=2) + "\n"
            (output / name).write_text(text, encoding="utf-8")


def _processor_values(folder: Path) -> dict[str, Any]:
    values = read_json(folder / PREPROCESSOR)
    return values or read_json(folder / "processor_config.json").get("image_processor") or {}


def _with_limits(values: dict[str, Any], rule: PixelRule) -> dict[str, Any]:
    if "image_processor" in values:
        return {**values, "image_processor": _with_limits(values["image_processor"], rule)}
    if not values.get("image_processor_type"):
        return values
    limits = {"min_pixels": rule.min_pixels, "max_pixels": rule.max_pixels}
    size = {"shortest_edge": rule.min_pixels, "longest_edge": rule.max_pixels}
    return {**values, **limits, **({"size": size} if "size" in values else {})}
