"""WebDataset: a tar whose members of one name but for the suffix are one row.

Members are read as they come, into memory and nowhere else. The standard library takes a damaged
head of a member for the end of the archive; so the end is held to the mark that ends a tar.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple

import orjson

from vlm_datakit.conversation import Origin, Rejected, Row
from vlm_datakit.errors import Reason, RowError, SourceError
from vlm_datakit.sources.jsonl import Span
from vlm_datakit.sources.kept import kept
from vlm_datakit.sources.packed import Bytes

_MEMBER = re.compile(r"((?:.*/)?[^./][^./]*)\.([^/]+)", re.DOTALL)  # key and suffix
_TEXTS = frozenset({"cls", "cls2", "id", "index", "text", "transcript", "txt"})
_JSON = frozenset({"json", "jsn"})
_BLOCK_BYTES, _READ_BYTES = tarfile.BLOCKSIZE, 20 * tarfile.BLOCKSIZE


def read_tar(stream: Bytes, span: Span) -> Iterator[Row | Rejected]:
    """Read rows of a tar, each with its ``__key__`` and its members by their suffixes.

    Suffixes are in lower case; ``txt``, ``cls`` and their like are text, ``json`` is parsed, all
    else is bytes. A key that comes again later is another row. Members without a suffix, hidden
    ones and folders are no part of a row. A row is known as the tar's name, a slash and its key.

    Yields:
        `Row`, or `Rejected` with ``member-invalid`` for a member that stands twice, is a link, is
        no text or no JSON; with ``line-too-long`` for members too large together.

    Raises:
        SourceError: if the archive is damaged or cut short.

    Source:
        webdataset's ``group_by_keys`` and ``base_plus_ext``; POSIX.1-1988 (ustar).
    """
    with _speaking_of(span.source):
        tar = _opened(_Watched(stream))
    by_key = groupby(_members(tar, span.source), lambda member: member.key)
    for index, (key, members) in enumerate(by_key):
        origin = Origin(f"{span.source}/{key}", index, index + 1)
        try:
            fields = _fields(key, members, span.max_line_bytes)
        except RowError as error:
            yield Rejected(origin, error.reason, error.where, error.seen)
        else:
            yield Row(origin, fields, kept(fields) if span.keep_raw else None)


class _Member(NamedTuple):
    """A member that is part of a row."""

    key: str
    suffix: str
    info: tarfile.TarInfo
    read: Callable[[], bytes]


def _opened(stream: _Watched) -> tuple[tarfile.TarFile, _Watched]:
    tar = tarfile.open(fileobj=stream, mode="r|", bufsize=_READ_BYTES)  # type: ignore[call-overload]  # noqa: SIM115 - nothing to close
    return tar, stream


def _members(opened: tuple[tarfile.TarFile, _Watched], source: str) -> Iterator[_Member]:
    tar, stream = opened
    while True:
        with _speaking_of(source):
            info = tar.next()
        if info is None:
            break
        tar.members = []  # type: ignore[attr-defined]  # which it would keep
        found = _MEMBER.fullmatch(info.name)
        if found is not None and not info.isdir():
            read = partial(_data, tar, info, source)
            yield _Member(found[1], found[2].lower(), info, read)
    end = stream.block(tar.offset)
    if any(end):
        raise SourceError(f"{source}: the tar is damaged at byte {tar.offset:,}")
    if len(end) < _BLOCK_BYTES:
        raise SourceError(f"{source}: the tar has no end mark: cut short?")


def _data(tar: tarfile.TarFile, info: tarfile.TarInfo, source: str) -> bytes:
    with _speaking_of(source):
        stream = tar.extractfile(info)
        return stream.read() if stream is not None else b""


def _fields(key: str, members: Iterator[_Member], max_bytes: int) -> dict[str, Any]:
    fields: dict[str, Any] = {"__key__": _text(key.encode(errors="surrogateescape"), "$.__key__")}
    size = 0
    for member in members:
        where, size = f"$.{member.suffix}", size + member.info.size
        if member.suffix in fields:
            raise RowError(Reason.MEMBER_INVALID, where, "two members have this suffix")
        if not member.info.isreg():
            raise RowError(Reason.MEMBER_INVALID, where, "a link or a device, no file")
        if size > max_bytes:
            raise RowError(Reason.LINE_TOO_LONG, where, f"over {max_bytes} bytes")
        fields[member.suffix] = _value(member.suffix, member.read(), where)
    return fields


def _value(suffix: str, data: bytes, where: str) -> Any:
    kind = suffix.rpartition(".")[2]
    if kind in _TEXTS:
        return _text(data, where)
    if kind not in _JSON:
        return data
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise RowError(Reason.MEMBER_INVALID, where, f"not JSON: {error.msg[:80]}") from error


def _text(data: bytes, where: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise RowError(Reason.MEMBER_INVALID, where, f"not UTF-8: {error.reason}") from error


class _Watched:
    """A stream for `tarfile` that knows its last blocks again."""

    def __init__(self, stream: Bytes) -> None:
        self._stream = stream
        self._last, self._start = b"", 0

    def read(self, size: int) -> bytes:
        """Return what comes next."""
        data = self._stream.read1(size)
        self._start += max(0, len(self._last) - _READ_BYTES)
        self._last = self._last[-_READ_BYTES:] + data
        return data

    def block(self, offset: int) -> bytes:
        """Return the block at a place that was read not long ago, less of it at the end."""
        at = offset - self._start
        return self._last[at : at + _BLOCK_BYTES] if at >= 0 else b"\1"


@contextmanager
def _speaking_of(source: str) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise SourceError(f"{source}: cannot be read as tar: {error}") from error
