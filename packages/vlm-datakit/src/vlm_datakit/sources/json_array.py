"""A JSON array of rows, taken apart element by element, in the memory that one of them needs.

Where an element ends is told by brackets and quotes alone; orjson parses it, so that values are
what they are in JSON lines. What stands between brackets but is no JSON is refused in its place.
An array that does not end is an error: rows behind the cut would be missed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import orjson

from vlm_datakit.conversation import Origin, Rejected, Row
from vlm_datakit.errors import Reason, SourceError, quoted
from vlm_datakit.plan import MIB
from vlm_datakit.sources.jsonl import Span
from vlm_datakit.sources.packed import Bytes

_PIECE_BYTES = MIB
_BOM, _BLANK = b"\xef\xbb\xbf", b" \t\r\n"
# Runs of what decides nothing: short strings without escapes among them, which saves most steps.
_DULL = rb'|"[^"\\]{0,512}+"'
_INSIDE = re.compile(rb'(?:[^"\[\]{}]++' + _DULL + rb")*+")
_OUTSIDE = re.compile(rb'(?:[^"\[\]{},]++' + _DULL + rb")*+")
_OPEN, _ENDS, _QUOTE, _BACKSLASH = b"[{", b",]", b'"', ord("\\")


def read_array(stream: Bytes, span: Span) -> Iterator[Row | Rejected]:
    """Read the elements of one JSON array as rows; the number of a row is that of its element.

    Yields:
        `Row`, or `Rejected` with ``json-invalid``, ``line-too-long`` or ``row-not-object``.

    Raises:
        SourceError: if it begins otherwise, ends before its bracket, or goes on behind it.

    Source:
        RFC 8259 (JSON).
    """
    elements = _Elements(stream, span.source, span.max_line_bytes)
    for index, element in enumerate(elements.split()):
        origin = Origin(span.source, index, index + 1)
        if element is None:
            seen = f"over {span.max_line_bytes} bytes"
            yield Rejected(origin, Reason.LINE_TOO_LONG, "$", seen)
        else:
            yield _row(element, origin, keep_raw=span.keep_raw)


def _row(element: bytes, origin: Origin, *, keep_raw: bool) -> Row | Rejected:
    raw = element if keep_raw else None
    try:
        fields: Any = orjson.loads(element)
    except orjson.JSONDecodeError as error:
        return Rejected(origin, Reason.JSON_INVALID, "$", error.msg[:80], raw)
    if not isinstance(fields, dict):
        return Rejected(origin, Reason.ROW_NOT_OBJECT, "$", quoted(fields), raw)
    return Row(origin, fields, raw)


class _Elements:
    """A window on a stream: the element in hand, and what was read behind it."""

    def __init__(self, stream: Bytes, source: str, max_bytes: int) -> None:
        self._stream, self._source, self._max_bytes = stream, source, max_bytes
        self._window = bytearray()
        self._at = 0  # up to here the window was looked at
        self._is_too_long = False

    def split(self) -> Iterator[bytes | None]:
        """Yield the text of each element; None for one that is too long."""
        self._enter()
        is_last = self._skip_blank() == b"]"  # an empty array
        while not is_last:
            is_last = self._pass_element() == b"]"
            too_long, element = self._is_too_long, bytes(self._window[: self._at].strip(_BLANK))
            self._drop(self._at + 1)
            self._is_too_long = False
            yield None if too_long or len(element) > self._max_bytes else element
        self._leave()

    def _enter(self) -> None:
        while len(self._window) < len(_BOM) and self._more():
            pass
        if self._window.startswith(_BOM):
            self._drop(len(_BOM))
        if self._skip_blank() != b"[":
            raise SourceError(f"{self._source}: no JSON array: it does not begin with [")
        self._drop(1)

    def _leave(self) -> None:
        if self._window[:1] == b"]":  # of an empty array
            self._drop(1)
        if behind := self._skip_blank():
            shown = quoted(behind.decode(errors="replace"))
            raise SourceError(f"{self._source}: {shown} stands behind the ] that ends the array")

    def _skip_blank(self) -> bytes:
        """Return the first byte that is not blank, nothing at the end; it stays."""
        while True:
            self._window = self._window.lstrip(_BLANK)
            if self._window or not self._more():
                return bytes(self._window[:1])

    def _pass_element(self) -> bytes:
        """Go to the comma or bracket behind an element, and return it."""
        depth = 0
        while True:
            found = (_INSIDE if depth else _OUTSIDE).match(self._window, self._at)
            self._at = found.end() if found else self._at
            sign = bytes(self._window[self._at : self._at + 1])
            if not sign:
                self._need_more()
            elif sign == _QUOTE:
                self._pass_text()
            elif not depth and sign in _ENDS:
                return sign
            else:
                depth += 1 if sign in _OPEN else -1 if depth else 0
                self._at += 1

    def _pass_text(self) -> None:
        """Go behind the quote that ends the text which begins here."""
        looked = 1  # so far behind its first quote
        while True:
            end = self._window.find(_QUOTE, self._at + looked)
            if end < 0:
                looked = max(1, len(self._window) - self._at)
                looked -= self._shorten(looked)
                self._need_more()
                continue
            if self._escapes_before(end) % 2 == 0:
                self._at = end + 1
                return
            looked = end + 1 - self._at

    def _escapes_before(self, end: int) -> int:
        """Count the backslashes that stand together before a place in the text in hand."""
        before = end
        while before > self._at + 1 and self._window[before - 1] == _BACKSLASH:
            before -= 1
        return end - before

    def _shorten(self, looked: int) -> int:
        """Drop what was looked at of a text that is too long; return how much that is."""
        if looked <= self._max_bytes:
            return 0
        self._is_too_long = True
        # An odd one changes the meaning of what comes next.
        escapes = self._escapes_before(len(self._window)) % 2
        del self._window[self._at + 1 : len(self._window) - escapes]
        return looked - 1 - escapes

    def _need_more(self) -> None:
        """Read on inside of an element; of one that is too long only its end is kept."""
        if self._at > self._max_bytes:
            self._is_too_long = True
            self._drop(self._at)
        if not self._more():
            raise SourceError(f"{self._source}: the array does not end: cut short?")

    def _more(self) -> bool:
        data = self._stream.read1(_PIECE_BYTES)
        self._window += data
        return bool(data)

    def _drop(self, count: int) -> None:
        del self._window[:count]
        self._at = max(0, self._at - count)
