"""Large files of the Hub come in parts: side by side, gone on with after a kill, held to their sum.

Through the real client and real processes; a file that is asked for in three ranges.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vlm_datakit import open_shards

from .watching import eventually

MIB = 1024 * 1024
ASKED = 8 * MIB
TOKEN = "hf_" + "t" * 34
COMMAND = ("import", "owner/large", "-o", "out")


@pytest.fixture(scope="module")
def data() -> bytes:
    """Return rows of a MB each, of which no two are equal."""
    rows = [
        b'{"text": "%d%s", "response": "%d"}\n' % (n, b"abcdefgh" * 131_072, n) for n in range(18)
    ]
    return b"".join(rows)


@pytest.fixture
def large(hub: Any, data: bytes) -> Any:
    """Return a set of one file of 18 MiB and a bit."""
    assert 18 * MIB < len(data) < 19 * MIB
    return hub.add("owner/large", {"train.jsonl": data})


def spans(hub: Any) -> list[tuple[int, int]]:
    """Return what was asked for of the second host, without small looks; sorted."""
    found = (re.search(r"(?i)^range: bytes=(\d+)-(\d+)", a.head, re.M) for a in hub.store.asked)
    pairs = [(int(match[1]), int(match[2]) + 1) for match in found if match]
    return sorted((start, end) for start, end in pairs if end - start > 1_000_000)


def ranges(data: bytes) -> list[tuple[int, int]]:
    return [(start, min(start + ASKED, len(data))) for start in range(0, len(data), ASKED)]


def numbers(folder: Path) -> list[str]:
    return [row.messages[-1].content[0].text for row in open_shards(folder, "train")]


def partial(tmp_path: Path, ending: str) -> Path:
    (found,) = tmp_path.glob(f"hf-home/hub/datasets--owner--large/blobs/*.{ending}")
    return found


def noted(tmp_path: Path) -> int:
    """Return how many parts, of a MiB, are noted as whole."""
    notes = tmp_path.glob("hf-home/hub/datasets--owner--large/blobs/*.parts")
    return sum(path.read_bytes().count(b"x") for path in notes)


@pytest.fixture
def killed(hub: Any, large: Any, tmp_path: Path) -> None:
    """Kill an import, by SIGKILL, when of three answers one is here whole and two by half."""
    hub.large = lambda n: "halt" if n >= 1 else None
    env = {**os.environ, **hub.env, "HF_HOME": str(tmp_path / "hf-home")}
    command = [sys.executable, "-m", "vlm_datakit", *COMMAND]
    with subprocess.Popen(command, cwd=tmp_path, env=env, stderr=subprocess.DEVNULL) as process:
        assert eventually(lambda: noted(tmp_path) == 8 + 3 + 1)
        assert eventually(lambda: hub.halted == 2)
        process.send_signal(signal.SIGKILL)
    hub.flow.set()
    hub.forget()
    hub.large = lambda _: None


def test_parts_come_side_by_side_each_once_and_without_the_token(
    hub: Any, hub_cli: Any, large: Any, data: bytes, tmp_path: Path
) -> None:
    hub.large = lambda _: "halt"
    with subprocess.Popen(
        [sys.executable, "-m", "vlm_datakit", *COMMAND],
        cwd=tmp_path,
        env={**os.environ, **hub.env, "HF_HOME": str(tmp_path / "hf-home"), "HF_TOKEN": TOKEN},
        stderr=subprocess.PIPE,
    ) as process:
        assert eventually(lambda: hub.halted == 3)  # all three of them are under way
        hub.flow.set()
        _, words = process.communicate()

    assert process.returncode == 0, words
    assert spans(hub) == ranges(data)
    assert numbers(tmp_path / "out") == [str(n) for n in range(18)]
    assert b"downloading train.jsonl (18.9 MB)" in words
    assert not any("uthorization" in asked.head for asked in hub.store.asked)
    assert all("uthorization" in asked.head for asked in hub.served.asked)


def test_after_a_kill_in_the_midst_no_part_that_is_here_is_fetched_again(
    hub: Any, hub_cli: Any, killed: None, data: bytes, tree: Any, tmp_path: Path
) -> None:
    done = hub_cli(*COMMAND)
    asked = spans(hub)
    other = hub_cli("import", "owner/large", "-o", "other", env={"HF_HOME": "other-home"})

    assert (done.code, other.code) == (0, 0), done.err
    assert len(asked) == 2
    assert sum(end - start for start, end in asked) == len(data) - 12 * MIB
    assert b"MB of it are here" in done.err
    both = [tree(tmp_path / name) for name in ("out", "other")]
    assert all(both[0][name] == both[1][name] for name in both[0] if name.startswith("data/"))
    assert not list(tmp_path.rglob("*incomplete*"))


def test_ctrl_c_ends_a_download_at_once(hub: Any, large: Any, tmp_path: Path) -> None:
    hub.large = lambda _: "halt"
    env = {**os.environ, **hub.env, "HF_HOME": str(tmp_path / "hf-home")}
    command = [sys.executable, "-m", "vlm_datakit", *COMMAND]
    with subprocess.Popen(command, cwd=tmp_path, env=env, stderr=subprocess.PIPE) as process:
        assert eventually(lambda: hub.halted == 3)
        process.send_signal(signal.SIGINT)
        _, words = process.communicate(timeout=5)
    hub.flow.set()

    assert process.returncode == 130
    assert words.splitlines()[-1] == b"vlm-datakit: interrupted; the same command goes on"


def test_a_byte_that_changed_on_the_disk_is_noticed_and_everything_fetched_once_more(
    hub: Any, hub_cli: Any, killed: None, data: bytes, tmp_path: Path
) -> None:
    notes, half = partial(tmp_path, "parts").read_bytes(), partial(tmp_path, "incomplete")
    at = (notes.index(b"x") - notes.index(b"\n") - 1) * MIB + 100
    with half.open("r+b") as stream:
        stream.seek(at)
        changed = bytes([stream.read(1)[0] ^ 1])
        stream.seek(at)
        stream.write(changed)

    done = hub_cli(*COMMAND)

    assert done.code == 0, done.err
    assert len(spans(hub)) == 2 + 3
    assert numbers(tmp_path / "out") == [str(n) for n in range(18)]


def test_a_flipped_byte_in_transit_is_noticed_once_and_refused_twice(
    hub: Any, hub_cli: Any, large: Any, data: bytes, tmp_path: Path
) -> None:
    hub.large = lambda n: "flip" if n == 2 else None
    once = hub_cli(*COMMAND)
    asked = len(spans(hub))
    hub.large = lambda _: "flip"
    always = hub_cli("import", "owner/large", "-o", "always", env={"HF_HOME": "other"})

    assert once.code == 0, once.err
    assert numbers(tmp_path / "out") == [str(n) for n in range(18)]
    assert asked == 6
    assert always.code == 4
    assert b"what came is not what the Hub states by its sha256 sum, twice" in always.err
    assert not list((tmp_path / "always").glob("[!.]*"))
    assert not list((tmp_path / "other").rglob("*incomplete*"))


@pytest.mark.parametrize("fate", ["cut", "halt", "503", "403"])
def test_a_fault_in_the_midst_costs_that_answer_alone(
    hub: Any, hub_cli: Any, large: Any, data: bytes, tmp_path: Path, *, fate: str
) -> None:
    hub.large = lambda n: fate if n == 1 else None

    done = hub_cli(*COMMAND, env={"HF_HUB_DOWNLOAD_TIMEOUT": "1"})
    hub.flow.set()
    asked = spans(hub)

    assert done.code == 0, done.err
    assert numbers(tmp_path / "out") == [str(n) for n in range(18)]
    assert len(asked) == 4
    again = [start for start, _ in asked if start % ASKED]  # behind the last byte that came
    assert len(again) == (fate in ("cut", "halt"))
    to_hub = [path for path in hub.asked if "/resolve/" in path]
    assert len(to_hub) == (3 if fate == "403" else 2)  # a look, and where the file lies


def test_a_store_that_gives_no_ranges_gives_the_file(
    hub: Any, hub_cli: Any, large: Any, tmp_path: Path
) -> None:
    hub.large = lambda _: "whole"

    done = hub_cli(*COMMAND)

    assert done.code == 0, done.err
    assert numbers(tmp_path / "out") == [str(n) for n in range(18)]
    assert not list(tmp_path.rglob("*incomplete*"))


def test_what_came_in_parts_lies_where_the_library_of_the_hub_looks_for_it(
    hub: Any, hub_cli: Any, large: Any, data: bytes, tmp_path: Path
) -> None:
    done = hub_cli(*COMMAND)
    script = (
        "import huggingface_hub as h; print(h.hf_hub_download('owner/large', 'train.jsonl', "
        "repo_type='dataset', revision=h.HfApi().dataset_info('owner/large').sha))"
    )
    hub.forget()
    env = {**os.environ, **hub.env, "HF_HOME": str(tmp_path / "hf-home")}
    found = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, check=True)

    assert done.code == 0, done.err
    assert Path(found.stdout.decode().strip()).read_bytes() == data
    assert len(hub.asked) == 1


def test_the_same_bytes_at_another_commit_are_not_fetched_again(
    hub: Any, hub_cli: Any, large: Any, tmp_path: Path
) -> None:
    first = hub_cli(*COMMAND)
    large.files["README.md"] = b"# A card\n"
    hub.forget()
    again = hub_cli("import", "owner/large", "-o", "again")

    assert (first.code, again.code) == (0, 0), again.err
    assert spans(hub) == []
    assert numbers(tmp_path / "again") == [str(n) for n in range(18)]
