"""Lines of nothing but texts, parsed by Arrow into columns.

Arrow's reader is asked only for what it is as strict about as ours (docs/design/0012). Of what
it is not asked for, and of all that it refuses, no word is said here: that is left to ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from operator import itemgetter, sub
from typing import NamedTuple

import pyarrow as pa
import pyarrow.json

from vlm_datakit.plain import TextColumns
from vlm_datakit.shards.columns import ends

_ID_KINDS = (pa.string(), pa.int64())
_LINE_ENDS = (b"}\n", b"}\r\n")
_BLANK_OR_NOT = b"\t\n\v\f\r\x1c\x1d\x1e\x1f \xc2\xe1\xe2\xe3"  # with which blanks begin in UTF-8
_NOT_BLANK = bytes([byte for byte in range(256) if byte not in _BLANK_OR_NOT])
_FEWEST_ROWS_FOR_AN_ODD_ONE = 32  # with more of them row by row is faster


class Parsed(NamedTuple):
    """Rows in columns; those with the numbers ``odd`` are none: they have to be read again."""

    texts: tuple[pa.Array, ...]
    ids: Sequence[str | None] | None
    odd: Sequence[int]


class _Texts(NamedTuple):
    """A column's texts, one after the other, and where each begins and the last one ends."""

    data: bytes
    places: list[int]


def parsed(lines: Sequence[bytes], columns: TextColumns) -> Parsed | None:
    r"""Parse lines into columns, or return None unless nearly all are rows of these texts.

    Each row that is not odd would be read as `turns.only_texts` does, and no word be said of it.

    Args:
        lines: Whole lines, at most 1 GiB.
        columns: Of the format, and sound for the plan.

    Example:
        >>> columns = TextColumns(("text",), ())
        >>> parsed([b'{"text": "a"}\n', b'{"text": "b", "id": "7"}\n'], columns).ids
        [None, '7']
        >>> parsed([b'{"text": "a", "score": 1}\n'], columns) is None
        True
    """
    data = b"".join(lines)
    if not data.startswith(b"{") or not all(line.endswith(_LINE_ENDS) for line in lines):
        return None
    tables = (_table(data, columns.names, kind) for kind in _ID_KINDS)
    table = next((table for table in tables if table is not None), None)
    del data
    if table is None or len(table[0]) != len(lines):
        return None
    id_column, *texts = table
    if any(column.null_count for column in texts):
        return None
    odd = _odd_rows([_texts_of(column) for column in texts], columns.differing)
    ids = None
    if id_column.null_count < len(lines):
        given = id_column.to_pylist()
        odd.update([number for number, value in enumerate(given) if value == ""])
        ids = [None if value is None else str(value) for value in given]
    if len(odd) * _FEWEST_ROWS_FOR_AN_ODD_ONE > len(lines):
        return None
    return Parsed(tuple(texts), ids, sorted(odd))


def _table(data: bytes, names: Sequence[str], id_kind: pa.DataType) -> list[pa.Array] | None:
    """Return the ids and the texts of all objects, or None if there is anything else."""
    fields = [("id", id_kind), *[(name, pa.string()) for name in names]]
    how = pyarrow.json.ParseOptions(
        explicit_schema=pa.schema(fields), unexpected_field_behavior="error"
    )
    whole = pyarrow.json.ReadOptions(use_threads=False, block_size=len(data) + 1)
    try:
        table = pyarrow.json.read_json(pa.BufferReader(data), whole, how)
        for column in table.columns:
            column.validate(full=True)  # parsing lets through what is not UTF-8
    except (pa.ArrowException, ValueError):
        return None
    if any(column.num_chunks != 1 for column in table.columns):
        return None
    return [table.column(name).chunk(0) for name, _ in fields]


def _texts_of(column: pa.Array) -> _Texts:
    data = column.buffers()[2]
    return _Texts(b"" if data is None else data.to_pybytes(), ends(column).tolist())


def _odd_rows(columns: Sequence[_Texts], differing: tuple[int, int] | None) -> set[int]:
    """Return the rows with a text that is blank or like a control token, or with equal answers."""
    odd: set[int] = set()
    for column in columns:
        odd.update(_blank(column))
        if b"|" in column.data and b"<|" in column.data:
            odd.update(_with_token(column))
    if differing is not None:
        odd.update(_equal(columns[differing[0]], columns[differing[1]]))
    return odd


def _blank(column: _Texts) -> Iterator[int]:
    data, places = column
    lengths = [*map(sub, places[1:], places)]
    if all(lengths):
        first = bytes(itemgetter(*places[:-1], 0)(data))[:-1]
        if not first.translate(None, _NOT_BLANK):
            return
    for row, length in enumerate(lengths):
        if not length or (
            data[places[row]] in _BLANK_OR_NOT and _bytes(column, row).decode().isspace()
        ):
            yield row


def _with_token(column: _Texts) -> Iterator[int]:
    data, places = column
    for row, (start, end) in enumerate(pairwise(places)):
        if data.find(b"<|", start, end) >= 0:
            yield row


def _equal(one: _Texts, other: _Texts) -> Iterator[int]:
    lengths = zip(*[map(sub, places[1:], places) for _, places in (one, other)], strict=True)
    for row, (length, other_length) in enumerate(lengths):
        if length == other_length and _bytes(one, row) == _bytes(other, row):
            yield row


def _bytes(column: _Texts, row: int) -> bytes:
    return column.data[column.places[row] : column.places[row + 1]]
