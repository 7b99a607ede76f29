"""Arrow arrays straight from Python lists, through their buffers.

``pa.array(list)`` imports pandas on first use when it is installed (about 220 ms) and
copies more than once; offsets and a joined buffer are all an Arrow list or text is.

Source:
    Arrow columnar format, sections "Variable-size Binary" and "Variable-size List".
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Any, cast

import pyarrow as pa


def offsets(lengths: Iterable[int]) -> pa.Buffer:
    """Return the int32 offsets of values with these lengths: one more than there are."""
    return pa.py_buffer(array("i", accumulate(lengths, initial=0)))


def validity(values: Sequence[object | None]) -> pa.Buffer | None:
    """Return the bitmap of what is not None, least significant bit first; None if all are."""
    if None not in values:
        return None
    bits = "".join("0" if value is None else "1" for value in reversed(values))
    return pa.py_buffer(int(bits, 2).to_bytes((len(values) + 7) // 8, "little"))


def binaries(values: Sequence[bytes | None], kind: pa.DataType | None = None) -> pa.Array:
    """Return a binary (or ``kind``) array of the values.

    Example:
        >>> binaries([b"a", None, b"bc"]).to_pylist()
        [b'a', None, b'bc']
    """
    valid, filled = validity(values), values
    if valid is not None:
        filled = [b"" if value is None else value for value in values]
    given = cast("Sequence[bytes]", filled)
    buffers = [valid, offsets(map(len, given)), pa.py_buffer(b"".join(given))]
    return pa.Array.from_buffers(kind or pa.binary(), len(values), buffers)


def texts(values: Sequence[str | None]) -> pa.Array:
    """Return a string array of the values.

    Raises:
        UnicodeEncodeError: for a lone surrogate, which no JSON reader of ours lets through.
    """
    if None in values:
        return binaries([None if v is None else v.encode() for v in values], pa.string())
    return binaries([v.encode() for v in cast("Sequence[str]", values)], pa.string())


@lru_cache(maxsize=32)  # for one row group after the other
def repeated(values: tuple[str, ...], times: int) -> pa.Array:
    """Return a string array of the values, and again, so many times in all.

    Example:
        >>> repeated(("user", "assistant"), 2).to_pylist()
        ['user', 'assistant', 'user', 'assistant']
    """
    once = [value.encode() for value in values]
    buffers = [None, offsets([len(value) for value in once] * times)]
    joined = pa.py_buffer(b"".join(once) * times)
    return pa.Array.from_buffers(pa.string(), len(once) * times, [*buffers, joined])


def spans(ends: array[int], data: bytes | memoryview) -> pa.Array:
    """Return a binary array over memory: value n ends at ``ends[n + 1]``, where the next begins.

    Example:
        >>> spans(array("i", [0, 1, 3]), b"abc").to_pylist()
        [b'a', b'bc']
    """
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.binary(), len(ends) - 1, buffers)


def ends(texts: pa.Array) -> memoryview:
    """Return where the texts of a string array stand in its bytes: one number more than texts.

    Example:
        >>> ends(texts(["a", "bc", "d"]).slice(1)).tolist()
        [1, 3, 4]
    """
    numbers = memoryview(texts.buffers()[1]).cast("i")
    return numbers[texts.offset : texts.offset + len(texts) + 1]


def characters(texts: pa.Array) -> list[int]:
    """Return how many characters each text of a string array has.

    Example:
        >>> characters(texts(["a", "été", ""]))
        [1, 3, 0]
    """
    data, places = memoryview(texts.buffers()[2] or b""), ends(texts).tolist()
    return [len(str(data[start:end], "utf-8")) for start, end in pairwise(places)]


def in_turn(arrays: Sequence[pa.Array]) -> pa.Array:
    """Return the first values of all string arrays, the second ones, and so on.

    Example:
        >>> in_turn([texts(["a", "b"]), texts(["c", "d"])]).to_pylist()
        ['a', 'c', 'b', 'd']
    """
    if len(arrays) == 1:
        return arrays[0]
    return texts(
        [text for row in zip(*[a.to_pylist() for a in arrays], strict=True) for text in row]
    )


def int32s(values: array[int]) -> pa.Array:
    """Return an int32 array over memory."""
    return pa.Array.from_buffers(pa.int32(), len(values), [None, pa.py_buffer(values)])


def lists(lengths: Sequence[int], flat: pa.Array) -> pa.Array:
    """Return a list array: value n takes the next ``lengths[n]`` of the flat array."""
    return cut_at(array("i", accumulate(lengths, initial=0)), flat)


def even_lists(length: int, flat: pa.Array) -> pa.Array:
    """Return a list array of which each value has the same length.

    Example:
        >>> even_lists(2, texts(["a", "b", "c", "d"])).to_pylist()
        [['a', 'b'], ['c', 'd']]
    """
    return cut_at(array("i", range(0, len(flat) + 1, length)), flat)


def cut_at(ends: array[int], flat: pa.Array) -> pa.Array:
    """Return a list array: value n of the flat array's values ends at ``ends[n + 1]``."""
    buffers, kind = [None, pa.py_buffer(ends)], pa.list_(flat.type)
    return pa.Array.from_buffers(kind, len(ends) - 1, buffers, children=[flat])


def structs(fields: dict[str, Any]) -> pa.Array:
    """Return a struct array of the named arrays, none of its values null."""
    return pa.StructArray.from_arrays(list(fields.values()), names=list(fields))
