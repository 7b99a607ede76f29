"""Sources in a bucket: the same bytes as from a disk, whatever happens on the way."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest

from vlm_datakit.errors import UsageError
from vlm_datakit.importing import ImportRequest, import_dataset
from vlm_datakit.plan import RejectsAllowed
from vlm_datakit.runner.run import RunOptions

HERE = Path(__file__).parent
NAMES = ["0.jsonl", "1.jsonl", "2.jsonl"]  # each is at least one slice
BUCKET = [f"bucket://rows/set/{name}" for name in NAMES]
ROWS, LONG = 40, "?" * 2_500  # 105 KB a file: more than the bytes of a first look
ONE_REFUSED = RunOptions(RejectsAllowed(1))


@pytest.fixture
def disk(tmp_path: Path, write_jsonl, data_uri, png_bytes) -> Path:
    """A folder of three files with pictures in them; one row of the second is broken."""
    (tmp_path / "disk").mkdir()
    for n, name in enumerate(NAMES):
        picture = data_uri(png_bytes(5 + n, 4))
        rows = [
            {"text": f"{n} + {m}{LONG}", "image": picture, "response": f"{m}"} for m in range(ROWS)
        ]
        write_jsonl(tmp_path / "disk" / name, [*rows, *([b"{cut"] if n == 1 else [])])
    return tmp_path / "disk"


@pytest.fixture
def whole(disk: Path, tmp_path: Path, tree) -> dict[str, bytes]:
    """What an import of the folder writes, without what tells where the rows came from."""
    sources = tuple(str(disk / name) for name in NAMES)
    import_dataset(ImportRequest(sources), tmp_path / "whole", ONE_REFUSED)
    return told(tree(tmp_path / "whole"))


def told(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: data for name, data in files.items() if name.startswith(("data/", "rejects/"))}


@pytest.fixture
def bucket(disk: Path, tmp_path: Path) -> Path:
    """The same files in a bucket."""
    return Path(shutil.copytree(disk, tmp_path / "buckets" / "rows" / "set"))


@pytest.fixture
def run(run_cli, bucket: Path, tmp_path: Path) -> Callable[..., Any]:
    """Run a command in a process that knows the file system of buckets.py as a plug-in."""
    facts = tmp_path / "plugin" / "buckets-1.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: buckets\nVersion: 1\n")
    (facts / "entry_points.txt").write_text("[fsspec.specs]\nbucket = buckets:Bucket\n")
    path = os.pathsep.join([str(facts.parent), str(HERE), os.environ.get("PYTHONPATH", "")])
    env = {"PYTHONPATH": path, "BUCKETS": str(tmp_path / "buckets")}

    def run_it(*args: object) -> Any:
        return run_cli(args, env=env)

    return run_it


def error_line(err: bytes) -> str:
    """Return the last line, which must be the error; no traceback and no secret is shown."""
    assert b"Traceback" not in err, err.decode()
    assert b"secret" not in err
    return err.decode().splitlines()[-1].removeprefix("vlm-datakit: error: ")


def test_an_import_from_memory_writes_the_bytes_of_one_from_disk(disk, whole, tmp_path, tree):
    memory = fsspec.filesystem("memory")
    for name in NAMES:
        memory.pipe_file(f"/set/{name}", (disk / name).read_bytes())
    sources = tuple(f"memory://set/{name}" for name in NAMES)

    summary = import_dataset(ImportRequest(sources), tmp_path / "set", ONE_REFUSED)
    again = import_dataset(ImportRequest(sources), tmp_path / "set", ONE_REFUSED)
    memory.store.clear()

    assert (summary.rows, summary.rejected, again.finished_before) == (3 * ROWS + 1, 1, True)
    assert told(tree(tmp_path / "set")) == whole


def test_any_number_of_workers_writes_the_bytes_of_an_import_from_disk(run, whole, tmp_path, tree):
    one = run("import", *BUCKET, "-o", "1/set", "--max-rejects", 1, "--workers", 1)
    two = run("import", *BUCKET, "-o", "2/set", "--max-rejects", 1, "--workers", 2)

    assert (one.code, two.code) == (0, 0), one.err + two.err
    assert tree(tmp_path / "1/set") == tree(tmp_path / "2/set")
    assert told(tree(tmp_path / "1/set")) == whole


def test_the_manifest_knows_a_file_by_its_etag_and_no_address(run, tmp_path):
    run("import", "train=bucket://rows/set/0.jsonl", "dev=bucket://rows/set/2.jsonl", "-o", "set")

    text = (tmp_path / "set/manifest.json").read_text()
    files = json.loads(text)["plan"]["files"]
    assert [(file["split"], file["name"]) for file in files] == [
        ("train", "0.jsonl"),
        ("dev", "2.jsonl"),
    ]
    assert [(len(file["etag"]), file["mtime_ns"]) for file in files] == [(32, None)] * 2
    assert "bucket://" not in text


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        pytest.param(
            "reset 90000",
            "1.jsonl: cannot be read: An error (RequestTimeout) when calling GetObject of "
            "https://bucket.example/a",
            id="the connection",
        ),
        pytest.param("cut 90000", "1.jsonl: ended at byte 90,000 of {size:,}", id="fewer bytes"),
    ],
)
def test_after_a_failure_half_way_the_same_command_goes_on(
    run, bucket, whole, *, tmp_path, tree, trouble, words, workers
):
    command = ["import", *BUCKET, "-o", "set", "--max-rejects", 1, "--workers", workers]
    (bucket / "1.jsonl.trouble").write_text(trouble)

    failed = run(*command)
    (bucket / "1.jsonl.trouble").unlink()
    done = run(*command, "--json")

    size = (bucket / "1.jsonl").stat().st_size
    assert (failed.code, error_line(failed.err)) == (3, words.format(size=size))
    assert done.code == 0, done.err
    assert workers == 2 or json.loads(done.out)["slices_resumed"] == 1
    assert told(tree(tmp_path / "set")) == whole


def test_a_file_that_changes_while_it_is_read_is_not_committed(run, bucket, tmp_path):
    (bucket / "1.jsonl.trouble").write_text("changing")

    done = run("import", *BUCKET, "-o", "set", "--max-rejects", 1, "--workers", 1)

    words = "1.jsonl: changed while it was imported; nothing was committed, run again"
    assert (done.code, error_line(done.err)) == (3, words)
    assert [path.name for path in (tmp_path / "set").iterdir()] == [".vlm"]


def test_another_etag_makes_another_plan(run, bucket):
    command = ["import", BUCKET[0], "-o", "set"]
    first, second = run(*command), run(*command)
    (bucket / "0.jsonl").write_bytes((bucket / "0.jsonl").read_bytes().replace(b"0 + 1", b"0 + 7"))

    third = run(*command)

    assert (first.code, second.code, third.code) == (0, 0, 5)
    assert b"set: finished before, nothing to do" in second.err
    assert error_line(third.err) == (
        "set: a finished import of another plan (the source files, their sizes or times); "
        "--overwrite replaces it"
    )


@pytest.mark.parametrize(
    ("address", "code", "words"),
    [
        pytest.param("bucket://rows/no.jsonl", 3, "bucket://rows/no.jsonl: no such file", id="no"),
        pytest.param(
            "bucket://rows/set/1.jsonl",
            3,
            "bucket://rows/set/1.jsonl: no permission: Forbidden",
            id="forbidden",
        ),
        pytest.param(
            "https://me:secret@host/a.jsonl?key=secret",
            2,
            "https://host/a.jsonl: https:// is not read as a source; download it in a pipe: "
            "curl ADDRESS | vlm-datakit ... -",
            id="the web",
        ),
        pytest.param(
            "bucket://me:secret@rows/a.jsonl#secret",
            2,
            "bucket://rows/a.jsonl: an address has no password, no query (?) and no fragment (#) "
            "here; backends find credentials in the environment",
            id="credentials",
        ),
    ],
)
def test_an_address_that_cannot_be_read_is_one_line(run, bucket, tmp_path, *, address, code, words):
    (bucket / "1.jsonl.trouble").write_text("forbidden")

    done = run("import", address, "-o", "set")

    assert (done.code, done.out, error_line(done.err)) == (code, b"", words)
    assert len(done.err.splitlines()) == 1
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize("command", [["validate"], ["convert", "--to", "trl"]], ids=" ".join)
def test_other_commands_say_the_same_of_an_address(run, command):
    done = run(*command, "bucket://rows/no.jsonl")

    words = b"vlm-datakit: error: bucket://rows/no.jsonl: no such file\n"
    assert (done.code, done.out, done.err) == (3, b"", words)


def test_jobs_import_from_a_bucket_and_finish_needs_none(run, whole, tmp_path, tree):
    for part in ("0::2", "1::2"):
        assert run("import", *BUCKET, "-o", "set", "--slices", part).code == 0
    shutil.rmtree(tmp_path / "buckets")

    done = run("finish", "set", "--max-rejects", 1)

    assert done.code == 0, done.err
    assert told(tree(tmp_path / "set")) == whole


def test_pictures_beside_a_file_in_a_bucket_are_not_read(run, bucket, write_jsonl, png_bytes):
    (bucket / "a.png").write_bytes(png_bytes())
    write_jsonl(bucket / "0.jsonl", [{"text": "?", "image": "a.png", "response": "!"}])
    command = ["import", BUCKET[0], "-o", "set", "--json"]

    refused = run(*command)
    done = run(*command, "--image-root", bucket)

    assert (refused.code, json.loads(refused.out)["by_reason"]) == (6, {"image-file-missing": 1})
    assert (done.code, json.loads(done.out)["images"]) == (0, 1)


def test_rows_in_a_bucket_are_validated_and_converted(run, disk):
    here, there = disk / "0.jsonl", BUCKET[0]

    validated = [run("validate", source, "--json") for source in (here, there)]
    converted = [run("convert", source, "--to", "trl", "-q") for source in (here, there)]

    assert [done.code for done in (*validated, *converted)] == [0] * 4
    assert validated[0].out == validated[1].out
    assert converted[0].out == converted[1].out


def test_a_folder_of_several_files_is_imported_validated_and_converted(run, bucket, tmp_path):
    for name in NAMES:
        (bucket / name).rename(bucket / f"train-{name}")

    imported = run("import", "bucket://rows/set", "-o", "set", "--max-rejects", 1, "--json")
    validated = run("validate", "bucket://rows/set/", "--json")
    converted = run("convert", "bucket://rows/set", "--to", "trl")

    counts = [json.loads(done.out)["rows"] for done in (imported, validated)]
    assert (imported.code, validated.code, counts) == (0, 6, [3 * ROWS + 1] * 2)
    assert (converted.code, len(converted.out.splitlines())) == (6, 3 * ROWS)


def test_an_import_from_disk_does_not_load_fsspec(disk, tmp_path):
    code = (
        "import sys; from vlm_datakit.importing import ImportRequest, import_dataset\n"
        f"import_dataset(ImportRequest(({str(disk / '0.jsonl')!r},)), {str(tmp_path / 'set')!r})\n"
        "print('fsspec' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)

    assert (done.stdout, done.stderr) == (b"False\n", b"")


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["import", "disk/0.jsonl", "-o", "{}"], id="import"),
        pytest.param(["convert", "disk/0.jsonl", "{}", "--to", "trl"], id="convert"),
        pytest.param(
            ["convert", "disk/0.jsonl", "a.jsonl", "--to", "trl", "--rejects", "{}"], id="rejects"
        ),
        pytest.param(
            ["convert", "disk/0.jsonl", "--to=trl", "--write-images=files", "--image-folder={}"],
            id="pictures",
        ),
        pytest.param(
            ["convert", "disk/0.jsonl", "a.jsonl", "--to", "sharegpt", "--dataset-info", "{}"],
            id="entries",
        ),
        pytest.param(["sample", "-o", "{}"], id="sample"),
        pytest.param(["suggest-mapping", "disk/0.jsonl", "--save-mapping", "{}"], id="mapping"),
        pytest.param(["preview", "disk/0.jsonl", "--save-mapping", "{}"], id="its mapping"),
    ],
)
@pytest.mark.parametrize("scheme", ["s3", "file"])
def test_nothing_is_written_to_an_address(run_cli, disk, *, tmp_path, command, scheme):
    before = [*tmp_path.rglob("*")]

    done = run_cli([word.format(f"{scheme}://me:secret@host/set?key=secret") for word in command])

    words = f"{scheme}://host/set: an address is only read from; write to a path on a disk"
    assert (done.code, done.out, error_line(done.err)) == (2, b"", words)
    assert len(done.err.splitlines()) == 1
    assert [*tmp_path.rglob("*")] == before


def test_a_call_does_not_write_to_an_address_either(disk, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(UsageError, match=r"^s3://bucket/set: an address is only read from"):
        import_dataset(ImportRequest((str(disk / "0.jsonl"),)), "s3://bucket/set")

    assert not (tmp_path / "s3:").exists()
