"""The JSON members of a zip are read in the order of their names; the rest is named."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest

from vlm_datakit.conversation import Origin, Rejected, Row
from vlm_datakit.errors import SourceError
from vlm_datakit.sources.jsonl import Span
from vlm_datakit.sources.zip_members import others_in, read_zip


def packed(**members: bytes) -> bytes:
    """Return a zip of members."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def read(data: bytes, **span: Any) -> list[Row | Rejected]:
    """Read the rows of these bytes."""
    return list(read_zip(io.BytesIO(data), Span("a.zip", **span)))


MEMBERS = {
    "b.jsonl": b'\xef\xbb\xbf{"b":1}\n{"b":2}\n',
    "README.txt": b"x",
    "a/1.json": b'[{"a":1}]',
    "a/": b"",
    "a/0.NDJSON": b'{"a":0}\n',
}


def test_members_are_read_in_the_order_of_their_names() -> None:
    assert read(packed(**MEMBERS)) == [
        Row(Origin("a.zip/a/0.NDJSON", 0, 1), {"a": 0}),
        Row(Origin("a.zip/a/1.json", 0, 1), {"a": 1}),
        Row(Origin("a.zip/b.jsonl", 0, 1), {"b": 1}),
        Row(Origin("a.zip/b.jsonl", 11, 2), {"b": 2}),
    ]
    assert others_in(io.BytesIO(packed(**MEMBERS)), "a.zip") == ["README.txt"]


def test_a_zip_without_json_is_an_error() -> None:
    with pytest.raises(SourceError, match=r"^a\.zip: no \.jsonl, \.ndjson or \.json in this zip$"):
        read(packed(README=b"x"))


@pytest.mark.parametrize("at", [-1, 50, 10], ids=str)
def test_what_is_cut_short_is_an_error(at: int) -> None:
    with pytest.raises(SourceError, match=r"^a\.zip: cannot be read as zip: "):
        read(packed(**MEMBERS)[:at])


def test_a_wrong_sum_is_an_error() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.jsonl", b'{"a":1}\n')
    data = out.getvalue().replace(b'{"a":1}', b'{"a":2}')

    with pytest.raises(SourceError, match=r"^a\.zip/a\.jsonl: cannot be read as zip: Bad CRC"):
        read(data)
