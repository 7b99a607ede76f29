"""A zip of files of rows: its JSON members in the order of their names, as one source.

Members are read as streams; none of them is unpacked to a disk. A member's rows are known as the
zip's name, a slash and the member's, so that lines are counted as in the member.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import IO

from vlm_datakit.conversation import Rejected, Row
from vlm_datakit.errors import SourceError
from vlm_datakit.plan import MIB
from vlm_datakit.sources.json_array import read_array
from vlm_datakit.sources.jsonl import Span, read_rows

_SUFFIXES = (".jsonl", ".ndjson", ".json")
_HEAD_BYTES = 4096


def read_zip(stream: IO[bytes], span: Span) -> Iterator[Row | Rejected]:
    """Read the rows of each JSON lines or JSON array member.

    Raises:
        SourceError: if the archive is damaged, cut short, encrypted, or has no such member.
    """
    with _speaking_of(span.source):
        archive = zipfile.ZipFile(stream)
        members, _ = _members(archive)
    if not members:
        raise SourceError(f"{span.source}: no .jsonl, .ndjson or .json in this zip")
    for member in members:
        inner = replace(span, source=f"{span.source}/{member.filename}", start=0, end=None)
        with _speaking_of(inner.source), archive.open(member) as unpacked:
            lines = io.BufferedReader(unpacked, MIB)  # type: ignore[type-var]  # has readinto
            head = lines.peek(_HEAD_BYTES)[:_HEAD_BYTES].lstrip(b"\xef\xbb\xbf \t\r\n")
            reader = read_array if head.startswith(b"[") else read_rows
            yield from reader(lines, inner)


def others_in(stream: IO[bytes], source: str) -> list[str]:
    """Return the names of the members that hold no rows."""
    with _speaking_of(source):
        _, others = _members(zipfile.ZipFile(stream))
    return others


def _members(archive: zipfile.ZipFile) -> tuple[list[zipfile.ZipInfo], list[str]]:
    files = [info for info in archive.infolist() if not info.is_dir()]
    ours = [info for info in files if info.filename.lower().endswith(_SUFFIXES)]
    names = {info.filename for info in ours}
    ours.sort(key=lambda info: info.filename)
    return ours, [info.filename for info in files if info.filename not in names]


@contextmanager
def _speaking_of(source: str) -> Iterator[None]:
    try:
        yield
    except (
        *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError),
        *(ArithmeticError, LookupError, ValueError),  # of a damaged directory
        *(NotImplementedError, RuntimeError),  # a method it lacks; a password
    ) as error:
        raise SourceError(f"{source}: cannot be read as zip: {error}") from error
