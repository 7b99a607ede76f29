"""Every example in a docstring runs and prints what it says."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import vlm_datakit


def test_the_examples_of_all_modules_hold() -> None:
    found = pkgutil.walk_packages(vlm_datakit.__path__, "vlm_datakit.")
    modules = [m.name for m in found if not m.name.endswith("__main__")]

    outcomes = {name: doctest.testmod(importlib.import_module(name)) for name in modules}

    assert [name for name, outcome in outcomes.items() if outcome.failed] == []
    assert sum(outcome.attempted for outcome in outcomes.values()) > 15
