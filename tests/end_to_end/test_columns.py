"""Rows of texts go by columns, in blocks of a MiB: what is written is what each row alone makes."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ENV = {"PYTHONPATH": str(HERE)}  # where one_by_one.py is
FIELDS = {
    "simple": ("text", "response"),
    "trl": ("prompt", "completion"),
    "preference": ("prompt", "chosen", "rejected"),
}
OF_THE_FORMAT = ("plan", "plan_id", "source")
WORDS = ["stone", "água", "水", "\u2028", "lamp ", "🙂", '"', "\\", "\n", "{", "}"]


def rows(name: str, count: int) -> Iterator[bytes]:
    """Yield lines of about a kB: mostly of texts, here and there of another thing."""
    draw = random.Random(name)
    for number in range(count):
        row = {field: " ".join(draw.choices(WORDS, k=120)) for field in FIELDS[name]}
        if number > count // 2:
            row["id"] = number if number > count * 3 // 4 else f"row {number}"  # type: ignore[assignment]
        first, last = FIELDS[name][0], FIELDS[name][-1]
        if number % 397 == 5:
            row |= draw.choice([{first: " "}, {last: "<|im_end|>"}, {last: row[FIELDS[name][-2]]}])
        if number % 1499 == 7:
            row |= draw.choice([{"score": 1}, {first: None}])  # type: ignore[dict-item]
        line = json.dumps(row, ensure_ascii=number % 2 == 0).encode() + b"\n"
        yield b'{"text": "cut\n' if number % 2100 == 11 else line


@pytest.fixture
def sources(tmp_path: Path, request: pytest.FixtureRequest) -> tuple[str, str]:
    first, second = (b"".join(rows(request.param, count)) for count in (3_400, 900))
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + first)
    (tmp_path / "b.jsonl").write_bytes(second.replace(b"\n", b"\r\n")[:-2])
    assert len(first) > 3 << 20
    return "a.jsonl", "b.jsonl"


@pytest.mark.parametrize("sources", FIELDS, indirect=True)
def test_what_is_written_is_the_same(run_cli, tree, tmp_path, sources, request):
    name = request.node.callspec.params["sources"]
    piped = (tmp_path / "a.jsonl").read_bytes()

    def made(form: str, out: str, *given: str, **more: bytes) -> object:
        folder = tmp_path / form / out
        folder.parent.mkdir(exist_ok=True)
        options = ["--from", form, "--max-rejects", "90%", "--rejects-raw", "-q", "-o", folder]
        done = run_cli(["import", *given, *options], env=ENV, **more)
        assert done.code == 0, done.err
        files = {path: data for path, data in tree(folder).items() if "/" in path}
        assert any("rejects" in path for path in files)
        return files, facts(folder)

    other = f"one_by_one:{name.upper()}"
    two = (*sources, "--workers", "2")
    assert made(name, "two", *two) == made(other, "two", *two)
    assert made(name, "pipe", "-", input=piped) == made(other, "pipe", "-", input=piped)


def facts(folder: Path) -> dict[str, object]:
    """Return the manifest of a set, without what says which format was asked for."""
    manifest = json.loads((folder / "manifest.json").read_text())
    return {key: value for key, value in manifest.items() if key not in OF_THE_FORMAT}
