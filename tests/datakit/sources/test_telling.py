"""What a source is: by its bytes first, its first line next, its name last."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vlm_datakit.errors import SourceError
from vlm_datakit.plan import SourceFile
from vlm_datakit.sources.local import source_files
from vlm_datakit.sources.pipe import Pipe
from vlm_datakit.sources.telling import kind_of_text, told_pipe

STDIN = SourceFile("train", "stdin", "-", None, None)
OBJECT, LIST = b'{"a": 1}\n', b'[{"a": 1}]\n'


def file_of(path: Path, data: bytes) -> SourceFile:
    """Write a file and return what it is told to be."""
    path.write_bytes(data)
    (file,) = source_files([str(path)], None)
    return file


@pytest.mark.parametrize(
    ("head", "suffix", "kind"),
    [
        pytest.param(OBJECT, "jsonl", "jsonl", id="lines"),
        pytest.param(OBJECT, "csv", "jsonl", id="lines named CSV"),
        pytest.param(b"\xef\xbb\xbf\n" + OBJECT, "", "jsonl", id="lines without a name"),
        pytest.param(b'{"a": "' + b"x" * 9, "json", "jsonl", id="a line that goes on"),
        pytest.param(b"{\n", "jsonl", "jsonl", id="a broken line"),
        pytest.param(b"[1]\n", "jsonl", "jsonl", id="a list that is a line"),
        pytest.param(b"", "", "jsonl", id="nothing"),
        pytest.param(b"Dear all,\n", "", "jsonl", id="prose"),
        pytest.param(b"Dear,all\n", "jsonl", "jsonl", id="what is named JSON lines"),
        pytest.param(LIST, "json", "json-array", id="an array"),
        pytest.param(LIST, "", "json-array", id="an array without a name"),
        pytest.param(b"[\n", "jsonl", "json-array", id="an array named JSON lines"),
        pytest.param(b'\xef\xbb\xbf \n[{"a":', "json", "json-array", id="a mark and blanks"),
        pytest.param(b"text,response\r\n", "", "csv", id="a header"),
        pytest.param(b'"text","response"\n', "", "csv", id="a quoted header"),
        pytest.param(b"text\tresponse\n", "", "tsv", id="a header with tabs"),
        pytest.param(b"the question,\n", "csv", "csv", id="any line of CSV"),
        pytest.param(b"a\tb\n", "csv", "tsv", id="tabs in CSV"),
        pytest.param(b"a,b\n", "tsv", "tsv", id="commas in TSV"),
        pytest.param(b"one\n", "", "jsonl", id="one word"),
        pytest.param(b"a,a\n", "", "jsonl", id="a word twice"),
        pytest.param(b"1,2\n", "", "jsonl", id="numbers"),
    ],
)
def test_a_text_is_told_by_its_first_line(head: bytes, suffix: str, kind: str) -> None:
    assert kind_of_text(head, suffix, "a") == kind


@pytest.mark.parametrize("head", [b"{\n", b'{"data": [\n', b'{"a": 1,\n', b' {\r\n  "a": 1\n}\n'])
@pytest.mark.parametrize("suffix", ["json", ""])
def test_one_object_over_lines_is_no_rows(head: bytes, suffix: str) -> None:
    with pytest.raises(SourceError, match=r"^a: one JSON object over several lines is not rows"):
        kind_of_text(head, suffix, "a")


def test_bytes_go_before_names(tmp_path: Path) -> None:
    table, out, ipc, archive, tar = pa.table({"a": ["x"]}), *(io.BytesIO() for _ in range(4))
    pq.write_table(table, out)
    with pa.ipc.new_stream(ipc, table.schema) as writer:
        writer.write_table(table)
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr("a.jsonl", OBJECT)
    with tarfile.open(fileobj=tar, mode="w") as members:
        members.addfile(tarfile.TarInfo("1.txt"))
    expected = {"parquet": out, "arrow-stream": ipc, "zip": archive, "tar": tar}

    kinds = [file_of(tmp_path / "a.jsonl", data.getvalue()).kind for data in expected.values()]

    assert kinds == [*expected]


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [("a.jsonl", OBJECT, "jsonl"), ("a.json.gz", LIST, "json-array"), ("a.csv.gz", b"x\n", "csv")],
)
def test_what_is_packed_is_told_by_what_comes_out(
    tmp_path: Path, name: str, data: bytes, kind: str
) -> None:
    file = file_of(tmp_path / name, gzip.compress(data))

    assert (file.kind, file.packing) == (kind, "gzip")


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        pytest.param("a.parquet", b"{}", "named as Parquet, but it begins otherwise", id="name"),
        pytest.param(
            "a.gz", gzip.compress(b"PAR1"), "Parquet inside gzip; unpack it first", id="Parquet"
        ),
        pytest.param(
            "a.gz", gzip.compress(gzip.compress(b"{}")), "gzip inside gzip; unpack it", id="twice"
        ),
        pytest.param("a.csv", "a,b\n".encode("utf-16"), "not rows but a binary file", id="UTF-16"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    with pytest.raises(SourceError) as caught:
        file_of(tmp_path / name, data)

    assert str(caught.value).startswith(f"{tmp_path / name}: {words}")


@pytest.mark.parametrize(
    ("data", "kind"),
    [(OBJECT, "jsonl"), (LIST, "json-array"), (b"text,response\n", "csv"), (b"", "jsonl")],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["as it is", "gzip"])
def test_a_pipe_is_told_and_unpacked(data: bytes, kind: str, pack) -> None:
    pipe = Pipe(io.BytesIO(pack(data)))

    file = told_pipe(STDIN, pipe)

    assert (file.kind, file.packing) == (kind, None)
    assert pipe.readline(100) == data


@pytest.mark.parametrize(
    ("head", "title"),
    [(b"PAR1", "Parquet"), (b"ARROW1\0\0", "an Arrow file"), (b"PK\3\4", "a zip archive")],
)
def test_a_pipe_is_not_read_from_its_end(head: bytes, title: str) -> None:
    with pytest.raises(SourceError, match=f"^stdin: {title} is read from its end, which a pipe"):
        told_pipe(STDIN, Pipe(io.BytesIO(head + bytes(100))))
