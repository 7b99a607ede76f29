"""Imports of one large file of the Hub as processes, and what they leave while they run."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .watching import eventually

MIB = 1024 * 1024
COMMAND = ("import", "owner/large", "-o", "out")


def shards(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("data/*")}


def receipts(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in tmp_path.glob("out/.vlm/work/*/receipts/*.json"))


def asked_bytes(hub: Any) -> int:
    """Return how much was asked for of the second host, without small looks."""
    found = (re.search(r"(?i)^range: bytes=(\d+)-(\d+)", a.head, re.M) for a in hub.store.asked)
    sizes = [int(match[2]) + 1 - int(match[1]) for match in found if match]
    return sum(size for size in sizes if size > 100_000)


def noted(tmp_path: Path) -> int:
    """Return how many parts, of a MiB, are noted as whole."""
    notes = tmp_path.glob("hf-home/hub/datasets--owner--large/blobs/*.parts")
    return sum(path.read_bytes().split(b"\n", 1)[1].count(b"x") for path in notes)


@contextmanager
def started(hub: Any, tmp_path: Path, *more: str, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    home = {**os.environ, **hub.env, "HF_HOME": str(tmp_path / "hf-home"), **env}
    command = [sys.executable, "-m", "vlm_datakit", *COMMAND, *more]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=tmp_path, env=home, stderr=pipe, stdout=pipe) as process:
        try:
            yield process
        finally:
            hub.flow.set()
            if process.poll() is None:
                process.kill()


def imported_here(folder: Path, name: str, data: bytes) -> dict[str, bytes]:
    """Import a file that lies here, and so waits for nothing; return the shards."""
    (folder / name).write_bytes(data)
    command = [sys.executable, "-m", "vlm_datakit", "import", name, "-o", "out"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return shards(folder / "out")


def killed_in_the_midst(hub: Any, tmp_path: Path, *more: str) -> int:
    """Kill an import of what is held back when its first slice is done; return the parts here."""
    with started(hub, tmp_path, *more) as process:
        assert eventually(lambda: receipts(tmp_path) == ["00000.json"])
        assert eventually(lambda: hub.halted >= 2)
        process.send_signal(signal.SIGKILL)
        process.wait()
        return noted(tmp_path)


def flip_once(hub: Any, start: int, over_bytes: int) -> list[str]:
    """Flip a byte of the first large answer from a place on; the list is empty when it is done."""
    fates = ["flip"]
    hub.at = lambda at, size: fates.pop() if (at == start) & (size > over_bytes) and fates else None
    return fates
