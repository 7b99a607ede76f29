"""The whole road: a set found on the Hub, looked at, imported, and trained on by its name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vlm_datakit import open_shards

ANSWERS = [f'{{"plate": "{n:03}-CD", "bay": {n}, "fee": "{n}.50"}}' for n in range(12)]
NAME = "owner/form_extraction"

pytestmark = pytest.mark.slow


def as_image_url(uri: str, answer: str) -> dict[str, Any]:
    """Return a row as OpenAI spells it, the keys of other parts null as Arrow leaves them."""
    question = {"type": "text", "text": "List the fields.", "image_url": None}
    picture = {"type": "image_url", "text": None, "image_url": {"url": uri, "detail": "high"}}
    said = {"type": "text", "text": answer, "image_url": None}
    return {
        "messages": [
            {"role": "user", "content": [question, picture]},
            {"role": "assistant", "content": [said]},
        ]
    }


def as_image(uri: str, answer: str) -> dict[str, Any]:
    """Return a row of typed images, with a system message."""
    told = {"type": "text", "text": "Read the form and answer in JSON.", "image": None}
    picture = {"type": "image", "text": None, "image": uri}
    question = {"type": "text", "text": "List the fields.", "image": None}
    said = {"type": "text", "text": answer, "image": None}
    return {
        "messages": [
            {"role": "system", "content": [told]},
            {"role": "user", "content": [picture, question]},
            {"role": "assistant", "content": [said]},
        ]
    }


@pytest.fixture(params=[as_image_url, as_image], ids=["image_url", "image"])
def published(request: pytest.FixtureRequest, hub: Any, data_uri: Any, png_bytes: Any) -> Any:
    """Publish a set without a card: two splits, and a copy without an extension."""
    uri = data_uri(png_bytes(64, 48, color=(200, 180, 20)))
    rows = [json.dumps(request.param(uri, answer)) + "\n" for answer in ANSWERS]
    files = {"train.jsonl": "".join(rows[:8]), "validation.jsonl": "".join(rows[8:])}
    contents = {name: text.encode() for name, text in files.items()}
    return hub.add(NAME, {**contents, "train_raw": contents["train.jsonl"]})


def accelerate(cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("accelerate")), "launch", "--cpu"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*command, "--num_processes", "1", "-m", "vlm_trainer", *words],
        cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


def test_a_set_is_found_looked_at_imported_and_trained_on(
    hub_cli: Callable[..., Any], published: Any, tmp_path: Path
) -> None:
    found = hub_cli("search", "form extraction", "--json")
    shown = hub_cli("preview", NAME, "-n", "1", "--json")
    imported = hub_cli("import", NAME, "--split", "train", "--split", "validation")

    assert NAME in found.out.decode()
    assert json.loads(shown.out)["rows"][0]["turns"][-1]["text"] == ANSWERS[0]
    assert imported.code == 0, imported.err
    data = tmp_path / "form_extraction"
    said = [
        row.messages[-1].content[0].text
        for split in ("train", "validation")
        for row in open_shards(data, split)
    ]
    assert said == ANSWERS

    trained = accelerate(
        tmp_path, "--model-name-or-path", "tiny", "--data", str(data), "--eval-split", "validation",
        "--output-dir", "adapter", "--max-steps", "2", "--use-cpu", "--eval-steps", "1",
        "--gradient-accumulation-steps", "4",
    )  # fmt: skip

    assert trained.returncode == 0, trained.stderr
    metrics = (tmp_path / "adapter" / "metrics.jsonl").read_text().splitlines()
    assert any("eval_loss" in json.loads(line) for line in metrics)
    assert (tmp_path / "adapter" / "adapter_model.safetensors").is_file()
