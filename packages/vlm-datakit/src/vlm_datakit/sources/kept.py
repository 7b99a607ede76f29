"""A row as bytes for the ledger, where it did not come as JSON."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any


def kept(fields: Mapping[str, Any]) -> bytes:
    """Return fields as JSON; bytes are spelled in base64, and what JSON lacks as its text.

    Example:
        >>> kept({"jpg": b"GIF", "cls": "007"})
        b'{"jpg": "R0lG", "cls": "007"}'
    """
    return json.dumps(fields, default=_spelled).encode()


def _spelled(value: Any) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)
