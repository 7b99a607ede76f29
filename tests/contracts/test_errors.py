"""Errors are part of the interface: they travel between processes, and shells read their codes."""

from __future__ import annotations

import enum
import functools
import importlib
import inspect
import itertools
import pickle
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("vlm_datakit", "vlm_trainer")
# docs/errors.md: 1 our bug, 2 usage, 3 source, 4 remote, 5 output, 6 rejects, 130 and 143 signals.
DOCUMENTED_CODES = {1, 2, 3, 4, 5, 6, 130, 143}
DATAKIT_CODES = {
    "OutputError": 5,
    "RemoteError": 4,
    "SourceError": 3,
    "TooManyRejects": 6,
    "UsageError": 2,
}


def defined_in(package: str, kind: type) -> list[type]:
    """Return the classes of a kind that a package's errors module defines."""
    module = importlib.import_module(f"{package}.errors")
    classes = inspect.getmembers(module, inspect.isclass)
    return [c for _, c in classes if c.__module__ == module.__name__ and issubclass(c, kind)]


def all_defined(kind: type) -> list[type]:
    return [found for package in PACKAGES for found in defined_in(package, kind)]


@functools.cache
def texts_of_tests(package: str) -> str:
    """Return all test and golden files but the contracts and those of the other package."""
    others = {"contracts", "datakit" if package == "vlm_trainer" else "trainer"}
    places = [p for p in (ROOT / "tests").rglob("*") if p.suffix in {".json", ".jsonl", ".py"}]
    ours = [p for p in places if p.relative_to(ROOT / "tests").parts[0] not in others]
    return "\n".join(place.read_text() for place in ours)


def place(thing: object) -> str:
    """Return ``vlm_datakit.errors.Reason.JSON_INVALID`` or the like, to name a case."""
    owner = thing if isinstance(thing, type) else type(thing)
    return f"{owner.__module__}.{owner.__name__}.{getattr(thing, 'name', '')}".rstrip(".")


def some_value(annotation: object) -> object:
    """Return a value of an annotated type, never the type's zero."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if isinstance(annotation, types.UnionType):
        return some_value(arguments[0])
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return next(iter(annotation))
    if origin in (dict, Mapping):
        return {some_value(arguments[0]): some_value(arguments[1])}
    if origin in (list, tuple, Iterable, Sequence):
        return (some_value(arguments[0]),)
    return {int: 7, float: 0.5, bool: True, Path: Path("a/b")}.get(annotation, "words")


def made(error: type[Exception]) -> Exception:
    """Make an error with a value for every parameter of its own ``__init__``."""
    if error.__init__ is Exception.__init__:
        return error("words")
    hints = typing.get_type_hints(error.__init__)
    parameters = list(inspect.signature(error.__init__).parameters.values())[1:]
    by_name = {p.name: some_value(hints[p.name]) for p in parameters if p.kind is p.KEYWORD_ONLY}
    in_order = [some_value(hints[p.name]) for p in parameters if p.name not in by_name]
    return error(*in_order, **by_name)


def test_both_packages_define_errors() -> None:
    assert [bool(defined_in(package, Exception)) for package in PACKAGES] == [True, True]


@pytest.mark.parametrize("error", all_defined(Exception), ids=place)
def test_an_error_travels_between_processes_unchanged(error: type[Exception]) -> None:
    before = made(error)

    after = pickle.loads(pickle.dumps(before))

    assert type(after) is error
    assert (after.args, vars(after), str(after)) == (before.args, vars(before), str(before))


@pytest.mark.parametrize("error", all_defined(Exception), ids=place)
def test_an_error_says_what_it_means_and_how_to_exit(error: type[Exception]) -> None:
    assert error.__doc__  # a class does not inherit it
    assert error.exit_code in DOCUMENTED_CODES


@pytest.mark.parametrize("package", PACKAGES)
def test_errors_have_one_root(package: str) -> None:
    errors = defined_in(package, Exception)

    roots = [error.__name__ for error in errors if error.__base__ not in errors]

    assert len(roots) == 1, roots


def test_exit_codes_are_the_documented_ones() -> None:
    codes = {error.__name__: error.exit_code for error in defined_in("vlm_datakit", Exception)}

    assert {name: codes.get(name) for name in DATAKIT_CODES} == DATAKIT_CODES


@pytest.mark.parametrize("reason", list(itertools.chain(*all_defined(enum.StrEnum))), ids=place)
def test_a_reason_is_documented_and_triggered(reason: enum.StrEnum) -> None:
    package = type(reason).__module__.partition(".")[0]
    spellings = (f"{type(reason).__name__}.{reason.name}", f'"{reason.value}"')

    assert f"`{reason.value}`" in (ROOT / "docs" / "errors.md").read_text()
    assert [word for word in spellings if word in texts_of_tests(package)] != []
