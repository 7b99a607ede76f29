"""The ledger: one JSON line for every refused row, so that no row is lost without a word."""

from __future__ import annotations

import base64
from typing import Any

import orjson

from vlm_datakit.conversation import Rejected


def ledger_line(rejected: Rejected) -> bytes:
    """Return one line of the ledger: origin, reason, JSON path, what was seen.

    The original row rides along as ``row`` when it was kept and is JSON, else as
    ``row_text``, or ``row_base64`` if it is not even text.

    Example:
        >>> from vlm_datakit.conversation import Origin
        >>> from vlm_datakit.errors import Reason
        >>> origin = Origin("a.jsonl", 0, 1)
        >>> ledger_line(Rejected(origin, Reason.FIELD_MISSING, "$.text", "null"))[:40]
        b'{"source":"a.jsonl","offset":0,"line":1,'
    """
    origin = rejected.origin
    line: dict[str, Any] = {"source": origin.source, "offset": origin.offset}
    if origin.line is not None:
        line["line"] = origin.line
    line |= {"reason": rejected.reason, "where": rejected.where, "seen": rejected.seen}
    if rejected.raw is not None:
        line |= _raw(rejected.raw)
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def _raw(raw: bytes) -> dict[str, Any]:
    try:
        orjson.loads(raw)
        return {"row": orjson.Fragment(raw)}
    except ValueError:
        pass
    try:
        return {"row_text": raw.decode()}
    except UnicodeDecodeError:
        return {"row_base64": base64.b64encode(raw).decode()}


def reject_line(rejected: Rejected) -> str:
    """Return a refusal as one line for a person."""
    return f"{rejected.origin} {rejected.where} {rejected.reason}: {rejected.seen}"
