"""``--fetch`` as a person meets it: off by default, curable by a rerun, never twice the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import vlm_datakit
from vlm_datakit import ConvertRequest, FetchPolicy, ImportRequest, convert_as, import_dataset
from vlm_datakit.errors import Reason, RowError, UsageError

IMPORT = ["import", "in.jsonl", "-o", "set", "-q", "--fetch", "--fetch-allow", "127.0.0.1"]


@pytest.fixture
def rows_of(tmp_path: Path, write_jsonl: Any, chat: Any) -> Callable[..., Path]:
    """Write in.jsonl with one row for each URL."""

    def write(*urls: str) -> Path:
        return write_jsonl(tmp_path / "in.jsonl", [chat("?", url, url) for url in urls])

    return write


@pytest.fixture
def pictures(serve: Any, png_bytes: Any) -> Any:
    """A server with nine pictures, /0.png to /8.png, each of its own size."""
    return serve({f"/{n}.png": serve.http(png_bytes(4 + n, 3)) for n in range(9)})


def test_without_the_flag_nothing_is_asked_for_and_the_flag_is_named(cli, rows_of, pictures):
    rows_of(pictures.url("/0.png"))

    done = cli(["import", "in.jsonl", "-o", "set"])

    assert (done.code, pictures.connections) == (6, 0)
    assert b"image-url-not-fetched" in done.err
    assert b"--fetch fetches pictures named by URL" in done.err


def test_an_import_fetches_in_order_and_leaves_no_cache(cli, rows_of, pictures, tmp_path):
    rows_of(*(pictures.url(f"/{n % 9}.png") for n in range(40)))

    done = cli(IMPORT)

    assert done.code == 0, done.err
    shards = vlm_datakit.open_shards(tmp_path / "set", "train")
    assert [shards.get(n).images[0].width_px for n in range(40)] == [4 + n % 9 for n in range(40)]
    assert set(pictures.counts().values()) == {1}
    assert not (tmp_path / "set/.vlm/fetched").exists()


@pytest.mark.parametrize(
    ("command", "key"),
    [(["convert", "--to", "simple"], "image"), (["validate", "--json"], "images")],
)
def test_other_commands_fetch_too_and_leave_nothing(cli, rows_of, pictures, tmp_path, command, key):
    rows_of(pictures.url("/0.png"))
    (tmp_path / "tmp").mkdir()
    arguments = [command[0], "in.jsonl", *command[1:], "--fetch", "--fetch-allow", pictures.host]

    done = cli(arguments, env={"TMPDIR": str(tmp_path / "tmp")})

    assert done.code == 0, done.err
    assert str(json.loads(done.out)[key])[:22] in ("data:image/png;base64,", "1")
    assert pictures.paths == ["/0.png"]
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_private_address_needs_to_be_allowed(cli, rows_of, pictures):
    rows_of(pictures.url("/0.png"))

    done = cli(["import", "in.jsonl", "-o", "set", "--fetch"])

    assert (done.code, pictures.connections) == (6, 0)
    assert b"image-url-refused: the address 127.0.0.1 is loopback: " in done.err
    assert b"(--fetch-allow HOST admits a private image server of your own)" in done.err


def test_no_environment_variable_allows_it(cli, rows_of, pictures):
    rows_of(pictures.url("/0.png"))
    env = dict.fromkeys(("NO_PROXY", "no_proxy", "VLM_FETCH_ALLOW", "FETCH_ALLOW"), "*")

    done = cli(["import", "in.jsonl", "-o", "set", "-q", "--fetch"], env=env)

    assert (done.code, pictures.connections) == (6, 0)


@pytest.mark.parametrize(
    "given", [["--fetch-allow", "127.0.0.1"], ["--fetch", "--fetch-allow", "http://127.0.0.1"]]
)
@pytest.mark.parametrize(
    "command", [["import", "-o", "set"], ["convert", "--to", "simple"], ["validate"]]
)
def test_an_allowed_host_without_fetch_or_sense_is_an_error_of_usage(
    cli, rows_of, pictures, tmp_path, command, given
):
    rows_of(pictures.url("/0.png"))

    done = cli([command[0], "in.jsonl", *command[1:], *given])

    assert (done.code, done.out, (tmp_path / "set").exists()) == (2, b"", False)
    assert b"--fetch-allow" in done.err


def test_what_failed_is_cured_by_a_rerun_that_fetches_only_that(
    cli, rows_of, serve, png_bytes, tree, tmp_path
):
    answers = {"/a.png": serve.http(png_bytes()), "/b.png": serve.http(status=500)}
    server = serve(answers)
    rows_of(server.url("/a.png"), server.url("/b.png"))

    refused = cli(IMPORT)
    answers["/b.png"] = serve.http(png_bytes(5, 5))
    done = cli(IMPORT)

    said = refused.err.decode()
    assert refused.code == 6
    assert "1 of them name pictures that could not be fetched; a rerun asks again" in said
    assert (done.code, done.err.count(b"2 rows written")) == (0, 1)
    assert server.counts() == {"/a.png": 1, "/b.png": 2}


def test_what_is_refused_is_asked_for_no_more(cli, rows_of, serve, tmp_path):
    server = serve({"/a.png": serve.redirect("http://169.254.169.254/")})
    rows_of(server.url("/a.png"))

    assert [cli(IMPORT).code, cli(IMPORT).code] == [6, 6]
    assert len(server.asked) == 1


def test_another_plan_finds_what_was_fetched(cli, rows_of, pictures, tmp_path):
    rows_of(pictures.url("/0.png"), pictures.url("/none.png"))

    first = cli(IMPORT)
    other = cli([*IMPORT, "--rejects-raw", "--max-rejects", "1"])

    assert (first.code, other.code) == (6, 0)
    assert pictures.counts() == {"/0.png": 1, "/none.png": 2}


def test_killed_in_mid_fetch_the_same_command_ends_with_the_same_bytes(
    rows_of, serve, png_bytes, tree, tmp_path, cli
):
    free, held = threading.Event(), threading.Event()

    def answer(asked: Any) -> bytes:
        if asked.path == "/20.png" and not free.is_set():
            held.set()
            free.wait(10)
        return serve.http(png_bytes(4 + int(asked.path[1:-4]), 3))

    server = serve(answer)
    rows_of(*(server.url(f"/{n}.png") for n in range(40)))
    command = [sys.executable, "-m", "vlm_datakit", *IMPORT]
    with subprocess.Popen(command, cwd=tmp_path) as process:
        assert held.wait(10)
        urls = tmp_path / "set/.vlm/fetched/urls"
        while len([path for path in urls.iterdir() if path.name[0] != "."]) < 39:
            time.sleep(0.01)  # all but the one that is held back
        process.kill()
    free.set()

    again, whole = cli(IMPORT), cli([*IMPORT[:2], "-o", "whole", *IMPORT[4:]])

    assert (again.code, whole.code) == (0, 0), again.err
    counts = server.counts()
    assert {path for path, count in counts.items() if count != 2} == {"/20.png"}  # 2: and whole
    assert counts["/20.png"] == 3
    mine, other = tree(tmp_path / "set"), tree(tmp_path / "whole")
    assert {name: data for name, data in mine.items() if name != "README.md"} == {
        name: data for name, data in other.items() if name != "README.md"
    }


def test_ctrl_c_ends_a_run_at_once_while_a_server_drips(rows_of, serve, tmp_path):
    asked_for = threading.Event()

    def answer(asked: Any) -> None:
        asked_for.set()
        serve.dripping(serve.http(bytes(999)), 0.1)(asked)

    server = serve(answer)
    rows_of(*(server.url(f"/{n}.png") for n in range(40)))
    command = [sys.executable, "-m", "vlm_datakit", *IMPORT]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE) as process:
        assert asked_for.wait(10)
        before = time.monotonic()
        os.kill(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=10)

    assert process.returncode == 130
    assert said == b"vlm-datakit: interrupted; the same command goes on\n"
    assert time.monotonic() - before < 2


def test_python_fetches_through_a_request(pictures, tmp_path, chat, data_uri, png_bytes):
    rows = [chat("?", "!", pictures.url("/0.png"))]
    policy = FetchPolicy(allowed=("127.0.0.1",))

    (row,) = convert_as(rows, ConvertRequest("openai", "simple", fetch=policy))
    with pytest.raises(RowError) as refused:
        list(convert_as(rows, ConvertRequest("openai", "simple", fetch=FetchPolicy())))
    with pytest.raises(RowError) as not_fetched:
        list(vlm_datakit.convert(rows, source="openai", target="simple"))

    assert row["image"] == data_uri(png_bytes(4, 3))
    assert refused.value.reason is Reason.IMAGE_URL_REFUSED
    assert not_fetched.value.reason is Reason.IMAGE_URL_NOT_FETCHED


def test_a_host_that_is_none_is_an_error_of_usage_before_anything_is_written(tmp_path, rows_of):
    source = str(rows_of("http://a/"))
    policy = FetchPolicy(allowed=("*",))

    with pytest.raises(UsageError):
        convert_as([], ConvertRequest("openai", "simple", fetch=policy))
    with pytest.raises(UsageError):
        import_dataset(ImportRequest((source,), fetch=policy), tmp_path / "set")

    assert not (tmp_path / "set").exists()
