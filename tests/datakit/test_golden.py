"""Rows as people bring them, and what becomes of each: in a few formats, or refused.

A case is a folder ``tests/golden/<format>/<case>/`` with ``input.jsonl``, one
``expected-<format>.jsonl`` for the format itself (the way there and back) and for each of
`TARGETS`, and ``expected-rejects.jsonl`` (``to`` names the format that cannot hold the row).
The other formats are not written here: each tells its own losses, and the properties hold it
to them. ``--update-golden`` writes the expected files anew: read them before you commit them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from vlm_datakit import formats
from vlm_datakit.checks import check
from vlm_datakit.conversation import Converted, Rejected
from vlm_datakit.images.files import read_image_file
from vlm_datakit.images.resolver import Opener
from vlm_datakit.plan import ImagePolicy, Limits
from vlm_datakit.rendering import render
from vlm_datakit.sinks.jsonl import json_line
from vlm_datakit.sinks.ledger import ledger_line
from vlm_datakit.sources.jsonl import Span, read_rows
from vlm_datakit.walk import Stages, convert_rows

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = sorted(path.parent for path in GOLDEN.glob("*/*/input.jsonl"))
TARGETS = ("openai", "simple", "trl", "preference")  # the ways out of most: all of them is too much
REJECTS = "expected-rejects.jsonl"
TARGETS = ("openai", "simple", "trl", "preference")


def walked(case: Path) -> Iterator[Converted | Rejected]:
    """Walk the rows of a case; they may name picture files in its folder."""

    def read(name: str, max_bytes: int, where: str) -> bytes:
        return read_image_file(name, [case], max_bytes, where)

    parse = formats.get(case.parent.name).parse
    with (case / "input.jsonl").open("rb") as stream:
        rows = read_rows(stream, Span("input.jsonl"))
        yield from convert_rows(rows, Stages(parse, Opener(Limits(), ImagePolicy(), read), check))


def produced(case: Path) -> dict[str, bytes]:
    """Return the expected files of a case by name, as the code makes them now."""
    files: defaultdict[str, bytes] = defaultdict(bytes)
    targets = [formats.FORMATS[name] for name in dict.fromkeys((case.parent.name, *TARGETS))]
    for outcome in walked(case):
        if isinstance(outcome, Rejected):
            files[REJECTS] += ledger_line(outcome)
            continue
        for target in targets:
            rendered = render(outcome, target)
            if isinstance(rendered, Rejected):
                line = {"to": target.name, **orjson.loads(ledger_line(rendered))}
                files[REJECTS] += json_line(line)
            else:
                files[f"expected-{target.name}.jsonl"] += json_line(rendered.row)
    return dict(files)


def standing(case: Path) -> dict[str, bytes]:
    """Return the expected files of a case by name."""
    return {path.name: path.read_bytes() for path in case.glob("expected-*.jsonl")}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}/{case.name}")
def test_rows_become_what_is_expected(case: Path, update_golden: bool) -> None:
    found = produced(case)

    if update_golden:
        for name in standing(case).keys() - found.keys():
            (case / name).unlink()
        for name, data in found.items():
            (case / name).write_bytes(data)

    expected = standing(case)
    assert found.keys() == expected.keys()
    for name, data in found.items():
        assert data.splitlines() == expected[name].splitlines(), name


def test_every_format_has_cases() -> None:
    assert {case.parent.name for case in CASES} == set(formats.FORMATS)
