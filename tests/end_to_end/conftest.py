"""What the end-to-end tests share: a real shell, rows as people have them, folders as facts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

COMMANDS = Path(sys.executable).parent  # where vlm-datakit is installed


@dataclass(frozen=True, slots=True)
class Said:
    """What a shell script left behind: its exit code and what it said."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has ended: its exit code (minus the signal) and the bytes it said."""

    code: int
    out: bytes
    err: bytes


@pytest.fixture(scope="session")
def warm() -> Iterator[subprocess.Popen[str]]:
    """Start the process that `cli` forks its commands from; see forked.py."""
    command = [sys.executable, str(Path(__file__).with_name("forked.py"))]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def cli(
    warm: subprocess.Popen[str], tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> Callable[..., Ended]:
    """Run ``vlm-datakit`` in tmp_path: as `run_cli`, but forked, and so 30 times as fast.

    ``kill_at=n`` kills it just before its n-th rename, fsync, mkdir, unlink or rmdir.
    """
    streams = tmp_path_factory.mktemp("streams")

    def run(
        args: Sequence[object],
        *,
        input: bytes = b"",  # noqa: A002 - as subprocess.run spells it
        cwd: Path = tmp_path,
        env: Mapping[str, str] | None = None,
        kill_at: int = 0,
    ) -> Ended:
        (streams / "stdin").write_bytes(input)
        request = {"args": [*map(str, args)], "cwd": str(cwd), "env": dict(env or {})}
        paths = {name: str(streams / name) for name in ("stdin", "stdout", "stderr")}
        assert warm.stdin is not None
        assert warm.stdout is not None
        warm.stdin.write(json.dumps({**request, **paths, "kill_at": kill_at}) + "\n")
        code = int(warm.stdout.readline())
        return Ended(code, *((streams / name).read_bytes() for name in ("stdout", "stderr")))

    return run


@pytest.fixture
def shell(tmp_path: Path) -> Callable[..., Said]:
    """Run a bash script in tmp_path with ``vlm-datakit`` on the path."""

    def run(script: str, **env: str) -> Said:
        path = f"{COMMANDS}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=tmp_path,
            env={**os.environ, "PATH": path, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=120,
            check=False,
        )
        return Said(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


@pytest.fixture(scope="session")
def chat() -> Callable[..., dict[str, Any]]:
    """Return an OpenAI row: a question with pictures (URLs, paths or data URIs), an answer."""

    def row(question: str, answer: str, *images: str, **more: Any) -> dict[str, Any]:
        pictures = [{"type": "image_url", "image_url": {"url": url}} for url in images]
        content = [*pictures, {"type": "text", "text": question}]
        messages = [
            {"role": "user", "content": content},
            {"role": "assistant", "content": answer},
        ]
        return {**more, "messages": messages}

    return row


@pytest.fixture(scope="session")
def tree() -> Callable[[Path], dict[str, bytes]]:
    """Return the bytes of every file below a folder, by relative path; hidden ones left out."""

    def read(folder: Path) -> dict[str, bytes]:
        return {
            name: path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
            and not (name := path.relative_to(folder).as_posix()).startswith(".vlm/")
        }

    return read


@pytest.fixture(scope="session")
def stamps() -> Callable[[Path], Mapping[str, tuple[int, int]]]:
    """Return inode and modification time of everything below a folder, hidden or not."""

    def read(folder: Path) -> dict[str, tuple[int, int]]:
        return {
            path.relative_to(folder).as_posix(): (path.stat().st_ino, path.stat().st_mtime_ns)
            for path in sorted((folder, *folder.rglob("*")))
        }

    return read
