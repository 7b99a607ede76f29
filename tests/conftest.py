"""What every test stands on: no network, no cache of the user's, and a few tools.

Fixtures hand out plain functions, so that a test reads as arrange, act, assert.
"""

from __future__ import annotations

import base64
import importlib.util
import io
import ipaddress
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import hypothesis
import pytest

HF_HOME = pytest.StashKey[str]()

# Read by huggingface_hub and datasets when they are imported: set before any test module is.
SET = {
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TOKENIZERS_PARALLELISM": "false",
}
# What a user may have set, and what would change the outcome of a test.
UNSET = (
    "CLICOLOR_FORCE",
    "COLUMNS",
    "FORCE_COLOR",
    "HF_DATASETS_CACHE",
    "HF_ENDPOINT",
    "HF_HUB_CACHE",
    "HF_TOKEN",
    "HUGGINGFACE_HUB_CACHE",
    "HUGGINGFACE_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "NO_COLOR",
    "TRANSFORMERS_CACHE",
)

hypothesis.settings.register_profile("local", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="rewrite the expected files under tests/golden from what the code does now",
    )


def pytest_configure(config: pytest.Config) -> None:
    for name in UNSET:
        os.environ.pop(name, None)
    config.stash[HF_HOME] = tempfile.mkdtemp(prefix="hf-home-")
    os.environ.update(SET, HF_HOME=config.stash[HF_HOME])
    config.pluginmanager.register(beside("serving"), "serving")
    config.pluginmanager.register(beside("hub_server"), "hub_server")


def beside(name: str) -> ModuleType:
    """Import a module of this folder, which is on no path, so that others can as well."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(config.stash.get(HF_HOME, ""), ignore_errors=True)


class NetworkError(Exception):
    """A test tried to leave this machine. Not an OSError: nothing may retry or swallow it."""


def is_local(address: object) -> bool:
    """Say whether a socket address is a Unix path, loopback, or no address at all."""
    if not isinstance(address, tuple):
        return True
    host = str(address[0]).partition("%")[0]
    if host in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a method of socket that takes the address last."""

    def guard(self: socket.socket, *arguments: Any) -> Any:
        if not is_local(arguments[-1]):
            raise NetworkError(f"{function.__name__} to {arguments[-1]}")
        return function(self, *arguments)

    return guard


@pytest.fixture(scope="session", autouse=True)
def no_network() -> Iterator[None]:
    """Let sockets reach this machine only, and look up no other name."""
    look_up = socket.getaddrinfo

    def look_up_locally(host: Any, *arguments: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name is not None and not is_local((name,)):
            raise NetworkError(f"getaddrinfo of {name}")
        return look_up(host, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex", "sendto"):
            patch.setattr(socket.socket, name, guarded(getattr(socket.socket, name)))
        patch.setattr(socket, "getaddrinfo", look_up_locally)
        yield


@pytest.fixture(autouse=True)
def same_umask() -> Iterator[None]:
    """Give back the environment's umask after a test that sets its own."""
    umask = os.umask(0o077)
    os.umask(umask)
    yield
    os.umask(umask)


@pytest.fixture(scope="session")
def update_golden(pytestconfig: pytest.Config) -> bool:
    return bool(pytestconfig.getoption("--update-golden"))


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that has ended: its exit code and the bytes it said."""

    code: int
    out: bytes
    err: bytes


@pytest.fixture
def run_cli(tmp_path: Path) -> Callable[..., Finished]:
    """Run ``python -m vlm_datakit`` (or another module) as a real process in tmp_path."""

    def run(
        args: Sequence[str | Path],
        *,
        input: bytes = b"",  # noqa: A002 - as subprocess.run spells it
        cwd: Path = tmp_path,
        env: Mapping[str, str] | None = None,
        module: str = "vlm_datakit",
        timeout_s: float = 120,
    ) -> Finished:
        done = subprocess.run(
            [sys.executable, "-m", module, *map(str, args)],
            input=input,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def write_jsonl() -> Callable[[Path, Iterable[object]], Path]:
    """Write one line a row; bytes go in as they are, which makes broken lines easy."""

    def write(path: Path, rows: Iterable[object]) -> Path:
        lines = (
            row if isinstance(row, bytes) else json.dumps(row, ensure_ascii=False).encode()
            for row in rows
        )
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        return path

    return write


def encoded(size: tuple[int, int], color: object, mode: str, save: Mapping[str, object]) -> bytes:
    """Return the bytes of a one-coloured picture; ``save`` goes to Pillow."""
    from PIL import Image

    file = io.BytesIO()
    Image.new(mode, size, color).save(file, **save)
    return file.getvalue()


@pytest.fixture(scope="session")
def png_bytes() -> Callable[..., bytes]:
    """Return a PNG of one colour: ``png_bytes(width, height, color=..., mode=...)``."""

    def png(
        width: int = 4, height: int = 3, *, color: object = 0, mode: str = "RGB", **save: object
    ) -> bytes:
        return encoded((width, height), color, mode, {"format": "PNG", **save})

    return png


@pytest.fixture(scope="session")
def jpeg_bytes() -> Callable[..., bytes]:
    """Return a JPEG of one colour; ``orientation=6`` writes that EXIF tag."""

    def jpeg(
        width: int = 8,
        height: int = 8,
        *,
        color: object = 0,
        mode: str = "RGB",
        orientation: int | None = None,
        **save: object,
    ) -> bytes:
        if orientation is not None:
            from PIL import Image

            exif = Image.Exif()
            exif[0x0112] = orientation
            save = {"exif": exif, **save}
        return encoded((width, height), color, mode, {"format": "JPEG", **save})

    return jpeg


@pytest.fixture(scope="session")
def png_claiming() -> Callable[..., bytes]:
    """Return a PNG of these chunks only: a header that claims a size, and nothing behind it."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    def make(width: int, height: int) -> bytes:
        head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        body = bytes(min(width * height * 3 // 1_032 + 1, 400_000))  # never inflated
        signature = b"\x89PNG\r\n\x1a\n"
        return signature + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")

    return make


@pytest.fixture(scope="session")
def data_uri() -> Callable[..., str]:
    """Return ``data:image/png;base64,...`` of some bytes."""

    def uri(content: bytes, media_type: str = "image/png") -> str:
        return f"data:{media_type};base64,{base64.b64encode(content).decode()}"

    return uri
