"""``--with-datasets``: what the package ``datasets`` reads and no reader of ours does."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from vlm_datakit import open_shards


@pytest.fixture
def online_cli(hub_cli: Callable[..., Any]) -> Callable[..., Any]:
    """Run ``vlm-datakit`` in an environment in which ``datasets`` asks the Hub, too."""
    return partial(hub_cli, env={"HF_DATASETS_OFFLINE": "0"})


def texts(folder: Path, split: str = "train") -> list[str]:
    return [row.messages[-1].content[0].text for row in open_shards(folder, split)]


def test_a_folder_of_text_is_imported_by_it_and_the_error_without_it_names_it(
    cli: Any, tmp_path: Path
) -> None:
    (tmp_path / "odd/data").mkdir(parents=True)
    (tmp_path / "odd/data/train.txt").write_text("one\ntwo\n007\n")
    (tmp_path / "odd/data/test.txt").write_text("four\n")
    command = ["import", "odd", "--map", 'prompt="Say."', "--map", "response=text", "-o", "out"]

    without = cli(command)
    done = cli([*command, "--with-datasets", "--split", "all"])

    assert (without.code, done.code) == (3, 0), done.err
    assert b"--with-datasets reads what the package `datasets` can" in without.err
    assert texts(tmp_path / "out") == ["one", "two", "007"]
    assert texts(tmp_path / "out", "test") == ["four"]


def test_a_set_on_the_hub_is_read_at_its_commit_with_its_pictures(
    hub: Any, online_cli: Any, png_bytes: Any, tmp_path: Path
) -> None:
    pictures = {
        f"train/{label}/{n}.png": png_bytes(5 + n, 5) for label in ("cat", "dog") for n in range(3)
    }
    hub.add("owner/animals", {**pictures, "animals_of_old.md": b"old"})
    command = ["--with-datasets", "--from", "classification"]

    without = online_cli("import", "owner/animals")
    done = online_cli("import", "owner/animals", *command)
    lines = online_cli("convert", "owner/animals", *command, "--to", "simple", "--limit", "4")

    assert without.code == 3
    assert b"--with-datasets reads what" in without.err
    assert done.code == 0, done.err
    assert texts(tmp_path / "animals") == ["cat"] * 3 + ["dog"] * 3
    widths = [row.images[0].width_px for row in open_shards(tmp_path / "animals", "train")]
    assert widths == [5, 6, 7] * 2
    assert len(lines.out.splitlines()) == 4, lines.err
    (file,) = json.loads((tmp_path / "animals/manifest.json").read_text())["source"]["files"]
    assert re.fullmatch(r"hf://datasets/owner/animals@[0-9a-f]{40}", file["address"])


def test_what_it_cannot_read_is_said_in_a_line(hub: Any, online_cli: Any, tmp_path: Path) -> None:
    hub.add("owner/scripted", {"scripted.py": b"raise SystemExit('run')"})
    hub.add("owner/lines", {"train.jsonl": b'{"text": "a", "response": "b"}\n'})
    (tmp_path / "rows.xml").write_text("<a/>")

    script = online_cli("import", "owner/scripted", "--with-datasets")
    file = online_cli("import", "owner/lines::train.jsonl", "--with-datasets")
    missing = online_cli("import", "owner/none", "--with-datasets")
    here = online_cli("import", "rows.xml", "--with-datasets")

    assert [each.code for each in (script, file, missing, here)] == [3, 2, 3, 2]
    assert b"datasets cannot read it: Dataset scripts are no longer supported" in script.err
    assert b"Traceback" not in script.err
    assert b"reads whole data sets, no single file" in file.err
    assert b"a data set on the Hub, or a folder here" in here.err


def test_without_the_package_the_flag_says_how_to_get_it(run_cli: Any, tmp_path: Path) -> None:
    (tmp_path / "datasets.py").write_text("raise ImportError")
    (tmp_path / "odd").mkdir()

    done = run_cli(["import", "odd", "--with-datasets"])

    assert done.code == 2
    assert b"pip install datasets" in done.err
