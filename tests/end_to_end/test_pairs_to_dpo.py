"""Pairs that vlm-datakit imports are pairs that vlm-trainer trains, without a word said."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

from PIL import Image


def picture(shade: int) -> str:
    file = io.BytesIO()
    Image.new("RGB", (56, 84), (shade, shade, shade)).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def test_imported_pairs_are_planned_as_dpo(tmp_path: Path) -> None:
    from vlm_datakit import ImportRequest, import_dataset
    from vlm_trainer.launch import Processes
    from vlm_trainer.plan import plan_lines
    from vlm_trainer.run import prepare
    from vlm_trainer.settings import read_config

    rows = [
        {
            "id": f"pair-{n}",
            "prompt": [
                {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "?"}]}
            ],
            "chosen": [{"role": "assistant", "content": "light" * (n + 1)}],
            "rejected": [{"role": "assistant", "content": "dark"}],
            "images": [picture(40 * n)],
        }
        for n in range(4)
    ]
    source = tmp_path / "pairs.jsonl"
    source.write_text("\n".join(map(json.dumps, rows)))
    import_dataset(ImportRequest((str(source),)), tmp_path / "out")

    config = read_config(None, {"model_name_or_path": "tiny", "data": str(tmp_path / "out")})
    prepared = prepare(config, Processes())

    said = plan_lines(prepared.plan, prepared.lengths, prepared.config, prepared.how.rule)
    assert (prepared.plan.rows, prepared.plan.images, prepared.plan.refused) == (4, 4, {})
    assert "method  dpo, as the shards hold preference pairs: loss sigmoid, beta 0.1" in said
