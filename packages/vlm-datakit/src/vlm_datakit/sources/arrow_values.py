"""Columns of Arrow as plain Python values, as they are; labels by their names.

``datasets`` stores a class as a number and its name in the metadata of the schema: the number is
an accident of the writer, the name is what a row says. A value that Python cannot hold stays
Arrow's, and is refused by whoever uses it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from vlm_datakit.conversation import Origin, Rejected, Row
from vlm_datakit.errors import Reason, RowError, SourceError, quoted
from vlm_datakit.plan import MIB
from vlm_datakit.sources.jsonl import Span
from vlm_datakit.sources.kept import kept

if TYPE_CHECKING:
    import pyarrow

_BATCH_BYTES, _MOST_ROWS = 4 * MIB, 1_024  # as Python values at once
_NO_LABEL = -1  # as datasets writes it
_Named = Callable[[Any, str], Any]  # a value and where it stands, to the value with names


class DamagedError(SourceError):
    """A source is not what it is taken for, as far as it has been read."""


class ArrowRows:
    """Makes rows of batches that follow each other.

    Args:
        schema: Of all batches.
        span: The source.
        first: The number of the first row in the file, from 0.

    Raises:
        SourceError: if two columns have one name.
    """

    def __init__(self, schema: pyarrow.Schema, span: Span, first: int = 0) -> None:
        self._names, self._span, self._index = schema.names, span, first
        twice = next((name for name in self._names if self._names.count(name) > 1), None)
        if twice is not None:
            raise SourceError(f"{span.source}: two columns are named {quoted(twice)}")
        features = features_in(schema.metadata)
        self._named = {name: _named(features.get(name)) for name in self._names}

    def of(self, batch: pyarrow.RecordBatch) -> Iterator[Row | Rejected]:
        """Yield the rows of a batch, holding a few of them as Python values."""
        step = rows_at_once(batch.nbytes, batch.num_rows)
        for start in range(0, batch.num_rows, step):
            part = batch.slice(start, step)
            columns = [_values(column) for column in part.columns]
            rows = zip(*columns, strict=True) if columns else [()] * part.num_rows
            for values in rows:
                yield self._row(dict(zip(self._names, values, strict=True)))

    def _row(self, fields: dict[str, Any]) -> Row | Rejected:
        origin = Origin(self._span.source, self._index, self._index + 1)
        self._index += 1
        try:
            for name, named in self._named.items():
                if named is not None:
                    fields[name] = named(fields[name], f"$.{name}")
        except RowError as error:
            return Rejected(origin, error.reason, error.where, error.seen)
        return Row(origin, fields, kept(fields) if self._span.keep_raw else None)


@contextmanager
def speaking_of(source: str, title: str) -> Iterator[None]:
    """Turn whatever Arrow raises while it reads into a `DamagedError`."""
    from pyarrow import ArrowException

    try:
        yield
    except (
        *(ArrowException, ArithmeticError, LookupError, MemoryError),
        *(NotImplementedError, OSError, TypeError, ValueError),
    ) as error:
        words = " ".join(f"{error}".split())[:160]
        raise DamagedError(f"{source}: cannot be read as {title}: {words}") from error


def rows_at_once(size_bytes: int, rows: int) -> int:
    """Return how many rows make about 4 MiB, from 1 to 1,024.

    Example:
        >>> rows_at_once(80 * MIB, 5_000), rows_at_once(80 * MIB, 8), rows_at_once(0, 0)
        (250, 1, 1)
    """
    return max(1, min(_MOST_ROWS, rows * _BATCH_BYTES // max(1, size_bytes)))


def _values(column: Any) -> list[Any]:
    try:
        values: list[Any] = column.to_pylist()
    except (ArithmeticError, ImportError, LookupError, TypeError, ValueError):
        return [_value(scalar) for scalar in column]
    return values


def _value(scalar: Any) -> Any:
    try:
        return scalar.as_py()
    except (ArithmeticError, ImportError, LookupError, TypeError, ValueError):
        return scalar  # no UTF-8, a year beyond 9999


def features_in(metadata: Any) -> dict[str, Any]:
    """Return what ``datasets`` says of the columns in a schema's metadata, if it wrote them.

    Example:
        >>> features_in({b"huggingface": b'{"info": {"features": {"image": {"_type": "Image"}}}}'})
        {'image': {'_type': 'Image'}}
        >>> features_in(None)
        {}
    """
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError):
        return {}
    return features if isinstance(features, dict) else {}


def _named(feature: Any) -> _Named | None:
    """Return what gives the values of a feature their names, None if there is nothing to do."""
    if isinstance(feature, list):
        return _in_list(_named(feature[0])) if len(feature) == 1 else None
    if not isinstance(feature, dict):
        return None
    kind = feature.get("_type")
    if kind == "ClassLabel" and isinstance(feature.get("names"), list):
        return _label(feature["names"])
    if kind in ("List", "LargeList", "Sequence"):
        return _in_list(_named(feature.get("feature")))
    if not isinstance(kind, str):
        found = {name: named for name, inner in feature.items() if (named := _named(inner))}
        return _in_object(found) if found else None
    return None


def _label(names: list[Any]) -> _Named:
    def named(value: Any, where: str) -> Any:
        if value is None or value == _NO_LABEL:
            return None
        if not isinstance(value, int) or not 0 <= value < len(names):
            raise RowError(Reason.FIELD_WRONG_TYPE, where, f"{quoted(value)} of {len(names)} names")
        return names[value]

    return named


def _in_list(inner: _Named | None) -> _Named | None:
    if inner is None:
        return None

    def named(value: Any, where: str) -> Any:
        if isinstance(value, dict):  # a Sequence of an object is an object of lists
            return {
                name: [inner({name: one}, where)[name] for one in values or ()]
                for name, values in value.items()
            }
        if not isinstance(value, list):
            return value
        return [inner(one, f"{where}[{index}]") for index, one in enumerate(value)]

    return named


def _in_object(inner: dict[str, _Named]) -> _Named:
    def named(value: Any, where: str) -> Any:
        if not isinstance(value, dict):
            return value
        return {
            name: inner[name](one, f"{where}.{name}") if name in inner else one
            for name, one in value.items()
        }

    return named
