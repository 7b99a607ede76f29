"""Parquet as others write it: every value as it is, labels by name, in runs of row groups."""

from __future__ import annotations

import decimal
import io
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vlm_datakit.conversation import ImageForm, Origin, Rejected, Row
from vlm_datakit.errors import Reason, SourceError
from vlm_datakit.images.kind import classify
from vlm_datakit.plan import SourceFile
from vlm_datakit.sources.jsonl import Span
from vlm_datakit.sources.parquet import read_parquet
from vlm_datakit.sources.slices import cut


def packed(table: pa.Table, **options: Any) -> bytes:
    """Return a table as Parquet."""
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return out.getvalue()


def read(data: bytes, **span: Any) -> list[Row | Rejected]:
    """Read the rows of these bytes."""
    return list(read_parquet(io.BytesIO(data), Span("a.parquet", **span)))


def values(column: pa.Array) -> list[Any]:
    """Return the values of a column as rows have them."""
    rows = read(packed(pa.table({"v": column})))
    return [row.fields["v"] if isinstance(row, Row) else row for row in rows]


def test_rows_know_their_number() -> None:
    data = packed(pa.table({"a": ["007", None, ""]}), row_group_size=1)

    assert read(data, keep_raw=True) == [
        Row(Origin("a.parquet", 0, 1), {"a": "007"}, b'{"a": "007"}'),
        Row(Origin("a.parquet", 1, 2), {"a": None}, b'{"a": null}'),
        Row(Origin("a.parquet", 2, 3), {"a": ""}, b'{"a": ""}'),
    ]
    assert [row.origin.offset for row in read(data, start=1, end=2)] == [1]


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        pytest.param(pa.large_string(), "x\0\u2028", id="large text"),
        pytest.param(pa.dictionary(pa.int8(), pa.string()), "x", id="dictionary"),
        pytest.param(pa.list_(pa.string()), ["a", None], id="list"),
        pytest.param(pa.struct({"a": pa.list_(pa.int64())}), {"a": [2**62]}, id="object"),
        pytest.param(pa.large_binary(), b"\xff\0", id="bytes"),
        pytest.param(pa.map_(pa.string(), pa.int8()), [("a", 1)], id="map"),
        pytest.param(pa.uint64(), 2**64 - 1, id="a large number"),
        pytest.param(pa.date32(), date(2020, 2, 29), id="a date"),
        pytest.param(
            pa.timestamp("us", "UTC"), datetime(2020, 1, 1, tzinfo=UTC), id="a time with a zone"
        ),
        pytest.param(pa.decimal128(5, 2), decimal.Decimal("1.50"), id="a decimal"),
        pytest.param(pa.bool_(), True, id="a boolean"),
    ],
)
def test_a_value_is_what_it_was(type_: pa.DataType, value: Any) -> None:
    assert values(pa.array([value, None], type_)) == [value, None]


def test_a_value_that_python_cannot_hold_stays_arrows() -> None:
    no_text = pa.Array.from_buffers(pa.string(), 2, pa.array([b"a", b"\xff"]).buffers())

    first, second = values(no_text)

    assert first == "a"
    assert type(second).__name__ == "StringScalar"


def test_two_columns_of_one_name_are_an_error() -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"])

    with pytest.raises(SourceError, match=r'^a\.parquet: two columns are named "a"$'):
        read(packed(table))


@pytest.mark.parametrize("cut_to", [4, 100, -1, -8], ids=str)
def test_what_is_cut_short_is_an_error(cut_to: int) -> None:
    data = packed(pa.table({"a": ["x" * 100] * 100}))[:cut_to]

    with pytest.raises(SourceError, match=r"^a\.parquet: cannot be read as Parquet: "):
        read(data)


def test_slices_are_runs_of_row_groups_and_have_every_row_once(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table({"a": [f"{index}" for index in range(20)]})
    pq.write_table(table, path, row_group_size=3)
    file = SourceFile("train", "a.parquet", str(path), path.stat().st_size, 1, kind="parquet")

    slices = cut([file, file], 100)

    places = [(slice_.start, slice_.end) for slice_ in slices]
    assert len(places) > 4
    assert places[: len(places) // 2] == places[len(places) // 2 :]
    assert {start % 3 for start, _ in places} == {0}
    rows = [
        row for place in places for row in read(path.read_bytes(), start=place[0], end=place[1])
    ]
    assert [row.origin.offset for row in rows] == [*range(20), *range(20)]
    assert sum(slice_.size_bytes for slice_ in slices) <= 2 * path.stat().st_size
    assert [slice_.number for slice_ in slices] == [*range(len(slices))]


def test_without_rows_there_is_no_slice(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": pa.array([], pa.string())}), path)

    file = SourceFile("train", "a.parquet", str(path), path.stat().st_size, 1, kind="parquet")

    assert cut([file], 100) == []


@pytest.fixture(scope="module")
def labelled() -> Any:
    """A data set of ``datasets`` with pictures and labels, alone, in lists and in objects."""
    import datasets

    label = datasets.ClassLabel(names=["cat", "dog"])
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "images": datasets.List(datasets.Image()),
            "label": label,
            "labels": datasets.List(label),
            "boxes": datasets.List({"label": label, "x": datasets.Value("int64")}),
            "about": {"label": label},
        }
    )
    picture = PIL.Image.new("RGB", (4, 3), (9, 9, 9))
    row = {"image": picture, "images": [picture], "label": 1, "labels": [0, -1, None]}
    more = {"boxes": [{"label": 1, "x": 7}], "about": {"label": 0}}
    none = {"image": None, "images": [], "label": -1, "labels": None, "boxes": []}
    return datasets.Dataset.from_list([{**row, **more}, {**none, "about": None}], features)


@pytest.fixture(params=["parquet", "arrow"])
def by_datasets(request: pytest.FixtureRequest, labelled: Any, tmp_path: Path) -> Path:
    """The same as ``datasets`` writes it to a file."""
    if request.param == "parquet":
        labelled.to_parquet(tmp_path / "a.parquet")
        return tmp_path / "a.parquet"
    labelled.save_to_disk(tmp_path / "set")
    return next((tmp_path / "set").glob("*.arrow"))


def test_pictures_and_labels_of_datasets_are_read(
    by_datasets: Path, source_rows: Callable[[Path], list[Any]]
) -> None:
    first, second = [row.fields for row in source_rows(by_datasets)]

    assert {name: value for name, value in first.items() if not name.startswith("image")} == {
        "label": "dog",
        "labels": ["cat", None, None],
        "boxes": [{"label": "dog", "x": 7}],
        "about": {"label": "cat"},
    }
    assert classify(first["image"], "$").form is ImageForm.BYTES
    assert PIL.Image.open(io.BytesIO(first["images"][0]["bytes"])).size == (4, 3)
    assert (second["image"], second["label"], second["labels"]) == (None, None, None)


def test_a_label_without_a_name_refuses_its_row() -> None:
    import datasets

    features = datasets.Features({"label": datasets.ClassLabel(names=["cat"])})
    schema = features.arrow_schema
    rows = read(packed(pa.table({"label": [0, 5]}, schema=schema)))

    assert rows == [
        Row(Origin("a.parquet", 0, 1), {"label": "cat"}),
        Rejected(Origin("a.parquet", 1, 2), Reason.FIELD_WRONG_TYPE, "$.label", "5 of 1 names"),
    ]
