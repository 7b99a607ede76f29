"""The public surface is what `__init__` lists; changing it means changing a file here."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PINNED = tomllib.loads(Path(__file__).with_name("public_names.toml").read_text())


@pytest.mark.parametrize("package", PINNED)
def test_the_public_names_are_the_pinned_ones(package: str) -> None:
    names = importlib.import_module(package).__all__

    assert sorted(names) == sorted(PINNED[package])


@pytest.mark.parametrize("package", PINNED)
def test_every_public_name_can_be_had_and_is_listed_by_dir(package: str) -> None:
    module = importlib.import_module(package)

    assert [name for name in module.__all__ if not hasattr(module, name)] == []
    assert set(module.__all__) - set(dir(module)) == set()


@pytest.mark.parametrize("package", PINNED)
def test_an_unknown_name_is_an_attribute_error(package: str) -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        importlib.import_module(package).no_such_name  # noqa: B018


@pytest.mark.parametrize("package", PINNED)
def test_no_module_shares_a_name_with_a_public_name(package: str) -> None:
    """A lazy `__init__` would give the function first, and the module once it is loaded."""
    module = importlib.import_module(package)
    modules = {found.name for found in pkgutil.iter_modules(module.__path__)}

    assert modules & set(module.__all__) == set()


@pytest.mark.parametrize("package", PINNED)
def test_star_import_works_in_a_new_process(package: str) -> None:
    code = f"from {package} import *"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)

    assert (done.returncode, done.stderr) == (0, b"")
