"""Which characters of a JSON text are its form, and which say something.

Found in the text itself, so that no tokenizer is asked; pure, and linear in the text.
"""

from __future__ import annotations

import json
import re

# Of a text that json.loads has taken, so that each piece is whole.
_PIECES = re.compile(
    r'(?P<key>"(?:[^"\\]|\\.)*+")(?=[ \t\r\n]*:)|(?P<empty>""|\[[ \t\r\n]*\]|\{[ \t\r\n]*\})'
    r'|(?P<text>"(?:[^"\\]|\\.)*+")|(?P<word>[^\s"{}\[\]:,]+)'
)


def structure_spans(text: str, *, keys: bool = False) -> list[tuple[int, int]] | None:
    """Find the form of a JSON text: brackets, quotes, colons, commas and the space between.

    An empty text, list or object (``""``, ``[]``, ``{}``) says that nothing is there: as a
    value it is none of the form, the whole text ``{}`` or ``[]`` included.

    Args:
        text: Any text. Only an object or a list counts as JSON here: a bare number or a
            quoted word has no form to speak of.
        keys: Take the names of fields for form as well.

    Returns:
        Rising ranges of characters that do not touch, or None when the text is no JSON:
        also when words or a code fence stand around it, or with NaN or Infinity in it.

    Source:
        RFC 8259, section 2 (structural characters and insignificant white space).

    Example:
        >>> text = '{"age": 7, "tags": []}'
        >>> ["".join(text[a:b]) for a, b in structure_spans(text)]
        ['{"', '": ', ', "', '": ', '}']
    """
    if not _is_json(text):
        return None
    spans, end = [], 0
    for piece in _PIECES.finditer(text):
        if piece.lastgroup == "key" and keys:
            continue
        start, stop = piece.span()
        if piece.lastgroup in ("key", "text"):
            start, stop = start + 1, stop - 1
        if start < stop:
            spans.append((end, start))
            end = stop
    spans.append((end, len(text)))
    return [(start, stop) for start, stop in spans if start < stop]


def _is_json(text: str) -> bool:
    if text.lstrip()[:1] not in ("{", "["):
        return False
    try:  # numbers stay text: how long they are is none of our business
        json.loads(text, parse_int=str, parse_float=str, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(word: str) -> None:
    raise ValueError(word)
