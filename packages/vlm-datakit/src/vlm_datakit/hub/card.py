"""The card of a data set: the YAML that stands at the head of its README.md."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from vlm_datakit.errors import SourceError

FILE_NAME = "README.md"
_HEAD = re.compile(r"\A\ufeff?---[ \t]*\r?\n(?P<yaml>.*?)^---[ \t]*\r?$", re.DOTALL | re.MULTILINE)


def card_of(text: str, shown: str) -> Mapping[str, Any]:
    r"""Return what the head of a card says; nothing if it has none.

    Raises:
        SourceError: if that is no YAML, or no mapping.

    Example:
        >>> card_of("---\nlicense: mit\n---\n# A set", "README.md")
        {'license': 'mit'}
    """
    match = _HEAD.match(text)
    if match is None:
        return {}
    import yaml

    try:
        facts = yaml.safe_load(match["yaml"])
    except yaml.YAMLError as error:
        raise SourceError(f"{shown}: the YAML at its head cannot be read") from error
    if not isinstance(facts, dict):
        raise SourceError(f"{shown}: the YAML at its head is no mapping")
    return facts
