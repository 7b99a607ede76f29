"""The ledger: a line for every refused row, with its own bytes if asked for."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from vlm_datakit.conversation import Origin, Rejected
from vlm_datakit.errors import Reason
from vlm_datakit.sinks.ledger import ledger_line


def rejected(raw: bytes | None, line: int | None = 3) -> Rejected:
    return Rejected(Origin("a.jsonl", 120, line), Reason.FIELD_MISSING, "$.text", "null", raw)


@pytest.mark.parametrize(
    ("line", "place"),
    [
        pytest.param(3, {"line": 3}, id="line known"),
        pytest.param(None, {}, id="line unknown"),
    ],
)
def test_a_line_says_where_why_and_what(line: int | None, place: dict[str, int]) -> None:
    written = ledger_line(rejected(None, line))

    why = {"reason": "field-missing", "where": "$.text", "seen": "null"}
    assert json.loads(written) == {"source": "a.jsonl", "offset": 120, **place, **why}
    assert written.endswith(b"}\n")


@pytest.mark.parametrize(
    ("raw", "key", "value"),
    [
        pytest.param(b'{"a": [1]}', "row", {"a": [1]}, id="an object"),
        pytest.param(b"[1]", "row", [1], id="a list"),
        pytest.param(b'{"a": "b', "row_text", '{"a": "b', id="cut"),
        pytest.param(b'{"a": NaN}', "row_text", '{"a": NaN}', id="NaN"),
        pytest.param(b"\xff\xfe", "row_base64", base64.b64encode(b"\xff\xfe").decode(), id="bytes"),
        pytest.param(b"", "row_text", "", id="nothing"),
    ],
)
def test_a_row_rides_along_whatever_it_is(raw: bytes, key: str, value: Any) -> None:
    written = json.loads(ledger_line(rejected(raw)))

    assert (written[key], [name for name in written if name.startswith("row")]) == (value, [key])


def test_a_row_rides_along_to_the_byte() -> None:
    raw = b'{ "n": 123456789012345678901234567890, "n": 1.50 }'

    assert raw in ledger_line(rejected(raw))
