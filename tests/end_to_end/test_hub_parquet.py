"""Large Parquet on the Hub is converted while it comes: its end first, then one row group by one.

Through the real client and real processes; a file of two slices, of which the second is held back.
"""

from __future__ import annotations

import io
import json
import random
import signal
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet as pq
import pytest

from .hub_runs import (
    COMMAND,
    MIB,
    asked_bytes,
    flip_once,
    imported_here,
    killed_in_the_midst,
    receipts,
    shards,
    started,
)
from .watching import eventually

LATE = 40 * MIB  # from here on, but for the half that is sent and the last parts
FROM_END = 2 * MIB
ROWS = 60


@pytest.fixture(scope="module")
def data() -> bytes:
    """Return rows of a MB each, two a row group, of which no two are equal."""
    chance = random.Random(7)
    rows = [
        {"text": f"{n}" + chance.randbytes(MIB // 2).hex(), "response": f"{n}"} for n in range(ROWS)
    ]
    file = io.BytesIO()
    plain = {"compression": "none", "use_dictionary": False, "write_statistics": False}
    pq.write_table(pyarrow.Table.from_pylist(rows), file, row_group_size=2, **plain)
    return file.getvalue()


@pytest.fixture
def large(hub: Any, data: bytes) -> Any:
    """Return a set of one file of two slices."""
    return hub.add("owner/large", {"train.parquet": data})


@pytest.fixture
def held_back(hub: Any, large: Any) -> None:
    """Send of that file only half of each later range, until ``hub.flow`` is set."""
    hub.at = lambda start, size: "halt" if start >= LATE and size > FROM_END else None


@pytest.fixture(scope="module")
def clean(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return what an import of the same rows makes that waited for nothing: the shards."""
    return imported_here(tmp_path_factory.mktemp("clean"), "train.parquet", data)


@pytest.mark.parametrize("more", [(), ("--workers", "2"), ("--goal", "sft")])
def test_the_first_slice_is_done_before_the_last_byte_was_sent(
    hub: Any,
    held_back: None,
    data: bytes,
    clean: dict[str, bytes],
    tmp_path: Path,
    *,
    more: tuple[str, ...],
) -> None:
    with started(hub, tmp_path, *more) as process:
        assert eventually(lambda: receipts(tmp_path) == ["00000.json"])
        assert not (tmp_path / "out" / "manifest.json").exists()
        hub.flow.set()
        _, words = process.communicate(timeout=60)

    assert process.returncode == 0, words
    assert shards(tmp_path / "out") == clean
    assert asked_bytes(hub) == len(data)  # each byte once: no look asked for what comes anyway


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        (("--goal", "dpo"), 3, b"does not fit dpo"),
        (("--map", "prompt=question", "--map", "response=response"), 2, b"question"),
    ],
    ids=["a goal", "a column that is not there"],
)
def test_what_the_first_rows_are_not_fit_for_is_said_before_the_rest_comes(
    hub: Any, held_back: None, tmp_path: Path, *, more: tuple[str, ...], code: int, words: bytes
) -> None:
    with started(hub, tmp_path, *more) as process:
        _, said = process.communicate(timeout=60)  # the flow is never set

    assert (process.returncode, words in said) == (code, True), said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_after_a_kill_neither_parts_are_fetched_nor_slices_done_again(
    hub: Any,
    hub_cli: Any,
    held_back: None,
    data: bytes,
    clean: dict[str, bytes],
    tmp_path: Path,
    *,
    workers: str,
) -> None:
    here = killed_in_the_midst(hub, tmp_path, "--workers", workers)
    hub.forget()
    hub.at = lambda _, __: None

    done = hub_cli(*COMMAND, "--workers", workers, "--json")

    assert done.code == 0, done.err
    assert json.loads(done.out)["slices_resumed"] == 1
    assert asked_bytes(hub) == len(data) - (here - 1) * MIB - len(data) % MIB
    assert shards(tmp_path / "out") == clean


@pytest.mark.parametrize(("start", "workers"), [(0, "1"), (LATE, "2")])
def test_a_flipped_byte_in_transit_takes_back_all_that_was_made(
    hub: Any,
    hub_cli: Any,
    large: Any,
    clean: dict[str, bytes],
    tmp_path: Path,
    *,
    start: int,
    workers: str,
) -> None:
    fates = flip_once(hub, start, FROM_END)

    done = hub_cli(*COMMAND, "--workers", workers)

    assert done.code == 0, done.err
    assert fates == []
    assert b"what came first is not what the Hub states; now it is" in done.err
    assert shards(tmp_path / "out") == clean
    assert not list(tmp_path.rglob("*incomplete*"))


def test_an_end_that_came_wrong_is_read_anew(
    hub: Any, hub_cli: Any, large: Any, data: bytes, clean: dict[str, bytes], tmp_path: Path
) -> None:
    fates = ["blank"]
    last = len(data) - len(data) % MIB - MIB
    hub.at = lambda at, _: fates.pop() if at == last and fates else None

    done = hub_cli(*COMMAND)

    assert fates == []
    assert done.code == 0, done.err
    assert shards(tmp_path / "out") == clean


@pytest.mark.parametrize("kill_at", [40, 80])
def test_a_kill_at_any_moment_leaves_what_the_same_command_ends(
    hub: Any, hub_cli: Any, large: Any, clean: dict[str, bytes], tmp_path: Path, *, kill_at: int
) -> None:
    killed = hub_cli(*COMMAND, kill_at=kill_at)
    done = hub_cli(*COMMAND)

    assert killed.code in (0, -signal.SIGKILL)
    assert done.code == 0, done.err
    assert shards(tmp_path / "out") == clean
