"""The row formats, in a table. Adding one is a file, a line here and a golden folder."""

from __future__ import annotations

import importlib
from difflib import get_close_matches

from vlm_datakit.errors import UsageError
from vlm_datakit.formats import openai, preference, simple, trl
from vlm_datakit.formats.format import Format

FORMATS = {
    format_.name: format_
    for format_ in (openai.FORMAT, simple.FORMAT, trl.FORMAT, preference.FORMAT)
}


def get(name: str) -> Format:
    """Return a format by its name, or by ``pkg.module:NAME`` for one of your own.

    Raises:
        UsageError: if there is none; the message lists the names and the nearest.

    Example:
        >>> get("simple").name
        'simple'
    """
    if name in FORMATS:
        return FORMATS[name]
    if ":" in name:
        return _imported(name)
    near = get_close_matches(name, FORMATS, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise UsageError(f"unknown format {name!r}: known are {', '.join(FORMATS)}{hint}")


def _imported(name: str) -> Format:
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, TypeError, ValueError) as error:  # ".a:b", ":b"
        raise UsageError(f"cannot import the format {name!r}: {error}") from error
    if not isinstance(found, Format):
        raise UsageError(f"{name!r} is a {type(found).__name__}, not a vlm_datakit Format")
    return found
