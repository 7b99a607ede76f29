"""A finished import on the Hub: what goes, what does not, and that it comes back as it was."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vlm_datakit import open_shards

TOKEN = "hf_" + "t" * 34
MINE = {"HF_TOKEN": TOKEN}


def lines(*rows: Any) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


LOADS = """
import json, datasets
found = datasets.load_dataset("me/set")
print(json.dumps({name: len(rows) for name, rows in found.items()}))
print(found["train"][4]["messages"][-1]["content"][0]["text"])
"""


@pytest.fixture
def finished(hub_cli: Any, chat: Callable[..., Any], data_uri: Any, png_bytes: Any, tmp_path: Path):
    """Import rows with pictures, of which one is refused, into the folder ``out``."""

    def run(count: int = 5, *more: str) -> Path:
        uri = data_uri(png_bytes(64, 64, color=(9, 9, 9)))
        good = [chat("What?", f'{{"n": "{n:03}"}}', uri) for n in range(count)]
        (tmp_path / "rows.jsonl").write_bytes(lines(*good) + b'{"secret": "in a row"}\n')
        (tmp_path / "test.jsonl").write_bytes(lines(chat("Who?", "Ann.", uri)))
        given = ["train=rows.jsonl", "test=test.jsonl", "--from", "openai", "--max-rejects", "1"]
        done = hub_cli("import", *given, *more, "-o", "out", "--overwrite")
        assert done.code == 0, done.err
        return tmp_path / "out"

    return run


def rows_of(folder: Path) -> list[Any]:
    return [
        (row.messages, [image.data for image in row.images])
        for split in ("train", "test")
        for row in open_shards(folder, split)
    ]


def test_what_was_pushed_is_imported_with_equal_rows_and_read_by_load_dataset(
    hub: Any, hub_cli: Any, finished: Any, tmp_path: Path
) -> None:
    out = finished()

    pushed = hub_cli("push", "out", "me/set", "--json", env=MINE)
    back = hub_cli("import", "me/set", "--split", "all", "-o", "back", env=MINE)
    stranger = hub_cli("info", "me/set")
    home = {"HF_HOME": str(tmp_path / "other-home"), **hub.env, **MINE, "HF_DATASETS_OFFLINE": "0"}
    loaded = subprocess.run(
        [sys.executable, "-c", LOADS], env={**os.environ, **home}, capture_output=True, check=False
    )

    assert pushed.code == 0, pushed.err
    told = json.loads(pushed.out)
    assert (told["is_new"], told["private"], told["there"]) == (True, True, [])
    assert told["committed"].startswith(f"{hub.env['HF_ENDPOINT']}/datasets/me/set/commit/")
    sent = {path: data for path, data in hub.repos["me/set"].files.items() if path[0] != "."}
    assert {path: (out / path).read_bytes() for path in sent} == sent
    assert sorted(sent)[:2] == ["README.md", "data/test-00001-000.parquet"]
    assert back.code == 0, back.err
    assert rows_of(tmp_path / "back") == rows_of(out)
    assert loaded.returncode == 0, loaded.stderr
    assert loaded.stdout == b'{"train": 5, "test": 1}\n{"n": "004"}\n'
    assert stranger.code == 3
    assert not any("uthorization" in asked.head for asked in hub.store.asked)
    assert TOKEN.encode() not in pushed.out + pushed.err


def test_a_rerun_sends_nothing_and_a_new_import_what_has_changed(
    hub: Any, hub_cli: Any, finished: Any
) -> None:
    finished()
    hub_cli("push", "out", "me/set", env=MINE)
    first = dict(hub.repos["me/set"].files)
    hub.forget()

    again = hub_cli("push", "out", "me/set", env=MINE)
    writes = [asked for asked in hub.asked if not asked.startswith(("GET", "HEAD"))]
    hub.repos["me/set"].files["data/train-00009-000.parquet"] = b"of an earlier push"
    hub.repos["me/set"].files["notes.txt"] = b"kept"
    finished(7)
    changed = hub_cli("push", "out", "me/set", env=MINE)

    assert (again.code, writes) == (0, [])
    assert b"as it was, nothing to send" in again.err
    assert changed.code == 0, changed.err
    assert b"1 there already, 1 deleted" in changed.err
    files = hub.repos["me/set"].files
    assert files.keys() == {*first, "notes.txt"}
    assert files["data/test-00001-000.parquet"] == first["data/test-00001-000.parquet"]
    assert files["data/train-00000-000.parquet"] != first["data/train-00000-000.parquet"]


def test_a_push_that_was_cut_goes_on_and_sends_no_file_twice(
    hub: Any, hub_cli: Any, finished: Any
) -> None:
    finished()
    hub.faults = {"/commit/": [hub.http(b"{}", status=503)] * 9}

    cut = hub_cli("push", "out", "me/set", env=MINE)
    sent = [asked for asked in hub.asked if asked.startswith("PUT")]
    before = dict(hub.repos["me/set"].files)
    hub.faults = {}
    hub.forget()
    done = hub_cli("push", "out", "me/set", env=MINE)

    assert (cut.code, len(sent), [*before]) == (4, 2, [".gitattributes"])
    assert b"me/set: the Hub answers 503; run again" in cut.err
    assert done.code == 0, done.err
    assert not [asked for asked in hub.asked if asked.startswith("PUT")]
    assert "manifest.json" in hub.repos["me/set"].files


def test_after_a_kill_no_file_that_came_through_is_sent_again(
    hub: Any, hub_cli: Any, finished: Any, tmp_path: Path
) -> None:
    finished()
    hub.hangs_up = lambda n: n > 1
    command = [sys.executable, "-m", "vlm_datakit", "push", "out", "me/set"]
    env = {**os.environ, **hub.env, **MINE, "HF_HOME": str(tmp_path / "hf-home")}

    with subprocess.Popen(command, cwd=tmp_path, env=env, stderr=subprocess.DEVNULL) as process:
        while hub.sent < 2:  # it tries again and again
            time.sleep(0.01)
        process.kill()
    hub.hangs_up = lambda _: False
    hub.forget()
    done = hub_cli("push", "out", "me/set", env=MINE)

    assert (process.returncode, done.code) == (-9, 0), done.err
    assert len([asked for asked in hub.asked if asked.startswith("PUT")]) == 1
    assert {"data/train-00000-000.parquet", "manifest.json"} <= hub.repos["me/set"].files.keys()


def test_a_dry_run_says_what_would_go_and_writes_nothing(
    hub: Any, hub_cli: Any, finished: Any
) -> None:
    out = finished()

    words = hub_cli("push", "out", "me/set", "--dry-run", env=MINE)
    told = json.loads(hub_cli("push", "out", "me/set", "--dry-run", "--json", env=MINE).out)

    size = sum(
        path.stat().st_size
        for path in out.rglob("*")
        if ".vlm" not in path.parts and path.is_file()
    )
    assert words.code == 0, words.err
    assert b"me/set (new, private): 5 files" in words.err
    assert b"data/train-00000-000.parquet\n" in words.out
    assert (told["is_new"], told["bytes"], told["committed"]) == (True, size, None)
    assert hub.repos == {}
    assert not [asked for asked in hub.asked if not asked.startswith(("GET", "HEAD"))]


def test_rows_that_were_refused_stay_here_unless_they_are_asked_for(
    hub: Any, hub_cli: Any, finished: Any, tmp_path: Path
) -> None:
    finished(5, "--rejects-raw", "--image-root", str(tmp_path))
    held = hub_cli("push", "out", "me/held", env=MINE)
    asked = hub_cli("push", "out", "me/asked", "--with-raw-rejects", env=MINE)
    hub.forget()
    again = hub_cli("push", "out", "me/held", env=MINE)
    assert b"as it was, nothing to send" in again.err
    finished(5)
    bare = hub_cli("push", "out", "me/bare", env=MINE)

    copy = tmp_path / "copy"  # as anybody has it who downloads the repository
    for path, data in hub.repos["me/held"].files.items():
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        (copy / path).write_bytes(data)
    listed = json.loads((copy / "manifest.json").read_bytes())["rejects"]
    assert (listed["total"], listed["files"]) == (1, [])
    valid = hub_cli("validate", "copy")
    assert valid.code == 0, valid.err

    def ledgers(name: str) -> list[bytes]:
        return [data for path, data in hub.repos[name].files.items() if "rejects/" in path]

    assert [each.code for each in (held, asked, bare)] == [0, 0, 0]
    assert b"1 ledgers hold refused rows whole, and stay here" in held.err
    assert f"manifest.json names folders of this machine: {tmp_path}" in held.err.decode()
    assert b"of this machine" not in bare.err
    assert ledgers("me/held") == []
    assert b"in a row" in ledgers("me/asked")[0]
    assert b"in a row" not in ledgers("me/bare")[0]
    assert len(ledgers("me/bare")) == 1


def test_what_bars_the_way_is_said_before_anything_is_sent(
    hub: Any, hub_cli: Any, finished: Any, tmp_path: Path
) -> None:
    out = finished()
    hub.add("me/rows", {"train.jsonl": b"{}\n"}, private=True)
    hub.add("me/seen", {})
    shard = out / "data/train-00000-000.parquet"

    def said(*words: str, code: int, env: Any = MINE) -> str:
        done = hub_cli("push", *words, env=env)
        assert done.code == code, done.err
        assert b"Traceback" not in done.err
        return done.err.decode()

    assert "no manifest.json; not a finished import" in said(str(tmp_path), "me/set", code=3)
    assert "is named OWNER/NAME" in said("out", "set", code=2)
    assert "a push needs a token that may write" in said("out", "me/set", code=2, env={})
    assert "does not know your token" in said("out", "me/set", code=3, env={"HF_TOKEN": "hf_no"})
    assert "holds other rows (train.jsonl), and no import" in said("out", "me/rows", code=5)
    assert "everybody may see it; add --public" in said("out", "me/seen", code=5)
    no_right = said("out", "you/set", code=3)
    assert "your token may not write there" in no_right
    assert "the Hub says: You have no right to write here" in no_right
    hub.quota = 10
    assert "Storage limit reached" in said("out", "me/full", code=5)
    hub.quota = 10**9
    hub.faults = {"/repos/create": [hub.http(b"{}", status=409)]}
    assert "the name is taken by now; run again" in said("out", "me/raced", code=5)
    hub.faults = {"/commit/": [hub.http(b"{}", status=412)]}
    assert "somebody else wrote there meanwhile" in said("out", "me/set", code=5)
    offline = {**MINE, "HF_ENDPOINT": "http://127.0.0.1:9"}
    assert "does not answer" in said("out", "me/set", code=4, env=offline)
    data = shard.read_bytes()
    shard.write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
    assert "its sha256 is not the manifest's" in said("out", "me/set", code=3)
    shard.unlink()
    assert "train-00000-000.parquet: missing" in said("out", "me/set", code=3)


def test_a_public_push_is_seen_by_all(hub: Any, hub_cli: Any, finished: Any) -> None:
    finished()
    hub.hangs_up = lambda n: n == 1  # a line that breaks once is outlasted

    done = hub_cli("push", "out", "me/seen", "--public", env=MINE)
    again = hub_cli("push", "out", "me/seen", "--public", env=MINE)
    back = hub_cli("import", "me/seen", "--split", "test", "-o", "back")

    assert b"me/seen (new, for everybody to see)" in done.err
    assert (done.code, again.code, back.code) == (0, 0, 0), done.err + back.err
