"""Outputs carry the processor of their base, with the limits of their training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vlm_trainer.contract import (
    check_same,
    differences,
    make_contract,
    read_contract,
    write_contract,
)
from vlm_trainer.errors import SourceError, UsageError
from vlm_trainer.processor import copy_processor, read_rule
from vlm_trainer.shrink import TokenLimit
from vlm_trainer.sizes import PixelRule

PUBLISHED = {  # preprocessor_config.json as the published checkpoints have it
    "min_pixels": 3136,
    "max_pixels": 12845056,
    "patch_size": 14,
    "temporal_patch_size": 2,
    "merge_size": 2,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "image_processor_type": "Qwen2VLImageProcessor",
    "processor_class": "Qwen2_5_VLProcessor",
}
RULE = PixelRule(min_pixels=784, max_pixels=50_176)


@pytest.mark.parametrize("with_size", [False, True])
def test_a_copy_loads_with_the_limits_of_the_run(
    tmp_path: Path, tiny_words: Path, with_size: bool
) -> None:
    from vlm_trainer.hf_processor import load_processor

    base, output = tmp_path / "base", tmp_path / "output"
    for folder in (base, output):
        folder.mkdir()
    for path in tiny_words.iterdir():
        (base / path.name).write_bytes(path.read_bytes())
    size = {"size": {"shortest_edge": 3136, "longest_edge": 12845056}} if with_size else {}
    (base / "preprocessor_config.json").write_text(json.dumps({**PUBLISHED, **size}))
    (base / "video_preprocessor_config.json").write_text("{}")

    copy_processor(base, output, RULE)

    loaded = load_processor(output)
    assert loaded.image_processor.size["longest_edge"] == 50_176
    assert loaded.image_processor.size["shortest_edge"] == 784
    assert loaded.tokenizer.get_vocab() == load_processor(base).tokenizer.get_vocab()
    assert (output / "video_preprocessor_config.json").read_text() == "{}"
    assert not (output / "config.json").exists()


def test_the_rule_of_a_published_processor_is_the_default_rule(tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(PUBLISHED))

    assert read_rule(tmp_path, min_pixels=3136, max_pixels=1_003_520) == PixelRule()


def test_a_processor_of_nonsense_is_refused(tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text('{"patch_size": "large"}')

    with pytest.raises(SourceError, match="not an image processor"):
        read_rule(tmp_path, min_pixels=1, max_pixels=2)


def test_a_contract_survives_being_written(tmp_path: Path) -> None:
    contract = make_contract(RULE, "template")

    write_contract(contract, tmp_path)

    assert read_contract(tmp_path) == contract
    assert read_contract(tmp_path / "nothing") is None


def test_every_difference_is_named() -> None:
    here = make_contract(RULE, "template")
    there = make_contract(PixelRule(min_pixels=784, mean=(0.5, 0.5, 0.5)), "other")

    named = [line.split()[0] for line in differences(here, there)]

    assert named == ["max_pixels", "processor_sha256", "template_sha256"]
    with pytest.raises(UsageError, match="the model was trained on other input"):
        check_same(here, there)


def test_fewer_pixels_than_a_token_covers_are_refused(tiny_words: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read_rule(tiny_words, min_pixels=1, max_pixels=783)

    assert str(caught.value) == "max_pixels 783 is below 784: one image token is 28x28 pixels"
    assert read_rule(tiny_words, min_pixels=1, max_pixels=784).max_pixels == 784


def test_a_contract_of_before_has_no_shrinking_and_one_cut_short_is_refused(
    tmp_path: Path,
) -> None:
    contract = make_contract(RULE, "template", TokenLimit(512, shrinks=True))
    write_contract(contract, tmp_path)
    values = json.loads((tmp_path / "pixel_contract.json").read_text())
    assert values.pop("shrink_to_tokens") == 512

    (tmp_path / "pixel_contract.json").write_text(json.dumps(values))
    assert read_contract(tmp_path) == make_contract(RULE, "template")
    del values["max_pixels"]
    (tmp_path / "pixel_contract.json").write_text(json.dumps(values))
    with pytest.raises(SourceError, match=r"pixel_contract\.json: not a pixel contract"):
        read_contract(tmp_path)
