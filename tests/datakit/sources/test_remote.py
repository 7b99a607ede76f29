"""Addresses: which are read, what is shown of them, and how what lies there is known."""

from __future__ import annotations

import gzip
import io
import sys
import zipfile
from collections.abc import Callable, Iterator

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from vlm_datakit.errors import SourceError, UsageError
from vlm_datakit.sources.local import source_files
from vlm_datakit.sources.remote import identity_at, is_address, relative_names
from vlm_datakit.sources.slices import cut

Put = Callable[[str, bytes], None]


@pytest.fixture
def put() -> Iterator[Put]:
    """Write a file of the file system in memory: ``put("set/a.jsonl", b"...")``."""
    memory = fsspec.filesystem("memory")

    yield lambda path, data: memory.pipe_file(f"/{path}", data)

    memory.store.clear()
    memory.pseudo_dirs[:] = [""]


def places(names: list[str], split: str | None = None) -> list[tuple[str, str, str]]:
    """Return split, name and path of the files that names stand for."""
    return [(file.split, file.name, file.path) for file in source_files(names, split)]


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        pytest.param("s3://bucket/a.jsonl", True, id="S3"),
        pytest.param("HTTPS://host/a.jsonl", True, id="the web, in capitals"),
        pytest.param("zip://a.jsonl::s3://bucket/a.zip", True, id="a chain"),
        pytest.param("file:///a.jsonl", False, id="this machine"),
        pytest.param("a.jsonl", False, id="a path"),
        pytest.param("owner/name::a.jsonl", False, id="a Hub name"),
        pytest.param("-", False, id="standard input"),
    ],
)
def test_an_address_is_told_by_its_scheme(name: str, answer: bool) -> None:
    assert is_address(name) is answer


@pytest.mark.parametrize(
    ("address", "words"),
    [
        pytest.param(
            "https://me:key@host/a.jsonl?token=key",
            "https://host/a.jsonl: https:// is not read as a source; download it in a pipe: "
            "curl ADDRESS | vlm-datakit ... -",
            id="the web",
        ),
        pytest.param(
            "simplecache::s3://bucket/a.jsonl",
            "simplecache::s3://bucket/a.jsonl: one file system inside another is not read as a "
            "source",
            id="a chain",
        ),
        pytest.param(
            "reference://a.jsonl",
            "reference://a.jsonl: one file system inside another is not read as a source",
            id="a wrapper",
        ),
        pytest.param(
            "nowhere://bucket/a.jsonl",
            "nowhere://bucket/a.jsonl: no file system is known by nowhere://",
            id="unknown",
        ),
        pytest.param(
            "file://host/a.jsonl",
            "a file:// address of another machine is not read as a source",
            id="a file elsewhere",
        ),
    ],
)
def test_an_address_that_is_not_read_is_a_usage_error(address: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        source_files([f"train={address}"], None)

    assert str(caught.value) == words


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("sftp://me:key@host/a.jsonl", id="a password"),
        pytest.param("sftp://me:k/ey@host/a.jsonl", id="a password with a slash"),
        pytest.param("sftp://me:key@host/a.jsonl#key", id="a fragment"),
        pytest.param("sftp://host/a.jsonl?key", id="a query"),
        pytest.param("sftp://host/a.jsonl#key", id="a fragment alone"),
    ],
)
def test_an_address_with_credentials_is_refused_without_showing_them(address: str) -> None:
    with pytest.raises(UsageError) as caught:
        source_files([address], None)

    assert str(caught.value) == (
        "sftp://host/a.jsonl: an address has no password, no query (?) and no fragment (#) here; "
        "backends find credentials in the environment"
    )


@pytest.mark.parametrize(
    ("scheme", "package", "cure"),
    [
        pytest.param("s3", "s3fs", "pip install 'vlm-datakit[s3]'", id="S3"),
        pytest.param("gs", "gcsfs", "pip install 'vlm-datakit[gcs]'", id="Google"),
        pytest.param(
            "abfs",
            "adlfs",
            "Install adlfs to access Azure Datalake Gen2 and Azure Blob Storage",
            id="others: what fsspec says",
        ),
    ],
)
def test_a_package_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, scheme: str, package: str, cure: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed

    with pytest.raises(UsageError) as caught:
        source_files([f"{scheme}://bucket/a.jsonl"], None)

    assert str(caught.value) == (
        f"{scheme}://bucket/a.jsonl: {scheme}:// needs a package that is not there "
        f"(import of {package} halted; None in sys.modules): {cure}"
    )


def test_a_file_is_known_by_its_size_and_version(put: Put) -> None:
    put("set/a.jsonl", b"{}\n")

    (file,) = source_files(["dev=memory://set/a.jsonl"], None)

    assert (file.split, file.name, file.path) == ("dev", "a.jsonl", "memory://set/a.jsonl")
    assert (file.size_bytes, file.mtime_ns, file.is_remote, file.is_pipe) == (3, None, True, False)
    assert identity_at(file.path) == (3, file.etag)


def test_a_scheme_may_be_in_capitals(put: Put) -> None:
    put("set/train.jsonl", b"{}\n")

    (file,) = source_files(["Memory://set/"], None)

    assert file.path == "memory://set/train.jsonl"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        pytest.param(
            FileNotFoundError("The specified bucket does not exist"),
            "no such file: The specified bucket does not exist",
            id="no bucket",
        ),
        pytest.param(FileNotFoundError("bucket/a.jsonl"), "no such file", id="no file"),
        pytest.param(FileNotFoundError("b/bucket/o/a%2Ejsonl"), "no such file", id="of Google"),
        pytest.param(
            OSError(78, "Moved Permanently"), "cannot be read: Moved Permanently", id="301"
        ),
        pytest.param(PermissionError("Access Denied"), "no permission: Access Denied", id="403"),
    ],
)
def test_what_s3_says_is_told_without_a_number_that_means_something_else(
    monkeypatch: pytest.MonkeyPatch, error: OSError, words: str
) -> None:
    def info(*_: object) -> None:
        raise error

    monkeypatch.setattr(MemoryFileSystem, "info", info)

    with pytest.raises(SourceError) as caught:
        identity_at("memory://bucket/a.jsonl")

    assert str(caught.value) == f"memory://bucket/a.jsonl: {words}"


def test_a_file_written_again_is_another(put: Put) -> None:
    put("a.jsonl", b"{}\n")
    before = identity_at("memory://a.jsonl")

    put("a.jsonl", b"[]\n")

    assert identity_at("memory://a.jsonl") != before


@pytest.mark.parametrize(
    ("split", "found"),
    [
        pytest.param(None, ["train-1.jsonl", "train.jsonl"], id="train"),
        pytest.param("dev", ["dev.ndjson"], id="another"),
    ],
)
@pytest.mark.parametrize("address", ["memory://set", "memory://set/"])
def test_a_folder_gives_the_files_of_a_split(
    put: Put, address: str, split: str | None, found: list[str]
) -> None:
    for name in ("train.jsonl", "train-1.jsonl", "training.jsonl", "dev.ndjson", "train/2.jsonl"):
        put(f"set/{name}", b"{}\n")

    expected = [(split or "train", name, f"memory://set/{name}") for name in found]
    assert places([address], split) == expected


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("memory://set/part-*.jsonl", ["part-0.jsonl", "part-1.jsonl"]),
        ("memory://set/part-[1-9]*", ["part-1.jsonl"]),
        ("memory://set/a*.jsonl", ["a*.jsonl"]),
        ("dev=memory://set/*.jsonl", ["a*.jsonl", "ab.jsonl", "part-0.jsonl", "part-1.jsonl"]),
    ],
)
def test_a_wildcard_stands_for_files_of_rows(put: Put, name: str, found: list[str]) -> None:
    for path in ("a*.jsonl", "ab.jsonl", "part-0.jsonl", "part-1.jsonl", "part-1.txt"):
        put(f"set/{path}", b"{}\n")
    put("set/part-1/part-9.jsonl", b"{}\n")

    files = source_files([name], None)

    assert [file.name for file in files] == found
    assert {file.split for file in files} == {"dev" if name.startswith("dev=") else "train"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("memory://no.jsonl", "memory://no.jsonl: no such file", id="missing"),
        pytest.param("memory://empty.jsonl", "memory://empty.jsonl: the file is empty", id="empty"),
        pytest.param(
            "memory://a.parquet",
            "memory://a.parquet: named as Parquet, but it begins otherwise",
            id="no Parquet",
        ),
        pytest.param(
            "memory://set",
            "memory://set: no train.jsonl, train-*.parquet or the like in this folder; files of "
            "rows in it: dev.jsonl",
            id="no such split",
        ),
        pytest.param(
            "memory://photos",
            "memory://photos: no train.jsonl, train-*.parquet or the like in this folder; files of "
            "rows in it: none; a folder of pictures is read from a disk alone",
            id="pictures",
        ),
        pytest.param(
            "memory://set/train-*.jsonl",
            "memory://set/train-*.jsonl: no such file; files of rows in it: dev.jsonl",
            id="a pattern",
        ),
        pytest.param(
            "memory://*/a.jsonl",
            "memory://*/a.jsonl: no such file: wildcards are read in the last name alone",
            id="a pattern of folders",
        ),
        pytest.param(
            "memory://out",
            "memory://out: a finished import already; convert and validate read it from a disk",
            id="a finished import",
        ),
    ],
)
def test_an_address_that_is_no_source_says_so(put: Put, name: str, words: str) -> None:
    put("empty.jsonl", b"")
    put("a.parquet", b"{}")
    put("set/dev.jsonl", b"{}\n")
    put("photos/a.PNG", b"?")
    put("out/manifest.json", b"{}\n")

    with pytest.raises(SourceError) as caught:
        source_files([name], None)

    assert str(caught.value) == words


def test_files_are_named_below_the_common_parent_of_their_scheme(put: Put, tmp_path) -> None:
    for name in ("set/a.jsonl", "set/more/a.jsonl"):
        put(name, b"{}\n")
    (tmp_path / "b.jsonl").write_bytes(b"{}\n")
    names = ["memory://set/more/a.jsonl", f"{tmp_path}/b.jsonl", "memory://set/a.jsonl"]

    found = [name for _, name, _ in places(names)]

    assert found == ["more/a.jsonl", "b.jsonl", "a.jsonl"]


def test_users_are_no_part_of_a_name() -> None:
    addresses = ["sftp://me@one/a.jsonl", "sftp://two/a.jsonl", "s3://bucket/a.jsonl"]

    assert [*relative_names(addresses).values()] == ["one/a.jsonl", "two/a.jsonl", "a.jsonl"]


def test_sources_that_rows_would_be_known_by_alike_are_refused(put: Put, tmp_path) -> None:
    put("set/a.jsonl", b"{}\n")
    (tmp_path / "a.jsonl").write_bytes(b"{}\n")

    with pytest.raises(UsageError) as caught:
        source_files(["memory://set/a.jsonl", f"{tmp_path}/a.jsonl"], None)

    assert str(caught.value) == "the rows of 2 sources would be known as a.jsonl: rename one"


def test_the_same_address_twice_is_a_usage_error(put: Put) -> None:
    put("set/train.jsonl", b"{}\n")

    with pytest.raises(UsageError, match=r"^the same file is named twice$"):
        source_files(["memory://set/", "test=memory://set/train.jsonl"], None)


def test_a_file_address_is_the_path_it_spells(tmp_path) -> None:
    (tmp_path / "a b.jsonl").write_bytes(b"{}\n")

    (file,) = source_files([f"file://{tmp_path}/a%20b.jsonl"], None)

    assert (file.name, file.path) == ("a b.jsonl", f"{tmp_path.resolve()}/a b.jsonl")
    assert file.etag is None


def test_kinds_that_are_read_from_their_end_lie_elsewhere_as_well(put: Put, source_rows) -> None:
    out, archive = io.BytesIO(), io.BytesIO()
    pq.write_table(pa.table({"a": ["x", "y"]}), out, row_group_size=1)
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr("a.jsonl", b'{"a":"x"}\n{"a":"y"}\n')
    put("a.parquet", out.getvalue())
    put("a.zip", archive.getvalue())
    put("a.jsonl.gz", gzip.compress(b'{"a":"x"}\n{"a":"y"}\n'))

    for name in ("a.parquet", "a.zip", "a.jsonl.gz"):
        assert [row.fields["a"] for row in source_rows(f"memory://{name}")] == ["x", "y"]
    (file,) = source_files(["memory://a.parquet"], None)
    assert [(slice_.start, slice_.end) for slice_ in cut([file], 1)] == [(0, 1), (1, 2)]
