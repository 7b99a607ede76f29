"""A file of JSON lines appears whole or not at all."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from vlm_datakit.errors import OutputError
from vlm_datakit.sinks.jsonl import json_line, open_new, write_all


def test_a_row_is_one_line_whatever_its_texts() -> None:
    row = {"text": 'a\nb\r\u2028\0é🙂"', "n": [1, 2.5, None, True]}

    line = json_line(row)

    assert (line.count(b"\n"), line[-1:], json.loads(line)) == (1, b"\n", row)


def test_a_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"

    with open_new(path, overwrite=False) as stream:
        stream.write(b"{}\n")
        assert not path.exists()

    assert [p.name for p in tmp_path.iterdir()] == ["out.jsonl"]
    assert path.read_bytes() == b"{}\n"


def test_a_block_that_fails_leaves_nothing_new(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(b"old")

    with pytest.raises(ZeroDivisionError), open_new(path, overwrite=True) as stream:
        stream.write(b"half")
        raise ZeroDivisionError

    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"old"]


def test_a_file_that_exists_is_replaced_only_on_request(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(b"old")

    with pytest.raises(OutputError) as caught, open_new(path, overwrite=False):
        pass
    with open_new(path, overwrite=True) as stream:
        stream.write(b"new")

    assert str(caught.value) == f"{path}: the file exists; --overwrite replaces it"
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("no/such/out.jsonl", "No such file or directory", id="no folder"),
        pytest.param("folder", "Is a directory", id="a folder"),
    ],
)
def test_a_file_that_cannot_be_written_is_an_output_error(
    tmp_path: Path, name: str, words: str
) -> None:
    (tmp_path / "folder").mkdir()

    with pytest.raises(OutputError) as caught, open_new(tmp_path / name, overwrite=True):
        pass

    assert str(caught.value) == f"{tmp_path / name}: {words}"
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_all_is_written_where_a_stream_takes_a_part() -> None:
    class Takes(io.BytesIO):
        def write(self, data, /) -> int:  # type: ignore[override]
            return super().write(data[:3])

    stream = Takes()

    write_all(stream, b"0123456789")

    assert stream.getvalue() == b"0123456789"
