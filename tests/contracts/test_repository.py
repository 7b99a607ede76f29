"""What is in the repository is meant for everybody, small, and says what is so."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAX_KIB = 512
# Spelled in pieces, so that this file passes its own test.
FORBIDDEN = {
    "a path of one machine": r"(?<![\w.-])/(?:root|work)/",
    "a home folder": r"(?<![\w.-])/(?:home|Users)/(?!you\b|user\b)\w",
    "a package registry's address": r"(?:pypi\.org|python" + r"hosted\.org|registry\.npm" + r"js)",
    "an index of wheels": r"download\.py" + r"torch\.org",
    "a to-do without an issue": r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b(?!\(#\d+\))",
    "a merge conflict": r"^(?:<" + r"{7} |>{7} )",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE " + r"KEY",
    "a token": r"\b(?:hf_[A-Za-z]{30,}|gh[pousr]_\w{30,})",
}
# The one index that is no registry of ours: CPU builds of torch.
ALLOWED = {("noxfile.py", "an index of wheels")}
NOT_OURS = {".git", ".hypothesis", ".mypy_cache", ".nox", ".pytest_cache", ".ruff_cache", ".venv"}


@functools.cache
def files() -> list[Path]:
    """Return the tracked files and new ones not ignored; without git, all but the caches."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        places = (path.relative_to(ROOT) for path in ROOT.rglob("*"))
        found = [place for place in places if not NOT_OURS & set(place.parts)]
        return [
            place
            for place in found
            if "__pycache__" not in place.parts and (ROOT / place).is_file()
        ]
    found = [Path(name.decode()) for name in names.split(b"\0") if name]
    return [place for place in found if (ROOT / place).is_file()]


def text(place: Path) -> str:
    """Return a file's text, or nothing if it is no text."""
    content = (ROOT / place).read_bytes()
    return "" if b"\0" in content else content.decode(errors="replace")


def sessions() -> set[str]:
    """Return the names of the sessions in the noxfile."""
    tree = ast.parse((ROOT / "noxfile.py").read_text())
    return {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        and [ast.unparse(decorator) for decorator in node.decorator_list] == ["nox.session"]
    }


@pytest.mark.parametrize("kind", FORBIDDEN)
def test_no_file_holds(kind: str) -> None:
    pattern = re.compile(FORBIDDEN[kind], re.MULTILINE)

    found = [
        f"{place}: {match[0]}"
        for place in files()
        if (place.as_posix(), kind) not in ALLOWED
        for match in pattern.finditer(text(place))
    ]

    assert found == [], "\n".join(found)


def test_no_file_is_large() -> None:
    sizes_kib = {place: (ROOT / place).stat().st_size / 1024 for place in files()}

    assert {place: size for place, size in sizes_kib.items() if size > MAX_KIB} == {}


def test_every_session_in_the_documents_exists() -> None:
    command = re.compile(r"(?:noxfile\.py|\bnox) -s ((?:[a-z]+ ?)+)")
    documents = [place for place in files() if place.suffix == ".md" or place.parts[0] == ".ci"]

    named = {
        name
        for place in documents
        for match in command.finditer(text(place))
        for name in match[1].split()
    }

    assert {"demo", "tests"} <= named
    assert named - sessions() == set()


def test_every_link_between_documents_leads_somewhere() -> None:
    link = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")
    documents = [place for place in files() if place.suffix == ".md"]

    broken = [
        f"{place}: {match[1]}"
        for place in documents
        for match in link.finditer(text(place))
        if not (ROOT / place.parent / match[1]).exists()
    ]

    assert broken == [], "\n".join(broken)


def test_every_runnable_example_is_run_by_a_test_or_a_session() -> None:
    """By its file name, or, from another example, by an import."""
    examples = [p for p in files() if p.parts[0] == "examples" and p.suffix in {".py", ".sh"}]
    runners = [p for p in files() if p.parts[0] == "tests" and p.suffix == ".py"]
    commands = "\n".join(text(place) for place in [Path("noxfile.py"), *runners])
    imports = "\n".join(text(place) for place in examples)

    idle = [
        str(place)
        for place in examples
        if place.name not in commands
        and not re.search(rf"^\s*(?:from|import) {place.stem}\b", imports, re.MULTILINE)
    ]

    assert examples != []
    assert idle == [], "\n".join(idle)


def test_the_constraints_are_exact_and_agree_with_the_noxfile() -> None:
    pins = (ROOT / "constraints" / "dev.txt").read_text().splitlines()

    assert [pin for pin in pins if not re.fullmatch(r"[\w.-]+==[\w.!]+", pin)] == []
    assert "torch==2.13.0" in pins
    assert 'TORCH = "torch==2.13.0"' in (ROOT / "noxfile.py").read_text()
