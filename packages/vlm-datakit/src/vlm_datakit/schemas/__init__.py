"""JSON Schemas (draft 2020-12) of row formats, of lines of the ledger and of the manifest.

Kept beside the code and held to it by tests, not made from it: a schema is a promise to
other programs. What it cannot say (`UNSAID`) only a parser can.
"""

from __future__ import annotations

from difflib import get_close_matches
from importlib.resources import files
from typing import Any

import orjson

from vlm_datakit.errors import Reason, UsageError

_SUFFIX = ".schema.json"
#: Why a row that fits its schema may still be refused when it is parsed: counts, what two
#: fields say of each other, numbers beyond 64 bits, and JSON in texts. That a picture opens
#: and that somebody answers is found out later than that.
UNSAID = frozenset(
    {Reason.IMAGE_COUNT_DIFFERS, Reason.ROLES_OUT_OF_ORDER, Reason.ANSWER_MISSING}
    | {Reason.PAIR_EQUAL, Reason.PROMPT_DIFFERS, Reason.ANSWERS_DIFFER}
    | {Reason.NUMBER_NOT_EXACT, Reason.FIELD_NOT_JSON}
)


def names() -> list[str]:
    """Return what there are schemas of.

    Example:
        >>> "openai" in names(), "manifest" in names()
        (True, True)
    """
    found = (entry.name for entry in files(__package__).iterdir())
    return sorted(name.removesuffix(_SUFFIX) for name in found if name.endswith(_SUFFIX))


def schema_text(name: str) -> str:
    """Return a schema as JSON text.

    Raises:
        UsageError: if there is none; the message lists the names and the nearest.
    """
    known = names()
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UsageError(f"no schema of {name!r}: known are {', '.join(known)}{hint}")
    return files(__package__).joinpath(name + _SUFFIX).read_text(encoding="utf-8")


def schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema of a row format, of a ``reject`` line or of the ``manifest``.

    Raises:
        UsageError: if there is none.

    Example:
        >>> schema("simple")["required"]
        ['text']
    """
    found: dict[str, Any] = orjson.loads(schema_text(name))
    return found
