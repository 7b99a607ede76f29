"""A merged model says what base and adapter said; whatever cannot be merged is left alone."""

from __future__ import annotations

import json
import resource
import shutil
from pathlib import Path
from typing import Any

import pytest

from vlm_trainer.contract import read_contract
from vlm_trainer.errors import OutputError, SourceError, UsageError
from vlm_trainer.merge import MergeConfig, Merged, merge, probe_logits
from vlm_trainer.run import train
from vlm_trainer.settings import read_config
from vlm_trainer.trained import find_trained, load_trained

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory, rows: Any) -> Path:
    """A LoRA on a tiny base that lies in a folder, trained until it says something else."""
    from vlm_trainer.tiny import write_tiny

    folder = tmp_path_factory.mktemp("merge")
    write_tiny(folder / "base")
    rows.write_import(folder / "data", {"train": rows.digit_rows(range(8))})
    given = {
        "model_name_or_path": str(folder / "base"), "data": str(folder / "data"),
        "output_dir": str(folder / "lora"), "max_steps": 8, "learning_rate": 1e-2,
        "lora_scope": "language,vision,merger", "gradient_accumulation_steps": 1, "use_cpu": True,
        "max_length": 400, "on_too_long": "shrink",
    }  # fmt: skip
    train(read_config(None, given), lambda _line: None)
    return folder / "lora"


@pytest.fixture(scope="module")
def merged(adapter: Path) -> Merged:
    return merge(MergeConfig(adapter, adapter.parent / "merged"))


def logits(model: str | None = None, adapter: Path | None = None) -> Any:
    from vlm_trainer.model import quiet_libraries

    with quiet_libraries():
        trained = load_trained(find_trained(model, adapter), (None, None), use_cpu=True)
        return probe_logits(trained.model, trained.chat, trained.rule)


def test_the_merged_model_says_what_base_and_adapter_say(adapter: Path, merged: Merged) -> None:
    base, both = logits(str(adapter.parent / "base")), logits(adapter=adapter)
    alone = logits(merged.output_dir)

    assert float((both - base).abs().max()) > 0.1
    assert float((both - alone).abs().max()) < 1e-5
    assert merged.difference < 1e-5


def test_the_contract_goes_with_the_model(adapter: Path, merged: Merged) -> None:
    contract = read_contract(Path(merged.output_dir))

    assert contract == read_contract(adapter)
    assert contract is not None
    assert contract.shrink_to_tokens == 400


def test_plain_transformers_loads_the_folder(merged: Merged) -> None:
    from transformers import AutoModelForImageTextToText, AutoTokenizer

    model = AutoModelForImageTextToText.from_pretrained(merged.output_dir)
    words = AutoTokenizer.from_pretrained(merged.output_dir)

    assert type(model).__name__ == "Qwen2_5_VLForConditionalGeneration"
    assert words.chat_template


def test_a_quantised_base_is_refused_with_what_to_name(adapter: Path, tmp_path: Path) -> None:
    base = shutil.copytree(adapter.parent / "base", tmp_path / "base")
    config = json.loads((base / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    (base / "config.json").write_text(json.dumps(config))

    with pytest.raises(UsageError, match=r"quantised \(bitsandbytes\).*name the unquantised model"):
        merge(MergeConfig(adapter, tmp_path / "out", str(base)))


def test_another_base_than_the_adapter_fits_leaves_nothing_behind(
    adapter: Path, tmp_path: Path
) -> None:
    from vlm_trainer.tiny import write_tiny

    write_tiny(tmp_path / "text", vision=False)

    with pytest.raises(SourceError, match="have no place there"):
        merge(MergeConfig(adapter, tmp_path / "out", str(tmp_path / "text")))
    assert [path.name for path in tmp_path.iterdir()] == ["text"]


def test_a_folder_that_holds_something_is_refused(adapter: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()

    with pytest.raises(OutputError, match="not empty"):
        merge(MergeConfig(adapter, tmp_path))


def test_a_full_disk_leaves_nothing_behind(adapter: Path, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(OutputError, match=r"new: cannot be written \(.*os error 27"):
            merge(MergeConfig(adapter, tmp_path / "new"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert list(tmp_path.iterdir()) == []


def test_what_is_no_adapter_is_refused(adapter: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no adapter_config.json"):
        merge(MergeConfig(adapter.parent / "base", tmp_path / "out"))
