"""Files and functions stay small, and modules have names that say something."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = {
    "vlm_datakit": ROOT / "packages/vlm-datakit/src/vlm_datakit",
    "vlm_trainer": ROOT / "packages/vlm-trainer/src/vlm_trainer",
}
MAX_MODULE_LINES = 350
MAX_FUNCTION_LINES = 50
MAX_PARAMETERS = 6
# These say nothing of what is inside, and so take in everything.
EMPTY_NAMES = {"base", "common", "core", "helpers", "manager", "managers", "misc", "util", "utils"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(source: str) -> Iterator[Function]:
    """Yield every function and method, nested ones too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, Function):
            yield node


def parameter_count(function: Function) -> int:
    """Count what a caller can pass; self and cls are not passed."""
    a = function.args
    names = [p.arg for p in (*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg) if p]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def over_budget(source: str) -> list[str]:
    """Return what is too large in a module's source, in words."""
    lines = source.count("\n")
    found = [f"{lines} lines"] if lines > MAX_MODULE_LINES else []
    for function in functions(source):
        length = (function.end_lineno or 0) - function.lineno + 1
        count = parameter_count(function)
        if length > MAX_FUNCTION_LINES:
            found.append(f"{function.name}: {length} lines")
        if count > MAX_PARAMETERS:
            found.append(f"{function.name}: {count} parameters")
    return found


@pytest.mark.parametrize("package", SOURCES)
def test_no_module_or_function_outgrows_its_budget(package: str) -> None:
    paths = sorted(SOURCES[package].rglob("*.py"))

    found = [
        f"{path.relative_to(ROOT)}: {fact}"
        for path in paths
        for fact in over_budget(path.read_text())
    ]

    assert paths != []
    assert found == [], "\n".join(found)


@pytest.mark.parametrize("package", SOURCES)
def test_no_module_or_folder_has_an_empty_or_a_taken_name(package: str) -> None:
    taken = EMPTY_NAMES | (sys.stdlib_module_names - {"__main__"})
    places = [path for path in SOURCES[package].rglob("*") if path.is_dir() or path.suffix == ".py"]

    found = [str(path.relative_to(ROOT)) for path in places if path.stem in taken]

    assert found == [], "\n".join(found)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        pytest.param("\n" * 350, [], id="350 lines"),
        pytest.param("\n" * 351, ["351 lines"], id="351 lines"),
        pytest.param("def f():\n" + "    1\n" * 49, [], id="a function of 50 lines"),
        pytest.param("def f():\n" + "    1\n" * 50, ["f: 51 lines"], id="a function of 51 lines"),
        pytest.param("def f(self, a, b, /, c, *, d, e, f): 1", [], id="6 parameters and self"),
        pytest.param("async def f(a, b, c, d, e, *f, g): 1", ["f: 7 parameters"], id="7"),
    ],
)
def test_the_budget_is_exact(source: str, found: list[str]) -> None:
    assert over_budget(source) == found
