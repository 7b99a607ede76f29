"""Names with wildcards in them: those of files of rows, on the Hub, in a bucket, in a card."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import translate

_WILDCARD = re.compile(r"[*?[]")
_WILD = {"**/": r"(?:.*/)?", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}


def is_pattern(name: str) -> bool:
    """Whether a wildcard stands in a name, which may still be the name of a file."""
    return _WILDCARD.search(name) is not None


def like(pattern: str, names: Iterable[str]) -> list[str]:
    """Return the names that a pattern stands for, in their order.

    Args:
        pattern: ``*`` stands for any characters but a slash, ``?`` for one, ``[ab]`` for one of
            those, ``**`` for any, and ``**/`` for no folder as well.
        names: Of files, with slashes.

    Example:
        >>> like("data/a-*.csv", ["data/b.csv", "data/a-0.csv", "data/a-1.csv"])
        ['data/a-0.csv', 'data/a-1.csv']
    """
    rule = re.compile(_rule(pattern))
    return [name for name in names if rule.fullmatch(name)]


def _rule(pattern: str) -> str:
    rule = ""
    for token in re.findall(r"\*\*/|\*\*|\*|\?|\[!?[^\]]+\]|.", pattern, re.DOTALL):
        if token in _WILD:
            rule += _WILD[token]
        elif len(token) > 1:
            rule += translate(token).removeprefix("(?s:").rpartition(")")[0]
        else:
            rule += re.escape(token)
    return rule
