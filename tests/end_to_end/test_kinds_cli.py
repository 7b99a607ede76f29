"""Sources of every kind: equal rows give equal shards, and what is damaged commits nothing."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROWS = 30
STREAMED = ["jsonl.gz", "jsonl.zst", "json", "json.gz", "csv", "tsv", "csv.gz", "stream"]
SOUGHT = ["parquet", "arrow", "zip"]


def zstd(data: bytes) -> bytes:
    out = pa.BufferOutputStream()
    with pa.CompressedOutputStream(out, "zstd") as stream:
        stream.write(data)
    return out.getvalue().to_pybytes()


def written(rows: list[dict[str, str]]) -> dict[str, bytes]:
    """Return the rows as each kind of file."""
    lines = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    tables = {}
    for delimiter in ",\t":
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
        tables[delimiter] = text.getvalue().encode()
    table = pa.Table.from_pylist(rows)
    outs = [io.BytesIO() for _ in range(4)]
    pq.write_table(table, outs[0], row_group_size=4)
    with pa.ipc.new_file(outs[1], table.schema) as writer:
        writer.write_table(table)
    with pa.ipc.new_stream(outs[2], table.schema) as writer:
        writer.write_table(table)
    with zipfile.ZipFile(outs[3], "w") as archive:
        archive.writestr("a.jsonl", lines)
    array = json.dumps(rows, indent=2).encode()
    return {
        "jsonl": lines,
        "jsonl.gz": gzip.compress(lines[:99]) + gzip.compress(lines[99:]),
        "jsonl.zst": zstd(lines[:99]) + zstd(lines[99:]),
        "json": array,
        "json.gz": gzip.compress(array),
        "csv": tables[","],
        "tsv": tables["\t"],
        "csv.gz": gzip.compress(tables[","]),
        "parquet": outs[0].getvalue(),
        "arrow": outs[1].getvalue(),
        "stream": outs[2].getvalue(),
        "zip": outs[3].getvalue(),
    }


@pytest.fixture(scope="module")
def files(tmp_path_factory, png_bytes) -> Path:
    """A folder with the same rows in a file of each kind, and the pictures they name."""
    folder = tmp_path_factory.mktemp("kinds")
    (folder / "0.png").write_bytes(png_bytes(20, 10))
    rows = [
        {"id": f"{i}", "text": f'"{i}",\n é?', "image": "0.png", "response": f"00{i}"}
        for i in range(ROWS)
    ]
    for kind, data in written(rows).items():
        (folder / f"in.{kind}").write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def shards(files: Path, tmp_path_factory, tree) -> dict[str, bytes]:
    """What the import of the JSON lines writes."""
    out = tmp_path_factory.mktemp("out") / "set"
    command = [sys.executable, "-m", "vlm_datakit", "import", "in.jsonl", "-q", "-o", str(out)]
    subprocess.run(command, cwd=files, check=True, timeout=60)
    return data_of(tree(out))


def data_of(written: dict[str, bytes]) -> dict[str, bytes]:
    """Return the shards among the files of an output folder."""
    return {name: data for name, data in written.items() if name.startswith("data/")}


@pytest.mark.parametrize("kind", [*STREAMED, *SOUGHT])
def test_equal_rows_give_equal_shards(cli, files, shards, tmp_path, tree, kind) -> None:
    done = cli(["import", files / f"in.{kind}", "-o", "set", "--workers", 2])

    assert done.code == 0, done.err
    assert data_of(tree(tmp_path / "set")) == shards


@pytest.mark.parametrize("kind", STREAMED)
def test_what_can_be_streamed_comes_through_pipes(cli, files, shards, tmp_path, tree, kind) -> None:
    data = (files / f"in.{kind}").read_bytes()
    command = ["import", "-", "-o", "set", "--image-root", files, "--workers", 2, "-q"]

    done = cli(command, input=data)

    assert done.code == 0, done.err
    assert data_of(tree(tmp_path / "set")) == shards


@pytest.mark.parametrize("kind", SOUGHT)
def test_what_is_read_from_its_end_is_refused_in_a_pipe(cli, files, tmp_path, kind) -> None:
    done = cli(["convert", "--to", "openai"], input=(files / f"in.{kind}").read_bytes())

    assert (done.code, done.out) == (3, b"")
    assert b"is read from its end, which a pipe does not give: save it" in done.err


@pytest.mark.parametrize("kind", [*STREAMED, *SOUGHT])
def test_every_kind_is_converted_and_validated(cli, files, kind) -> None:
    rows = cli(["convert", files / "in.jsonl", "--to", "openai", "-q"]).out

    converted = cli(["convert", files / f"in.{kind}", "--to", "openai", "-q"])
    validated = cli(["validate", files / f"in.{kind}", "--json"])

    assert (converted.code, converted.out) == (0, rows)
    assert json.loads(validated.out)["good"] == ROWS


@pytest.mark.parametrize("kind", [*STREAMED, *SOUGHT])
def test_what_is_cut_short_commits_nothing(cli, files, tmp_path, kind) -> None:
    if kind in ("csv", "tsv", "csv.gz"):
        whole = (files / "in.csv").read_bytes()
        data = whole[: whole.rindex("é".encode())]  # inside of a quoted cell
        data = gzip.compress(data) if kind == "csv.gz" else data
    else:
        data = (files / f"in.{kind}").read_bytes()[:-9]
    (tmp_path / "in.x").write_bytes(data)

    done = cli(["import", "in.x", "-o", "set", "--from", "simple", "--image-root", files])

    assert done.code == 3, done.err
    assert b"error: in.x" in done.err
    assert not (tmp_path / "set" / "manifest.json").exists()


def test_convert_with_workers_takes_packed_lines_and_no_others(cli, files) -> None:
    rows = cli(["convert", files / "in.jsonl", "--to", "openai", "-q"]).out

    lines = cli(["convert", files / "in.jsonl.gz", "--to", "openai", "-q", "--workers", 2])
    table = cli(["convert", files / "in.csv", "--to", "openai", "-q", "--workers", 2])

    assert (lines.code, lines.out) == (0, rows)
    assert table.code == 2
    assert b"in.csv: CSV is converted by one process: leave out --workers" in table.err


@pytest.mark.parametrize("kind", ["jsonl.gz", "json", "csv"])
def test_a_reader_that_leaves_ends_the_pipe_in_silence(shell, files, kind) -> None:
    many = files / f"many.{kind}"
    rows = [{"text": "x" * 200, "response": "y"}] * 20_000
    many.write_bytes(written(rows)[kind])

    said = shell(
        f"cat {many} | {sys.executable} -m vlm_datakit convert --to openai -q | head -1; "
        "echo ${PIPESTATUS[1]}"
    )

    line, code = said.out.splitlines()
    assert json.loads(line)["messages"]
    assert (int(code), said.err) == (141, "")


def test_refused_rows_can_be_found(cli, tmp_path) -> None:
    (tmp_path / "a.csv").write_bytes(b'text,response\n"a\nb",1\n3\n4,5\n')
    pq.write_table(pa.table({"text": ["a", "b"], "response": ["c", None]}), tmp_path / "a.parquet")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("b/1.jsonl", b'{"text":"a","response":"b"}\n{"text":\n')

    refused = {
        name: cli(["import", name, "-o", "set", "--from", "simple"]).err.decode()
        for name in ("a.csv", "a.parquet", "a.zip")
    }

    assert "refused  a.csv:4 $ cells-invalid: 1 cells, and the header has 2" in refused["a.csv"]
    assert "refused  a.parquet:2 $.response field-missing" in refused["a.parquet"]
    assert "refused  a.zip/b/1.jsonl:2 $ json-invalid" in refused["a.zip"]


def test_members_of_a_zip_that_are_not_read_are_said(cli, tmp_path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("1.jsonl", b'{"text":"a","response":"b"}\n')
        archive.writestr("README.md", b"x")

    done = cli(["import", "a.zip", "-o", "set"])

    assert done.code == 0
    assert b"a.zip: 1 members hold no JSON: README.md" in done.err


FORMAT = """
from vlm_datakit import Format
from vlm_datakit.conversation import Draft, ImageRef, Message, Text
from vlm_datakit.images.kind import classify
from vlm_datakit.formats.simple import FORMAT as SIMPLE
from dataclasses import replace

def parse(fields):
    name = "jpg" if "jpg" in fields else "image"
    label = fields.get("cls") or fields["label"]
    question = Message("user", (ImageRef(), Text("What is it?")))
    image = classify(fields[name], f"$.{name}")
    return Draft((question, Message("assistant", (Text(label),))), (image,))

NAMED = replace(SIMPLE, name="named", parse=parse)
"""


@pytest.fixture
def labelled(tmp_path, png_bytes) -> Path:
    """A folder with two pictures in folders of classes, the same in a tar, and their format."""
    (tmp_path / "mine.py").write_text(FORMAT)
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        for name in ("cat", "dog"):
            (tmp_path / "pics" / name).mkdir(parents=True)
            (tmp_path / "pics" / name / "1.png").write_bytes(picture := png_bytes(20, 10))
            for suffix, data in (("jpg", picture), ("cls", name.encode())):
                info = tarfile.TarInfo(f"{name}1.{suffix}")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return tmp_path


@pytest.mark.parametrize("source", ["pics", "a.tar.gz", "-"])
def test_pictures_of_classes_are_rows(run_cli, labelled, source) -> None:
    data = (labelled / "a.tar.gz").read_bytes() if source == "-" else b""
    command = ["convert", source, "--from", "mine:NAMED", "--to", "simple", "-q"]

    done = run_cli(command, input=data)

    assert done.code == 0, done.err
    assert [json.loads(line)["response"] for line in done.out.splitlines()] == ["cat", "dog"]


def test_what_datasets_wrote_is_read(cli, tmp_path, png_bytes) -> None:
    import datasets

    features = datasets.Features(
        {
            "text": datasets.Value("string"),
            "image": datasets.Image(),
            "response": datasets.ClassLabel(names=["cat", "dog"]),
        }
    )
    data = png_bytes(20, 10)
    rows = [{"text": "?", "image": {"bytes": data}, "response": i} for i in (1, 0)]
    dataset = datasets.Dataset.from_list(rows, features)
    dataset.to_parquet(tmp_path / "train-00000-of-00001.parquet")
    datasets.DatasetDict(train=dataset).save_to_disk(tmp_path / "saved")

    answers = []
    for source in (".", "saved"):
        out = f"set-{source}"
        assert cli(["import", source, "-o", out, "-q"]).code == 0
        said = cli(["convert", out, "--to", "simple", "-q"]).out
        answers.append([json.loads(line)["response"] for line in said.splitlines()])

    assert answers == [["dog", "cat"]] * 2


@pytest.fixture
def large_parquet(tmp_path, png_bytes) -> Path:
    """A Parquet file of twenty slices: 1 MiB each, since its rows name a picture."""
    (tmp_path / "0.png").write_bytes(png_bytes(20, 10))
    noise = os.urandom(1 << 17).hex()
    rows = [
        {"text": noise[i : i + (1 << 17)], "image": "0.png", "response": f"{i}"} for i in range(160)
    ]
    table = pa.Table.from_pylist(rows)
    pq.write_table(
        table, tmp_path / "in.parquet", row_group_size=8, compression="none", use_dictionary=False
    )
    return tmp_path / "in.parquet"


@pytest.mark.slow
def test_a_killed_import_of_parquet_goes_on(
    cli, large_parquet, tmp_path, tree, wait_for: Callable[..., None]
) -> None:
    command = ["import", "in.parquet", "-q", "--workers", "1", "-o"]
    assert cli([*command, "whole"]).code == 0
    started = subprocess.Popen([sys.executable, "-m", "vlm_datakit", *command, "set"], cwd=tmp_path)
    wait_for(lambda: [*(tmp_path / "set").rglob("receipts/00001.json")])
    started.send_signal(signal.SIGKILL)
    started.wait()
    assert not (tmp_path / "set" / "manifest.json").exists()

    again = cli(["import", "in.parquet", "-o", "set", "--workers", 2])

    assert again.code == 0
    assert b"slices were done before" in again.err
    assert data_of(tree(tmp_path / "set")) == data_of(tree(tmp_path / "whole"))


@pytest.mark.slow
def test_jobs_share_the_slices_of_parquet(cli, large_parquet, tmp_path, tree) -> None:
    command = ["import", "in.parquet", "-q", "-o"]
    assert cli([*command, "whole"]).code == 0

    for job in ("1::2", "0::2"):
        assert cli([*command, "set", "--slices", job]).code == 0
    finished = cli(["finish", "set"])

    assert finished.code == 0, finished.err
    assert data_of(tree(tmp_path / "set")) == data_of(tree(tmp_path / "whole"))


@pytest.fixture
def wait_for() -> Callable[..., None]:
    """Wait until something holds, for a while."""

    def wait(holds: Callable[[], object]) -> None:
        end = time.monotonic() + 60
        while not holds():
            assert time.monotonic() < end
            time.sleep(0.005)

    return wait
