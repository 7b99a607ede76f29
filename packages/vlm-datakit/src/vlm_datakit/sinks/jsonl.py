"""JSON lines out: to a file that appears whole, or to standard output."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import orjson

from vlm_datakit.errors import OutputError


def json_line(row: dict[str, Any]) -> bytes:
    """Return a row as one JSON line."""
    return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)


def write_all(stream: IO[bytes], data: bytes) -> None:
    """Write all of the bytes.

    Where Python is told not to buffer (PYTHONUNBUFFERED), standard output may take fewer: a
    process that is stopped in the middle of a write and goes on gets a part of it done.
    """
    rest = memoryview(data)
    while rest:
        rest = rest[stream.write(rest) or 0 :]


@contextmanager
def open_new(path: Path, *, overwrite: bool) -> Iterator[IO[bytes]]:
    """Open a file that appears under its name only when the block ends well.

    A device or a pipe is written to as it is; it cannot be replaced.

    Raises:
        OutputError: if it exists and is not to be overwritten, or cannot be written.
    """
    if path.is_dir():
        raise OutputError(f"{path}: Is a directory")
    if path.exists() and not path.is_file():
        with path.open("wb") as stream:
            yield stream
        return
    if path.exists() and not overwrite:
        raise OutputError(f"{path}: the file exists; --overwrite replaces it")
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BrokenPipeError:
        raise  # of another stream: the reader of standard output has left
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)
