"""Arrays made from buffers are the arrays that pyarrow makes."""

from __future__ import annotations

import subprocess
import sys
from array import array
from typing import Any

import pyarrow as pa
import pytest

from vlm_datakit.shards import columns


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        pytest.param(columns.texts([]), pa.array([], pa.string()), id="no texts"),
        pytest.param(
            columns.texts(["a", None, "é🙂\0"]), pa.array(["a", None, "é🙂\0"]), id="texts"
        ),
        pytest.param(columns.texts([None]), pa.array([None], pa.string()), id="nulls"),
        pytest.param(
            columns.texts([*"abcdefg", None, "i"]), pa.array([*"abcdefg", None, "i"]), id="9 bits"
        ),
        pytest.param(columns.binaries([b"a", b"", None]), pa.array([b"a", b"", None]), id="bytes"),
        pytest.param(
            columns.int32s(array("i", [1, -1])), pa.array([1, -1], pa.int32()), id="numbers"
        ),
        pytest.param(columns.int32s(array("i")), pa.array([], pa.int32()), id="no numbers"),
        pytest.param(
            columns.lists([2, 0, 1], columns.texts(["a", "b", "c"])),
            pa.array([["a", "b"], [], ["c"]]),
            id="lists",
        ),
        pytest.param(
            columns.structs({"a": columns.int32s(array("i", [1])), "b": columns.texts(["x"])}),
            pa.array([{"a": 1, "b": "x"}], pa.struct([("a", pa.int32()), ("b", pa.string())])),
            id="structs",
        ),
    ],
)
def test_an_array_is_the_one_pyarrow_makes(made: pa.Array, expected: pa.Array) -> None:
    made.validate(full=True)

    assert made.equals(expected)
    assert made.type == expected.type


def test_what_has_no_null_has_no_bitmap() -> None:
    assert [buffer is None for buffer in columns.texts(["a", "b"]).buffers()] == [
        True,
        False,
        False,
    ]


def test_a_lone_surrogate_is_no_text() -> None:
    with pytest.raises(UnicodeEncodeError):
        columns.texts(["\ud800"])


def test_pandas_is_not_imported() -> None:
    code = (
        "import array, sys; from vlm_datakit.shards import columns; columns.texts(['a', None]);"
        "columns.lists([1], columns.int32s(array.array('i', [7]))); print('pandas' in sys.modules)"
    )

    done: Any = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)

    assert done.stdout == b"False\n"
