"""Schemas: one for each format, sound themselves, and true of what is read and written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from jsonschema import Draft202012Validator

from vlm_datakit import (
    ImportRequest,
    RejectsAllowed,
    RunOptions,
    UsageError,
    import_dataset,
    schema,
)
from vlm_datakit.errors import RowError
from vlm_datakit.formats import FORMATS
from vlm_datakit.schemas import UNSAID, names

GOLDEN = Path(__file__).parents[1] / "golden"


def golden(pattern: str) -> list[dict[str, Any]]:
    """Return the rows of golden files; lines that are none left out."""
    rows = []
    for line in b"".join(path.read_bytes() for path in sorted(GOLDEN.glob(pattern))).splitlines():
        try:
            row = orjson.loads(line)
        except ValueError:
            continue
        rows += [row] if isinstance(row, dict) else []
    return rows


def stands_in_text(row: Any, where: str) -> bool:
    """Whether a path leads into JSON that is spelled as text, which a schema does not read."""
    for key in where.removeprefix("$.").replace("[", ".[").split("."):
        if isinstance(row, str):
            return True
        try:
            row = row[int(key[1:-1])] if key.startswith("[") else row[key]
        except (KeyError, IndexError, TypeError):
            return False
    return False


def test_every_format_has_one() -> None:
    assert set(names()) >= {*FORMATS, "manifest", "reject"}


@pytest.mark.parametrize("name", names())
def test_each_is_sound_says_what_it_is_and_its_own_rows_fit(name: str) -> None:
    found = schema(name)

    Draft202012Validator.check_schema(found)
    assert found["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert all(found[key] for key in ("title", "description"))
    for row in found["examples"]:
        Draft202012Validator(found).validate(row)
    if name in FORMATS:
        assert [FORMATS[name].parse(row).messages for row in found["examples"]]


@pytest.mark.parametrize("name", FORMATS)
def test_a_row_fits_if_it_is_read_and_else_only_for_what_no_schema_says(name: str) -> None:
    validator = Draft202012Validator(schema(name))
    for row in golden(f"{name}/*/input.jsonl"):
        try:
            FORMATS[name].parse(row)
        except RowError as error:
            is_unsaid = error.reason in UNSAID or (name, error.where) == ("swift", "$.objects")
            assert is_unsaid or stands_in_text(row, error.where) or not validator.is_valid(row)
        else:
            validator.validate(row)


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_written_fits(name: str) -> None:
    validator = Draft202012Validator(schema(name))

    for row in golden(f"*/*/expected-{name}.jsonl"):
        validator.validate(row)


def test_the_manifest_and_the_ledger_fit_theirs(
    tmp_path: Path, write_jsonl: Callable[..., Path]
) -> None:
    rows = [{"text": "?", "response": "!"}, {"text": "?"}, b"{"]
    source = write_jsonl(tmp_path / "a.jsonl", rows)

    allowed = RunOptions(rejects_allowed=RejectsAllowed(2))
    import_dataset(ImportRequest((str(source),), "simple"), tmp_path / "out", allowed)

    manifest = orjson.loads((tmp_path / "out/manifest.json").read_bytes())
    Draft202012Validator(schema("manifest")).validate(manifest)
    ledgers = [tmp_path / "out" / file["file"] for file in manifest["rejects"]["files"]]
    lines = [line for ledger in ledgers for line in ledger.read_bytes().splitlines()]
    assert len(lines) == 2
    for line in [*map(orjson.loads, lines), *golden("*/*/expected-rejects.jsonl")]:
        Draft202012Validator(schema("reject")).validate(line)


def test_a_name_that_is_none_is_told_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"^no schema of 'opena': .*; did you mean openai\?$"):
        schema("opena")
