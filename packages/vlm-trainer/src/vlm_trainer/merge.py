"""An adapter and its base become one model, held to what both said together.

The merged folder is compared as it will be loaded, from the disk: a saved model whose keys fit
nothing loads without a word and answers like its base.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vlm_trainer.base_model import BaseModel, find_base
from vlm_trainer.chat import Chat, read_json
from vlm_trainer.contract import make_contract, write_contract
from vlm_trainer.conversation import Conversation, ImageSize
from vlm_trainer.errors import OutputError, SourceError, UsageError
from vlm_trainer.failures import is_full
from vlm_trainer.pixels import cut_patches
from vlm_trainer.processor import copy_processor
from vlm_trainer.render import Rendered, lay_out_prompt
from vlm_trainer.sizes import PixelRule
from vlm_trainer.trained import LOADING, Place, find_trained, read_limit, read_words, with_adapter

DTYPES = ("float32", "bfloat16", "float16")
#: The largest difference of two logits that rounding explains, as a share of the largest logit.
ROUNDING = {"float32": 1e-5, "bfloat16": 5e-2, "float16": 1e-2}
PROBE_PX = 112


@dataclass(frozen=True, slots=True)
class MergeConfig:
    """What to merge.

    Args:
        adapter: Output folder of a LoRA run.
        output_dir: New or empty folder.
        model_name_or_path: Base; None for the one that the adapter names.
        dtype: Of the merged weights; None for that of the base.
    """

    adapter: Path
    output_dir: Path
    model_name_or_path: str | None = None
    dtype: str | None = None


@dataclass(frozen=True, slots=True)
class Merged:
    """What came of it.

    Args:
        output_dir: A model folder that transformers and vLLM load.
        dtype: Of its weights.
        difference: Largest difference of two logits, before and after, on one picture and question.
        largest: The largest logit, to compare it with.
    """

    output_dir: str
    dtype: str
    difference: float
    largest: float


def merge(config: MergeConfig, tell: Callable[[str], None] | None = None) -> Merged:
    """Merge an adapter into its base and write a whole model folder.

    Raises:
        UsageError: The adapter is none, the base is quantised, or another dtype is asked for
            than there is.
        SourceError: Adapter or base cannot be loaded, or the merged model does not say what both
            said; nothing is left behind.
        OutputError: The output folder is not empty, or cannot be written.
    """
    place = find_trained(config.model_name_or_path, config.adapter)
    _check_output(config.output_dir)
    base = find_base(place.base)
    dtype = config.dtype or _dtype_of(base)
    _check_base(base, dtype)
    if tell:
        tell(LOADING)
    from vlm_trainer.model import quiet_libraries

    partial = config.output_dir.with_name(f".{config.output_dir.name}.partial")
    with quiet_libraries():
        chat, rule = read_words(config.adapter, base, (None, None))
        shutil.rmtree(partial, ignore_errors=True)
        try:
            before = _write(place, base, dtype, partial, (chat, rule))
            after = _loaded_logits(partial, chat, rule, dtype)
            found = _compared(before, after, config, dtype)
            if config.output_dir.exists():
                config.output_dir.rmdir()
            partial.rename(config.output_dir)
        except Exception as error:
            if not isinstance(error, OSError) and not is_full(error):
                raise
            raise OutputError(f"{config.output_dir}: cannot be written ({error})") from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return found


def _check_output(folder: Path) -> None:
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise OutputError(f"{folder}: exists and is not empty; choose another --output-dir")


def _check_base(base: BaseModel, dtype: str) -> None:
    quantised = read_json(base.folder / "config.json").get("quantization_config")
    if quantised:
        method = quantised.get("quant_method", "quantised")
        raise UsageError(
            f"{base.name}: its weights are quantised ({method}), and an adapter merges into whole "
            "ones; name the unquantised model: --model-name-or-path NAME"
        )
    if dtype not in DTYPES:
        raise UsageError(f"dtype {dtype!r}: choose from {', '.join(DTYPES)}")


def _dtype_of(base: BaseModel) -> str:
    values = read_json(base.folder / "config.json")
    inner = values.get("text_config") or {}
    names = ("dtype", "torch_dtype")
    found = [group[name] for group in (values, inner) for name in names if group.get(name)]
    return str(found[0]).removeprefix("torch.") if found else "float32"


def _write(
    place: Place, base: BaseModel, dtype: str, folder: Path, words: tuple[Chat, PixelRule]
) -> Any:
    """Write the merged model; return what base and adapter say to the probe."""
    from vlm_trainer.model import load_model

    chat, rule = words
    model = with_adapter(load_model(base, dtype=dtype), _adapter(place), base).eval()
    before = probe_logits(model, chat, rule)
    merged = model.merge_and_unload(safe_merge=True)
    folder.mkdir(parents=True)
    merged.save_pretrained(str(folder))
    copy_processor(_adapter(place), folder, rule)
    write_contract(make_contract(rule, chat.template, read_limit(_adapter(place))), folder)
    return before


def _adapter(place: Place) -> Path:
    if place.adapter is None:
        raise UsageError(f"{place.base}: no adapter; a full tuning is a whole model already")
    return place.adapter


def _loaded_logits(folder: Path, chat: Chat, rule: PixelRule, dtype: str) -> Any:
    from vlm_trainer.model import load_model

    return probe_logits(load_model(find_base(str(folder)), dtype=dtype).eval(), chat, rule)


def _compared(before: Any, after: Any, config: MergeConfig, dtype: str) -> Merged:
    difference, largest = float((before - after).abs().max()), float(before.abs().max())
    if not difference <= ROUNDING[dtype] * max(largest, 1.0):  # also for NaN
        raise SourceError(
            f"{config.adapter}: merged, the model says something else: logits differ by "
            f"{difference:.3g}, the largest is {largest:.3g}; nothing was written"
        )
    return Merged(str(config.output_dir), dtype, difference, largest)


def probe_logits(model: Any, chat: Chat, rule: PixelRule) -> Any:
    """Return the logits of a model for one question, with a drawn picture if it reads any.

    Returns:
        float32 of shape (T, V), on the CPU.
    """
    import torch

    from vlm_trainer.collate import collate_prompts

    prompt = _probe(chat, rule)
    batch = collate_prompts([prompt], chat.pad_id, chat.image_token_id)
    with torch.inference_mode():
        return model(**batch).logits[0].float()


def _probe(chat: Chat, rule: PixelRule) -> Rendered:
    from PIL import Image

    text = {"type": "text", "text": "What is in the picture? 0123456789"}
    if chat.image_token_id is None:
        asked = Conversation("probe", ({"role": "user", "content": [text]},))
        return lay_out_prompt(asked, chat, rule)
    picture = Image.radial_gradient("L").resize((PROBE_PX, PROBE_PX)).convert("RGB")
    content = [{"type": "image", "text": None}, text]
    sizes = (ImageSize(*picture.size),)
    asked = Conversation("probe", ({"role": "user", "content": content},), image_sizes=sizes)
    return replace(lay_out_prompt(asked, chat, rule), images=(cut_patches(picture, rule),))
