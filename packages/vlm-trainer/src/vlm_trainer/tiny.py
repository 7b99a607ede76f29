"""A tiny random Qwen2.5-VL with tokenizer and processor, built offline in a moment.

The demo's, the tests' and `--model-name-or-path tiny`: small enough for two CPU cores,
and in every file the same structure as the published checkpoints. Its words come from
the text below; single bytes are in the vocabulary, so any text can be written.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

VOCABULARY = 448
CONTROL_TOKENS = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>",
    "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip
MIN_PIXELS, MAX_PIXELS = 784, 3136
HEAD_GAIN = 8
FAMILY = "qwen2_5_vl"
TOWER = {"hidden_size": 64, "intermediate_size": 128, "out_hidden_size": 128}
FAMILIES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    # model type -> class, what is its own in the text model, and in the vision tower
    "qwen2_vl": (
        "Qwen2VLForConditionalGeneration",
        {},
        {"embed_dim": 64, "hidden_size": 128, "mlp_ratio": 2, "patch_size": 14},
    ),
    FAMILY: (
        "Qwen2_5_VLForConditionalGeneration",
        {},
        {**TOWER, "patch_size": 14, "window_size": 112, "fullatt_block_indexes": [1]},
    ),
    "qwen3_vl": (
        "Qwen3VLForConditionalGeneration",
        {"head_dim": 32},
        {**TOWER, "patch_size": 16, "num_position_embeddings": 64, "deepstack_visual_indexes": [0]},
    ),
}
# The pattern of Qwen2's tokenizer: transformers/models/qwen2/tokenization_qwen2.py
WORD_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# To the letter the template of Qwen2.5-VL-Instruct, which TRL recognises.
CHAT_TEMPLATE = (
    "{% set image_count = namespace(value=0) %}{% set video_count = namespace(value=0) %}"
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}<|im_end|>\n"
    "{% else %}{% for content in message['content'] %}"
    "{% if content['type'] == 'image' or 'image' in content or 'image_url' in content %}"
    "{% set image_count.value = image_count.value + 1 %}"
    "{% if add_vision_id %}Picture {{ image_count.value }}: {% endif %}"
    "<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif content['type'] == 'video' or 'video' in content %}"
    "{% set video_count.value = video_count.value + 1 %}"
    "{% if add_vision_id %}Video {{ video_count.value }}: {% endif %}"
    "<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}<|im_end|>\n"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WORDS = """You are a helpful assistant. system user assistant
Which digit is this? What number is written here? What does the picture show? Describe it.
Read the form and answer in JSON. {"digit": 0, "name": "", "date": "2026-01-31", "total": 12.5}
zero one two three four five six seven eight nine ten It is the number a an the of and in on
red green blue yellow circle square triangle star left right above below How many are there?
"""


def write_tiny(folder: Path, *, vision: bool = True, seed: int = 0, family: str = FAMILY) -> None:
    """Write a whole tiny model folder: config, random weights, tokenizer, processor.

    Args:
        folder: Made if missing.
        vision: False for a text model (Qwen2) with the same tokenizer.
        seed: Of the weights; equal seeds give equal bytes.
        family: Model type of a model with vision; words and template are always those of
            Qwen2.5-VL.
    """
    write_tiny_words(folder, vision=vision, family=family)
    _write_weights(folder, vision=vision, seed=seed)


def write_tiny_words(folder: Path, *, vision: bool = True, family: str = FAMILY) -> None:
    """Write all files of a tiny model but its weights; needs no torch."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _train_tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")
    ids = {token: tokenizer.token_to_id(token) for token in CONTROL_TOKENS}
    config = vision_config(ids, family) if vision else text_config(ids)
    _write_json(folder / "config.json", config)
    _write_json(folder / "tokenizer_config.json", _tokenizer_config())
    stop_ids = [ids["<|im_end|>"], ids["<|endoftext|>"]]
    generation = {
        "do_sample": False,
        "eos_token_id": stop_ids,
        "pad_token_id": ids["<|endoftext|>"],
    }
    _write_json(folder / "generation_config.json", generation)
    if vision:
        _write_json(folder / "preprocessor_config.json", _processor_config(family))


def text_config(ids: dict[str, int]) -> dict[str, Any]:
    """Return the config of the tiny text model, given the ids of control tokens."""
    return {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        "vocab_size": VOCABULARY,
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": False,
        "bos_token_id": ids["<|endoftext|>"],
        "eos_token_id": ids["<|im_end|>"],
        "dtype": "float32",
    }


def vision_config(ids: dict[str, int], family: str = FAMILY) -> dict[str, Any]:
    """Return the config of a tiny model with vision, given the ids of control tokens."""
    architecture, own_text, own_vision = FAMILIES[family]
    text = text_config(ids) | {"model_type": f"{family}_text"} | own_text
    text["rope_parameters"] = {
        "rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 6, 6],
    }  # fmt: skip
    vision = {
        "model_type": f"{family}_vision",
        "depth": 2,
        "num_heads": 2,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        **own_vision,
    }
    return {
        "architectures": [architecture],
        "model_type": family,
        "text_config": text,
        "vision_config": vision,
        "image_token_id": ids["<|image_pad|>"],
        "video_token_id": ids["<|video_pad|>"],
        "vision_start_token_id": ids["<|vision_start|>"],
        "vision_end_token_id": ids["<|vision_end|>"],
        "tie_word_embeddings": False,
        "dtype": "float32",
    }


def _train_tokenizer() -> Any:
    from tokenizers import (
        AddedToken,
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        processors,
        trainers,
    )

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORD_PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(CONTROL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(WORDS.splitlines(keepends=True), trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in CONTROL_TOKENS])
    return tokenizer


def _tokenizer_config() -> dict[str, Any]:
    return {
        "tokenizer_class": "Qwen2Tokenizer",
        "processor_class": "Qwen2_5_VLProcessor",
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "model_max_length": 4096,
    }


def _processor_config(family: str) -> dict[str, Any]:
    values = {
        "image_processor_type": "Qwen2VLImageProcessor",
        "processor_class": "Qwen2_5_VLProcessor",
        "min_pixels": MIN_PIXELS,
        "max_pixels": MAX_PIXELS,
        "patch_size": 14,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
    }
    if family == "qwen3_vl":  # as in the preprocessor_config.json of Qwen3-VL
        values |= {"patch_size": 16, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    return values


def _write_weights(folder: Path, *, vision: bool, seed: int) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

    config = AutoConfig.from_pretrained(folder)
    auto = AutoModelForImageTextToText if vision else AutoModelForCausalLM
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = auto.from_config(config)  # type: ignore[no-untyped-call]
        # A logit is at most |hidden| * |head row|: at the usual 0.02 no adapter could ever
        # raise a word that full training has not raised before.
        model.get_output_embeddings().weight.data.mul_(HEAD_GAIN)
    stop_words = (folder / "generation_config.json").read_bytes()
    own_config = (folder / "config.json").read_bytes()
    model.save_pretrained(folder)
    (folder / "generation_config.json").write_bytes(stop_words)
    (folder / "config.json").write_bytes(own_config)


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
