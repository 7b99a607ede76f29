"""The examples run as their own words say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

pytestmark = pytest.mark.slow


def run(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PATH": PATH}
    return subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, check=False)


def test_the_pipes_example_ends_well_and_shows_its_rows(tmp_path: Path) -> None:
    done = run("bash", str(EXAMPLES / "02_pipes.sh"), cwd=tmp_path)

    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0)
    assert [line.split() for line in lines[:2]] == [
        ["11", "simple.jsonl"],
        ["1", "refused.jsonl"],
    ]
    assert lines[3].startswith('{"id":"sample-0000","text":')


def test_the_digits_are_written_spoiled_and_refused_row_by_row(tmp_path: Path) -> None:
    make = str(EXAMPLES / "01_digits" / "make_digits.py")

    made = run(sys.executable, make, ".", cwd=tmp_path)
    sources = ("train=words-train.jsonl", "test=words-test.jsonl")
    done = run("vlm-datakit", "import", *sources, "-o", "out", "--max-rejects", "12", cwd=tmp_path)

    assert made.returncode == 0
    assert done.returncode == 0
    assert done.stderr.splitlines()[-1] == (
        "out: 1,785 rows written (train 1,425, test 360), 12 refused (see out/rejects), "
        "1,785 pictures, 2.5 MiB"
    )
