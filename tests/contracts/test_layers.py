"""Imports point inwards only; the table is layers.toml beside this file."""

from __future__ import annotations

import ast
import fnmatch
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

TABLE = tomllib.loads(Path(__file__).with_name("layers.toml").read_text())
SOURCES = {
    "vlm_datakit": Path("packages/vlm-datakit/src/vlm_datakit"),
    "vlm_trainer": Path("packages/vlm-trainer/src/vlm_trainer"),
}
ROOT = Path(__file__).parents[2]


def modules(package: str) -> dict[str, Path]:
    """Return every module of a package by its place: ``formats/openai``."""
    root = ROOT / SOURCES[package]
    return {path.relative_to(root).with_suffix("").as_posix(): path for path in root.rglob("*.py")}


def layer(package: str, module: str) -> float | None:
    """Return a module's number: that of the longest pattern in the table that fits."""
    patterns = [pattern for pattern in TABLE[package] if fnmatch.fnmatchcase(module, pattern)]
    return TABLE[package][max(patterns, key=len)] if patterns else None


def imported_names(package: str, module: str, path: Path) -> Iterator[str]:
    """Yield the dotted name of all that a module imports, wherever in the file it does."""
    folder = [package, *module.split("/")[:-1]]
    for node in ast.walk(ast.parse(path.read_text(), filename=path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = folder[: len(folder) - node.level + 1] if node.level else []
            origin = [*start, *([node.module] if node.module else [])]
            yield from (".".join([*origin, alias.name]) for alias in node.names)


def imported_modules(package: str, module: str, path: Path) -> set[str]:
    """Return the modules of its own package that a module imports."""
    known = modules(package)
    found = set()
    for name in imported_names(package, module, path):
        head, *rest = name.split(".")
        if head != package:
            continue
        # "a.b.c" is module a/b/c, package a/b/c, or the name c in one of the outer two.
        depths = range(len(rest), -1, -1)
        places = [place for n in depths for place in candidates(rest[:n]) if place in known]
        found.update(places[:1])
    return found - {module}


def candidates(parts: list[str]) -> list[str]:
    """Return where a dotted name may lie: the package of that name, else the module."""
    return ["/".join([*parts, "__init__"]), *(["/".join(parts)] if parts else [])]


def may_import(package: str, module: str, other: str) -> bool:
    """Say whether the table lets one module import another."""
    here, there = layer(package, module), layer(package, other)
    if here is None or there is None:
        return True  # the test of the table reports these
    folder, slash, _ = module.partition("/")
    is_beside = slash != "" and other.startswith(f"{folder}/")
    return there < here or (there == here and is_beside)


@pytest.mark.parametrize("package", SOURCES)
def test_every_module_has_a_layer(package: str) -> None:
    unknown = [module for module in modules(package) if layer(package, module) is None]

    assert unknown == [], f"add to layers.toml: {sorted(unknown)}"
    assert "__init__" in modules(package)


@pytest.mark.parametrize("package", SOURCES)
def test_no_module_imports_sideways_or_outward(package: str) -> None:
    wrong = [
        f"{module} ({layer(package, module)}) -> {other} ({layer(package, other)})"
        for module, path in modules(package).items()
        for other in imported_modules(package, module, path)
        if not may_import(package, module, other)
    ]

    assert wrong == [], "\n".join(sorted(wrong))


@pytest.mark.parametrize(
    ("package", "stranger"),
    [("vlm_datakit", "vlm_trainer"), ("vlm_trainer", "vlm_datakit")],
)
def test_no_line_imports_the_other_package(package: str, stranger: str) -> None:
    wrong = [
        f"{module} -> {name}"
        for module, path in modules(package).items()
        for name in imported_names(package, module, path)
        if name.split(".")[0] == stranger
    ]

    assert wrong == [], "\n".join(wrong)


@pytest.mark.parametrize(
    ("package", "stranger"),
    [("vlm_datakit", "vlm_trainer"), ("vlm_trainer", "vlm_datakit")],
)
def test_the_command_line_loads_nothing_of_the_other_package(package: str, stranger: str) -> None:
    code = f"import sys, {package}.cli; print('{stranger}' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)

    assert (done.stdout, done.stderr) == (b"False\n", b"")


def test_the_rule_allows_inward_and_beside_and_nothing_else() -> None:
    assert may_import("vlm_datakit", "walk", "errors")
    assert may_import("vlm_datakit", "formats/openai", "formats/format")
    assert may_import("vlm_datakit", "conversation", "errors")
    assert not may_import("vlm_datakit", "errors", "conversation")
    assert not may_import("vlm_datakit", "walk", "checks")
    assert not may_import("vlm_datakit", "images/header", "images/files")
    assert not may_import("vlm_datakit", "sinks/jsonl", "sources/jsonl")
    assert not may_import("vlm_datakit", "walk", "__init__")


@pytest.mark.parametrize(
    ("line", "names"),
    [
        pytest.param("import vlm_datakit.walk", ["vlm_datakit.walk"], id="absolute"),
        pytest.param("from ..errors import A, B", ["vlm_datakit.errors.A", "vlm_datakit.errors.B"]),
        pytest.param("from . import format", ["vlm_datakit.formats.format"], id="beside"),
        pytest.param("def f():\n    import numpy", ["numpy"], id="in a function"),
    ],
)
def test_imports_are_seen_in_every_spelling(tmp_path: Path, line: str, names: list[str]) -> None:
    path = tmp_path / "openai.py"
    path.write_text(line)

    assert list(imported_names("vlm_datakit", "formats/openai", path)) == names
