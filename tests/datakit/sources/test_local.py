"""Names on a command line: which files, which splits, and what cannot be read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import PIL.Image
import pytest

from vlm_datakit.errors import SourceError, UsageError
from vlm_datakit.sources.local import checked_split, source_files
from vlm_datakit.sources.telling import other_kind


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current folder: a.jsonl, b.jsonl and sub with splits in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    for name in ("a.jsonl", "b.jsonl", "sub/train.jsonl", "sub/train-1.jsonl", "sub/test.ndjson"):
        (tmp_path / name).write_bytes(b"{}\n")
    (tmp_path / "sub" / "training.jsonl").write_bytes(b"{}\n")
    return tmp_path


def places(names: list[str], split: str | None = None) -> list[tuple[str, str]]:
    """Return split and name of the files that names stand for."""
    return [(file.split, file.name) for file in source_files(names, split)]


@pytest.mark.parametrize(
    ("names", "split", "found"),
    [
        pytest.param(["a.jsonl"], None, [("train", "a.jsonl")], id="one file"),
        pytest.param(["a.jsonl"], "test", [("test", "a.jsonl")], id="another split"),
        pytest.param(["dev=a.jsonl"], "test", [("dev", "a.jsonl")], id="its own split"),
        pytest.param(["dev-1=a.jsonl"], None, [("dev_1", "a.jsonl")], id="a dash"),
        pytest.param(
            ["b.jsonl", "test=a.jsonl"], None, [("train", "b.jsonl"), ("test", "a.jsonl")], id="two"
        ),
        pytest.param(["./sub/../a.jsonl"], None, [("train", "a.jsonl")], id="dots"),
        pytest.param(
            ["sub"], None, [("train", "train-1.jsonl"), ("train", "train.jsonl")], id="a folder"
        ),
        pytest.param(["sub"], "test", [("test", "test.ndjson")], id="a folder's split"),
        pytest.param(
            ["a.jsonl", "sub/train.jsonl"],
            None,
            [("train", "a.jsonl"), ("train", "sub/train.jsonl")],
            id="named below their common folder",
        ),
        pytest.param(["-"], None, [("train", "stdin")], id="standard input"),
        pytest.param(["test=-"], None, [("test", "stdin")], id="standard input's split"),
    ],
)
def test_names_stand_for_files_and_splits(
    folder: Path, names: list[str], split: str | None, found: list[tuple[str, str]]
) -> None:
    assert places(names, split) == found


def test_a_file_is_known_by_size_and_time(folder: Path) -> None:
    os.utime("a.jsonl", ns=(7, 7))

    (file,) = source_files(["a.jsonl"], None)

    assert (file.size_bytes, file.mtime_ns, file.is_pipe) == (3, 7, False)
    assert file.path == f"{folder.resolve()}/a.jsonl"


def test_a_file_whose_name_looks_like_a_split_is_that_file(folder: Path) -> None:
    (folder / "dev=a.jsonl").write_bytes(b"{}\n")

    assert places(["dev=a.jsonl"]) == [("train", "dev=a.jsonl")]


@pytest.mark.parametrize(
    "names",
    [["a.jsonl", "test=a.jsonl"], ["a.jsonl", "./a.jsonl"], ["sub", "sub/train.jsonl"], ["-", "-"]],
    ids=" ".join,
)
def test_the_same_file_twice_is_a_usage_error(folder: Path, names: list[str]) -> None:
    with pytest.raises(UsageError, match=r"^the same file is named twice$"):
        source_files(names, None)


@pytest.mark.parametrize(
    ("name", "split"),
    [("train", "train"), ("train-2024", "train_2024"), ("a.b", "a.b"), ("été", "été")],
)
def test_a_split_is_named_as_datasets_accepts(name: str, split: str) -> None:
    assert checked_split(name) == split


@pytest.mark.parametrize("name", ["", ".", "..", "a..b", "a/b", "../a", "a b", "a\n", "a*", "a\0"])
def test_no_text_becomes_part_of_a_path_unchecked(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        checked_split(name)

    words = f"{name!r} is no split name: use letters, digits, _ and single dots"
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b"", "the file is empty", id="empty"),
        pytest.param(b"\x1f\x8b", "damaged gzip: it ends too early", id="gzip"),
        pytest.param(b"\x28\xb5\x2f\xfd", "damaged zstd: Truncated", id="zstd"),
        pytest.param(b"%PDF", "not rows but a PDF", id="PDF"),
        pytest.param("{}".encode("utf-16"), "not rows but a binary file", id="UTF-16"),
        pytest.param(b"\x7fELF\0\0", "not rows but a binary file", id="a program"),
        pytest.param(
            b"version https://git-lfs.github.com/spec/v1\n",
            "not rows but a pointer of Git LFS",
            id="a pointer",
        ),
    ],
)
def test_a_file_that_holds_something_else_is_named(folder: Path, data: bytes, words: str) -> None:
    Path("c.jsonl").write_bytes(data)

    with pytest.raises(SourceError) as caught:
        source_files(["c.jsonl"], None)

    assert str(caught.value).startswith(f"c.jsonl: {words}")


def test_a_picture_is_no_source(saved: Callable[..., bytes]) -> None:
    head = saved(PIL.Image.new("RGB", (4, 4)), "JPEG")

    assert other_kind(head) == "a picture (image/jpeg)"
    assert other_kind(b'\xef\xbb\xbf{"a": 1}') is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("no.jsonl", "no.jsonl: no such file", id="missing"),
        pytest.param("dev=no.jsonl", "no.jsonl: no such file", id="missing, with a split"),
        pytest.param(
            "sub/name@main",
            "sub/name@main: no such file; a data set on the Hub is named "
            "hf://datasets/sub/name@main where that is a folder here",
            id="a Hub name, but for a folder here",
        ),
        pytest.param("fifo", "fifo: not a regular file", id="a FIFO"),
        pytest.param(
            "dev=sub",
            "sub: no dev.jsonl, dev-*.parquet or the like in this folder, no pictures, and "
            "not a finished import; files of rows in it: test.ndjson, train-1.jsonl, train.jsonl, "
            "training.jsonl",
            id="no such split",
        ),
    ],
)
def test_a_name_that_is_no_source_says_so(folder: Path, name: str, words: str) -> None:
    os.mkfifo("fifo")

    with pytest.raises(SourceError) as caught:
        source_files([name], None)

    assert str(caught.value) == words


def test_a_split_with_a_dash_finds_the_file_of_that_name_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "train-2024.jsonl").write_text("{}\n")

    (file,) = source_files([str(tmp_path)], "train-2024")

    assert (file.split, file.name) == ("train_2024", "train-2024.jsonl")
