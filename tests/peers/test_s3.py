"""An S3 that answers as S3 does: sources and shards come out of it as from a disk."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from moto.server import ThreadedMotoServer

from .conftest import ROWS

NAMES = ("rows.jsonl", "rows.jsonl.gz", "rows.jsonl.zst", "rows.parquet", "a+ü [1]*%20 b.jsonl")
KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def there(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What a user sets in the environment."""
    environment = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return environment


@pytest.fixture
def put(there: dict[str, str]) -> Callable[[Path], None]:
    """Put the files of a folder into a bucket of its name."""

    def put_all(folder: Path) -> None:
        client = boto3.client("s3")
        client.create_bucket(Bucket=folder.name)
        for path in filter(Path.is_file, folder.rglob("*")):
            client.upload_file(str(path), folder.name, path.relative_to(folder).as_posix())

    return put_all


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """The same rows in files of several kinds."""
    folder = tmp_path / "sources"
    folder.mkdir()
    lines = "".join(json.dumps(row) + "\n" for row in 40 * ROWS).encode()
    flat = [{"text": f"{number}?", "response": f"{number}"} for number in range(200)]
    (folder / NAMES[0]).write_bytes(lines)
    (folder / NAMES[1]).write_bytes(gzip.compress(lines))
    (folder / NAMES[2]).write_bytes(pa.compress(lines, codec="zstd", asbytes=True))
    pq.write_table(pa.Table.from_pylist(flat), folder / NAMES[3], row_group_size=50)
    (folder / NAMES[4]).write_bytes(lines)
    return folder


def shards(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (out / "data").iterdir()}


@pytest.mark.parametrize("workers", [1, 2])
def test_an_import_writes_the_bytes_of_one_from_disk(
    run_cli: Any, put: Any, disk: Path, tmp_path: Path, workers: int
) -> None:
    put(disk)
    for number, name in enumerate(NAMES):
        from_disk = run_cli(["import", disk / name, "-o", f"disk-{number}"])
        source = f"s3://{disk.name}/{name}"
        from_s3 = run_cli(["import", source, "-o", f"s3-{number}", "--workers", workers])

        assert (from_disk.code, from_s3.code) == (0, 0), from_s3.err
        assert shards(tmp_path / f"s3-{number}") == shards(tmp_path / f"disk-{number}")
    boto3.resource("s3").Bucket(disk.name).objects.all().delete()
    boto3.client("s3").delete_bucket(Bucket=disk.name)


@pytest.mark.parametrize(
    ("address", "changes", "words"),
    [
        pytest.param(
            "s3://nowhere/rows.jsonl",
            {},
            "s3://nowhere/rows.jsonl: no such file: The specified bucket does not exist",
            id="no bucket",
        ),
        pytest.param(
            "s3://there/rows-*.jsonl",
            {},
            "s3://there: no such file: Not Found",
            id="a pattern, no bucket",
        ),
        pytest.param(
            "s3://there/rows.jsonl",
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "HOME": "/nowhere"},
            "s3://there/rows.jsonl: cannot be read: Unable to locate credentials",
            id="no credentials",
        ),
        pytest.param(
            "s3://there/rows.jsonl",
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"},
            "s3://there/rows.jsonl: cannot be read: Could not connect to the endpoint URL: "
            '"http://127.0.0.1:9/there/rows.jsonl"',
            id="nobody answers",
        ),
    ],
)
def test_what_goes_wrong_is_one_line(
    run_cli: Any, there: dict[str, str], address: str, changes: dict[str, str], words: str
) -> None:
    done = run_cli(["import", address, "-o", "set"], env={**there, **changes})

    assert (done.code, done.out) == (3, b"")
    assert done.err.decode() == f"vlm-datakit: error: {words}\n"


def test_the_trainer_reads_the_rows_of_the_folder(
    run_cli: Any, put: Any, disk: Path, tmp_path: Path
) -> None:
    from vlm_trainer.addresses import place_of
    from vlm_trainer.data import ShardSet, find_split

    assert run_cli(["import", disk / NAMES[0], "-o", "finished"]).code == 0
    put(tmp_path / "finished")

    near = ShardSet(find_split(tmp_path / "finished", "train"))
    far = ShardSet(find_split(place_of("s3://finished"), "train"))

    assert [far.get(row) for row in (119, 0, 60)] == [near.get(row) for row in (119, 0, 60)]
    assert list(far.headers()) == list(near.headers())
