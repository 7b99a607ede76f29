"""A model is found where it is, or one line says why not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vlm_trainer.base_model import find_base
from vlm_trainer.chat import read_chat
from vlm_trainer.errors import SourceError
from vlm_trainer.model import load_model, quiet_libraries


def test_a_tiny_model_is_built_on_the_spot() -> None:
    base = find_base("tiny", with_weights=False)

    assert (base.name, base.identity, base.reads_pictures) == ("tiny", "tiny", True)
    assert not (base.folder / "model.safetensors").exists()
    assert not find_base("tiny-text", with_weights=False).reads_pictures


def test_another_model_has_another_identity(tiny_folder: Path, tmp_path: Path) -> None:
    from vlm_trainer.tiny import write_tiny

    write_tiny(tmp_path, seed=1)

    assert find_base(str(tmp_path)).identity != find_base(str(tiny_folder)).identity
    assert find_base(str(tiny_folder)).identity == find_base(str(tiny_folder)).identity


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "no config.json; is this a model folder?"),
        ({"config.json": {"model_type": "llava"}}, "model type 'llava' is not trained here"),
        (
            {"adapter_config.json": {"base_model_name_or_path": "owner/base"}},
            "an adapter, not a model; its base is owner/base",
        ),
        ({"config.json": {"model_type": "qwen2_5_vl"}}, "no preprocessor_config.json: sizes and"),
        ({"config.json": ["a"]}, "expected a JSON object, found list"),
    ],
)
def test_a_folder_that_is_no_model_is_refused(
    tmp_path: Path, files: dict[str, object], said: str
) -> None:
    for name, value in files.items():
        (tmp_path / name).write_text(json.dumps(value))

    with pytest.raises(SourceError) as caught:
        find_base(str(tmp_path))

    assert said in str(caught.value)


@pytest.mark.parametrize("name", ["./nothing", "/nothing/here", "nothing", "a/b/c"])
def test_a_missing_folder_is_not_looked_for_on_the_hub(name: str) -> None:
    with pytest.raises(SourceError, match="no such model folder"):
        find_base(name)


def test_a_model_that_is_nowhere_is_one_line() -> None:
    with pytest.raises(SourceError) as caught:
        find_base("owner/absent")

    assert "no such folder here, and the Hub does not give it" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_damaged_weights_are_one_line(tmp_path: Path, tiny_folder: Path) -> None:
    for path in tiny_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"no tensors")

    with quiet_libraries(), pytest.raises(SourceError) as caught:
        load_model(find_base(str(tmp_path)), dtype="float32")

    assert "the weights cannot be loaded" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_weight_that_is_not_there_is_no_random_one(tmp_path: Path, tiny_folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    for path in tiny_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    gone = [name for name in weights if ".layers.1." in name]
    kept = {name: weights[name] for name in weights if name not in gone}
    save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})

    with quiet_libraries(), pytest.raises(SourceError) as caught:
        load_model(find_base(str(tmp_path)), dtype="float32")

    assert gone
    assert f"{len(gone)} weights are missing, as " in str(caught.value)
    assert "layers.1." in str(caught.value)


@pytest.mark.parametrize("missing", ["tokenizer.json", "chat_template.jinja"])
def test_a_model_without_words_is_refused(tmp_path: Path, tiny_words: Path, missing: str) -> None:
    for path in tiny_words.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / missing).unlink()

    with pytest.raises(SourceError, match=r"no (tokenizer\.json|chat template)"):
        read_chat(tmp_path, reads_pictures=True)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{% for", "the chat template is no jinja template"),
        ("{{ raise_exception('no way') }}", "the chat template refuses a conversation (no way)"),
    ],
)
def test_a_template_that_fails_is_one_line(
    tmp_path: Path, tiny_words: Path, template: str, said: str
) -> None:
    for path in tiny_words.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "chat_template.jinja").write_text(template)

    with pytest.raises(SourceError) as caught:
        read_chat(tmp_path, reads_pictures=True).write([{"role": "user", "content": []}])

    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
