"""An example in a docstring is a promise: it runs, and it prints what it says."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = (ROOT / "packages/vlm-datakit/src", ROOT / "packages/vlm-trainer/src")
WITH_EXAMPLES = [
    ".".join(path.relative_to(source).with_suffix("").parts).removesuffix(".__init__")
    for source in SOURCES
    for path in sorted(source.rglob("*.py"))
    if ">>> " in path.read_text()
]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_run(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = doctest.testmod(importlib.import_module(name))

    assert outcome.attempted > 0
    assert outcome.failed == 0, capsys.readouterr().out


def test_there_are_examples_in_both_packages() -> None:
    assert {name.partition(".")[0] for name in WITH_EXAMPLES} == {"vlm_datakit", "vlm_trainer"}
