"""A model ready to answer: a base, an adapter on it, or the output of a full tuning."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vlm_trainer.base_model import BaseModel, check_quantised, find_base
from vlm_trainer.chat import Chat, read_chat, read_json
from vlm_trainer.config import ModelOptions
from vlm_trainer.contract import check_same, make_contract, read_contract
from vlm_trainer.errors import SourceError, UsageError
from vlm_trainer.output import RUN
from vlm_trainer.processor import read_rule
from vlm_trainer.shrink import TokenLimit
from vlm_trainer.sizes import PixelRule

LOADING = "loading torch and the model; this takes some seconds"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a trained model lies.

    Args:
        base: Model whose weights are loaded first.
        adapter: Folder of the adapter on it, or None.
        words: Folder whose tokenizer, template and processor are used.
    """

    base: str
    adapter: Path | None
    words: Path | None


@dataclass(frozen=True, slots=True)
class Trained:
    """A model with its words and sizes, in evaluation mode on its device.

    Args:
        model: Of transformers or PEFT.
        chat: Its template and tokenizer.
        rule: Its sizes of pictures.
        limit: The length to which rows were shrunk in training; None when they were not.
    """

    model: Any
    chat: Chat
    rule: PixelRule
    limit: TokenLimit | None = None


def find_trained(model_name_or_path: str | None, adapter: Path | None) -> Place:
    """Work out base and adapter from what was given.

    Args:
        model_name_or_path: A model, or the output folder of any run.
        adapter: Output folder of a LoRA run; its base is found by adapter_config.json
            unless ``model_name_or_path`` names it.

    Raises:
        UsageError: Neither was given, or both name an adapter.
        SourceError: The adapter folder holds no adapter.
    """
    if model_name_or_path is None and adapter is None:
        raise UsageError("which model? give --model-name-or-path MODEL or --adapter FOLDER")
    given = Path(model_name_or_path) if model_name_or_path else None
    if given and _is_adapter(given):
        if adapter:
            raise UsageError(f"{given} is an adapter itself; give its base, or leave out --adapter")
        given, adapter, model_name_or_path = None, given, None
    if adapter is None:
        return Place(str(model_name_or_path), None, None)
    if not _is_adapter(adapter):
        raise SourceError(f"{adapter}: no adapter_config.json; not the output of a LoRA run")
    base = (
        model_name_or_path or read_json(adapter / "adapter_config.json")["base_model_name_or_path"]
    )
    return Place(str(base), adapter, adapter)


def load_trained(
    place: Place,
    limits: tuple[int | None, int | None],
    *,
    use_cpu: bool,
    load_in: str | None = None,
    tell: Callable[[str], None] | None = None,
) -> Trained:
    """Load a model, its adapter, words and sizes.

    Args:
        place: From `find_trained`.
        limits: ``min_pixels`` and ``max_pixels`` asked for; None takes those the model was
            trained with, or the defaults for a base.
        use_cpu: Stay on the CPU even where a GPU is.
        load_in: ``4bit`` or ``8bit`` to quantise the base; None loads it as it is.
        tell: Hears that an adapter lies on another base than it was trained over.

    Raises:
        UsageError: The limits, processor or template differ from those of the training, or the
            base is quantised already.
        SourceError: Model or adapter cannot be loaded.
    """
    from vlm_trainer.model import find_hardware, load_model
    from vlm_trainer.quantise import bnb_config

    base, before = find_base(place.base), _settings_of(place.adapter)
    options = ModelOptions(load_in=load_in)
    check_quantised(base, options)
    options = replace(options, quantize_vision=bool(load_in and before.get("quantize_vision")))
    if tell and (note := _base_note(base, before.get("load_in"), load_in)):
        tell(note)
    words = place.words or base.folder
    chat, rule = read_words(words, base, limits)
    hardware = find_hardware(use_cpu=use_cpu)
    dtype = "bfloat16" if hardware.bf16 else "float32"
    quantisation = None if base.quantised else bnb_config(options, hardware)
    model = load_model(base, dtype=dtype, quantisation=quantisation, device=hardware.device)
    if place.adapter:
        model = with_adapter(model, place.adapter, base)
    if (
        not base.quantised and not quantisation
    ):  # those lie where they are used, and 8-bit ones cannot be moved
        model = model.to(hardware.device)
    return Trained(model.eval(), chat, rule, read_limit(words))


def _settings_of(adapter: Path | None) -> Mapping[str, Any]:
    """Return the settings of the run that an adapter is of; none where it lies alone."""
    identity = read_json(adapter / RUN).get("identity") if adapter else None
    return (identity or {}).get("settings") or {}


def _base_note(base: BaseModel, trained_in: str | None, load_in: str | None) -> str | None:
    now = base.quantised or load_in
    if not trained_in or now == trained_in:
        return None
    return (
        f"note: the adapter was trained over its base in {trained_in}, and is put on the one in "
        f"{now or 'full precision'}: answers differ a little (--load-in {trained_in} loads as then)"
    )


def read_words(
    folder: Path, base: BaseModel, limits: tuple[int | None, int | None]
) -> tuple[Chat, PixelRule]:
    """Read template and sizes of a trained model, held against its contract.

    Raises:
        UsageError: as `read_trained_rule`.
    """
    chat = read_chat(folder, reads_pictures=base.reads_pictures)
    return chat, read_trained_rule(folder, chat, limits)


def read_trained_rule(folder: Path, chat: Chat, limits: tuple[int | None, int | None]) -> PixelRule:
    """Read the sizes of a folder's pictures, and hold sizes and template against its contract.

    Raises:
        UsageError: They differ from what the model was trained with, or exclude each other.
    """
    trained = read_contract(folder)
    default = trained or ModelOptions()
    smallest = default.min_pixels if limits[0] is None else limits[0]
    largest = default.max_pixels if limits[1] is None else limits[1]
    if not 1 <= smallest <= largest:
        raise UsageError(f"min_pixels {smallest} and max_pixels {largest}: no size lies between")
    rule = read_rule(folder, min_pixels=smallest, max_pixels=largest)
    if trained:
        check_same(make_contract(rule, chat.template, trained.limit), trained)
    return rule


def read_limit(folder: Path) -> TokenLimit | None:
    """Read how long rows may be before their pictures are shown smaller, as in training."""
    trained = read_contract(folder)
    return trained.limit if trained else None


def with_adapter(model: Any, adapter: Path, base: BaseModel) -> Any:
    """Put an adapter on a loaded base.

    Raises:
        SourceError: It does not fit. PEFT only warns of weights without a place and of places
            without weights, and the model then answers like its base.
    """
    import warnings

    from peft import PeftModel, get_peft_model_state_dict
    from peft.utils import load_peft_weights

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Found missing adapter keys")
            whole = PeftModel.from_pretrained(model, str(adapter))
        given = {name for name in load_peft_weights(str(adapter), device="cpu") if "lora_" in name}
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise SourceError(f"{adapter}: does not fit {base.name} ({first_line})") from error
    found = get_peft_model_state_dict(whole, save_embedding_layers=False)
    places = {name for name in found if "lora_" in name}
    if strangers := sorted(given ^ places):
        raise SourceError(
            f"{adapter}: does not fit {base.name}: {len(given - places)} of its weights have no "
            f"place there, {len(places - given)} places no weights, as {strangers[0]}"
        )
    return whole


def answer(trained: Trained, prompts: Sequence[Any], limits: Sequence[int]) -> list[str]:
    """Answer prompts greedily, as one batch padded on the left.

    Args:
        trained: The model.
        prompts: `vlm_trainer.render.Rendered` values whose ids end where the answer begins.
        limits: The most tokens of each answer.

    Returns:
        The answers without control tokens, in the order of the prompts.
    """
    import torch

    from vlm_trainer.collate import collate_prompts

    chat = trained.chat
    batch = collate_prompts(prompts, chat.pad_id, chat.image_token_id)
    device = next(trained.model.parameters()).device
    with torch.inference_mode():
        ids_BT = trained.model.generate(
            **{name: tensor.to(device) for name, tensor in batch.items()},
            max_new_tokens=max(limits),
            do_sample=False,
            temperature=None, top_p=None, top_k=None,
            repetition_penalty=1.0,  # a base's own would bend answers that repeat, as JSON does
            eos_token_id=stop_ids(chat),
            pad_token_id=chat.pad_id,
        )  # fmt: skip
    new_ids = ids_BT[:, batch["input_ids"].shape[1] :].tolist()
    return [_until_stop(ids[:most], chat) for ids, most in zip(new_ids, limits, strict=True)]


def stop_ids(chat: Chat) -> list[int]:
    """Return the ids that end an answer."""
    found = (chat.tokenizer.token_to_id(word) for word in ("<|im_end|>", "<|endoftext|>"))
    return [token_id for token_id in found if token_id is not None]


def _until_stop(ids: list[int], chat: Chat) -> str:
    stops = set(stop_ids(chat))
    end = next((index for index, token_id in enumerate(ids) if token_id in stops), len(ids))
    return chat.tokenizer.decode(ids[:end], skip_special_tokens=True)


def _is_adapter(folder: Path) -> bool:
    return (folder / "adapter_config.json").is_file()
