"""Members of one key are one row; a tar that is damaged or cut short is an error."""

from __future__ import annotations

import io
import tarfile
from typing import Any

import pytest

from vlm_datakit.conversation import Origin, Rejected, Row
from vlm_datakit.errors import Reason, SourceError
from vlm_datakit.sources.jsonl import Span
from vlm_datakit.sources.tar_members import read_tar


def tar(*members: tuple[str, bytes | None], format_: int = tarfile.PAX_FORMAT) -> bytes:
    """Return a tar of files; None makes a link."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format_) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data or b"")
            if data is None:
                info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(info, io.BytesIO(data or b""))
    return out.getvalue()


def read(data: bytes, **span: Any) -> list[Row | Rejected]:
    """Read the rows of these bytes."""
    return list(read_tar(io.BytesIO(data), Span("a.tar", **span)))


FORMATS = [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT]


@pytest.mark.parametrize("format_", FORMATS)
def test_members_of_one_key_are_a_row(format_: int) -> None:
    data = tar(
        ("d/1.JPG", b"\xff\xd8"),
        ("d/1.left.txt", "é\n".encode()),
        ("d/1.json", b'{"a": "007"}'),
        ("d/1.cls", b"3"),
        ("d/2.x/3.txt", b"of a folder with a dot"),
        ("d/1.cls", b"4"),
        format_=format_,
    )

    first, second, third = read(data, keep_raw=True)

    fields = {"jpg": b"\xff\xd8", "left.txt": "é\n", "json": {"a": "007"}, "cls": "3"}
    assert first[:2] == (Origin("a.tar/d/1", 0, 1), {"__key__": "d/1", **fields})
    assert second.origin == Origin("a.tar/d/2.x/3", 1, 2)
    assert third == Row(
        Origin("a.tar/d/1", 2, 3),
        {"__key__": "d/1", "cls": "4"},
        b'{"__key__": "d/1", "cls": "4"}',
    )


def test_what_has_no_key_is_passed_by() -> None:
    data = tar(("README", b"x"), (".DS_Store", b"x"), ("d/._1.jpg", b"x"), ("1.txt", b"x"))

    assert [row.fields for row in read(data) if isinstance(row, Row)] == [
        {"__key__": "1", "txt": "x"}
    ]


@pytest.mark.parametrize(
    ("suffix", "data", "seen"),
    [
        pytest.param("txt", b"\xff", "not UTF-8: invalid start byte", id="no text"),
        pytest.param("json", b"{", "not JSON: unexpected end of data", id="no JSON"),
        pytest.param("png", None, "a link or a device, no file", id="a link"),
        pytest.param("cls", b"2", "two members have this suffix", id="twice"),
    ],
)
def test_a_bad_member_refuses_its_row(suffix: str, data: bytes | None, seen: str) -> None:
    rows = read(tar(("1.cls", b"1"), (f"1.{suffix}", data), ("1.jpg", b"1"), ("2.cls", b"1")))

    assert len(rows) == 2
    assert isinstance(rows[0], Rejected)
    assert (rows[0].reason, rows[0].where) == (Reason.MEMBER_INVALID, f"$.{suffix}")
    assert rows[0].seen.startswith(seen)
    assert rows[1] == Row(Origin("a.tar/2", 1, 2), {"__key__": "2", "cls": "1"})


def test_members_too_large_together_refuse_their_row() -> None:
    refused, row = read(
        tar(("1.jpg", b"x" * 30), ("1.png", b"x" * 11), ("2.jpg", b"x" * 40)), max_line_bytes=40
    )

    assert refused == Rejected(
        Origin("a.tar/1", 0, 1), Reason.LINE_TOO_LONG, "$.png", "over 40 bytes"
    )
    assert isinstance(row, Row)


@pytest.mark.parametrize("format_", FORMATS)
def test_no_cut_passes_for_the_end(format_: int) -> None:
    name = f"{'long' * 40}/1.txt" if format_ != tarfile.USTAR_FORMAT else "1.txt"
    data = tar((name, b"x" * 700), ("2.txt", b"y"), format_=format_)
    end = len(data.rstrip(b"\0")) // tarfile.BLOCKSIZE * tarfile.BLOCKSIZE + tarfile.BLOCKSIZE

    for size in range(0, end + 1, 64):
        with pytest.raises(SourceError, match=r"^a\.tar: "):
            read(data[:size])
    assert len(read(data[: end + 2 * tarfile.BLOCKSIZE])) == 2


def test_a_damaged_head_is_no_end() -> None:
    data = bytearray(tar(("1.txt", b"x"), ("2.txt", b"y"), ("3.txt", b"z")))
    data[2 * tarfile.BLOCKSIZE + 150] ^= 1

    with pytest.raises(SourceError, match=r"^a\.tar: the tar is damaged at byte 1,024$"):
        read(bytes(data))


def test_an_empty_tar_has_no_rows() -> None:
    assert read(tar()) == []
