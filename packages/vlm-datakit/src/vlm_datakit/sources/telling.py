"""What kind a source is: told once, from its first bytes, then its first line, then its name.

Names lie more often than bytes do. What is told goes into the plan, so that nobody who reads the
source later tells something else.
"""

from __future__ import annotations

import csv
import re
from dataclasses import replace

import orjson

from vlm_datakit.errors import SourceError
from vlm_datakit.images.magic import HEAD_BYTES, media_type
from vlm_datakit.plan import SourceFile
from vlm_datakit.sources.kinds import KINDS, check_streams
from vlm_datakit.sources.opening import open_source
from vlm_datakit.sources.packed import unpacked
from vlm_datakit.sources.pipe import Pipe

_LOOK_BYTES, _PIPE_LOOK_BYTES, _BINARY_BYTES = 64 * 1024, 4096, 512
_TAR_PLACE, _TAR_MAGIC = 257, b"ustar"  # POSIX.1-1988
_PACKINGS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_MAGICS = {
    b"PAR1": "parquet",
    b"ARROW1\0\0": "arrow-file",
    b"\xff\xff\xff\xff": "arrow-stream",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
}
_STRANGERS = {
    b"%PDF": "a PDF",
    b"version https://git-lfs": "a pointer of Git LFS: fetch the file with `git lfs pull`",
}
_PACKED_SUFFIX = re.compile(r"\.(gz|zst|zstd)$")
_BY_SUFFIX = {"arrow": "an Arrow file", "parquet": "Parquet", "zip": "a zip archive"}
_LINE_SUFFIXES, _JSON_SUFFIXES = ("jsonl", "ndjson"), ("json", "jsonl", "ndjson")
_COLUMN = re.compile(r"[^\W\d][\w.-]{0,63}")
_BOM = b"\xef\xbb\xbf"


def told(file: SourceFile, shown: str) -> SourceFile:
    """Return a file with its kind and packing; a pipe is looked at by `told_pipe`.

    Args:
        file: No pipe.
        shown: Its name as given, for errors.

    Raises:
        SourceError: if it is empty, cannot be read, or holds something else than rows.
    """
    head = _head(file, shown)
    if not head:
        raise SourceError(f"{shown}: the file is empty")
    packing = _by_magic(head, _PACKINGS)
    if packing is not None:
        file = replace(file, packing=packing)
        head = _head(file, shown)
    return replace(file, kind=_kind(head, file, shown))


def told_pipe(file: SourceFile, pipe: Pipe) -> SourceFile:
    """Return standard input with its kind, told by its first line; it is unpacked from now on.

    Raises:
        SourceError: if it holds something else than rows, or has to be read from its end.
    """
    packing = _by_magic(pipe.peek(1, _PIPE_LOOK_BYTES), _PACKINGS)
    if packing is not None:
        pipe.pass_through(lambda packed: unpacked(packed, packing, file.name))
    head = pipe.peek(1, _PIPE_LOOK_BYTES)
    looked = replace(file, packing=packing)
    file = replace(file, kind=_kind(head, looked, file.name))
    check_streams(file)
    return file


def kind_of_text(head: bytes, suffix: str, shown: str) -> str:
    r"""Tell the kind of a source of text.

    Args:
        head: Its first line, or as much of it as shows it.
        suffix: Of its name, without the dot and that of a packing; empty if there is no name.
        shown: Its name, for errors.

    Raises:
        SourceError: for one JSON object that is spread over lines, which is no row.

    Example:
        >>> kind_of_text(b'[{"text": 1},', "json", "a.json")
        'json-array'
        >>> kind_of_text(b"text,response\n", "", "stdin")
        'csv'
    """
    text = head.removeprefix(_BOM).lstrip()
    line, line_end, _ = text.partition(b"\n")
    value = _parsed(line)
    if suffix in ("csv", "tsv") and not isinstance(value, dict):
        return "tsv" if suffix == "tsv" or (b"\t" in line and b"," not in line) else "csv"
    if text.startswith(b"["):
        is_line = suffix in _LINE_SUFFIXES and isinstance(value, list)
        return "jsonl" if is_line else "json-array"
    is_cut = value is None and line.rstrip().endswith((b"{", b"[", b","))
    if text.startswith(b"{") and line_end and is_cut and suffix not in _LINE_SUFFIXES:
        raise SourceError(
            f"{shown}: one JSON object over several lines is not rows; if they stand in it, take "
            "them out: jq -c '.KEY[]' FILE | vlm-datakit ... -"
        )
    if text.startswith(b"{") or suffix in _JSON_SUFFIXES:
        return "jsonl"
    return _kind_of_header(line) or "jsonl"


def _head(file: SourceFile, shown: str) -> bytes:
    try:
        with open_source(file, end=_LOOK_BYTES, piece_bytes=_LOOK_BYTES) as stream:
            return stream.read(_LOOK_BYTES)
    except OSError as error:
        raise SourceError(f"{shown}: {error.strerror}") from error


def _by_magic(head: bytes, magics: dict[bytes, str]) -> str | None:
    return next((found for magic, found in magics.items() if head.startswith(magic)), None)


def _kind(head: bytes, file: SourceFile, shown: str) -> str:
    suffix = "" if file.is_pipe else suffix_of(file.path)
    if file.packing and (inner := _by_magic(head, _PACKINGS)) is not None:
        raise SourceError(f"{shown}: {inner} inside {file.packing}; unpack it once")
    found = _by_magic(head, _MAGICS)
    if found is None and head[_TAR_PLACE : _TAR_PLACE + len(_TAR_MAGIC)] == _TAR_MAGIC:
        found = "tar"
    if found is not None:
        if file.packing and KINDS[found].seeks:
            title = KINDS[found].title
            raise SourceError(f"{shown}: {title} inside {file.packing}; unpack it first")
        return found
    if (stranger := other_kind(head, suffix)) is not None:
        raise SourceError(f"{shown}: not rows but {stranger}")
    if suffix in _BY_SUFFIX:
        raise SourceError(f"{shown}: named as {_BY_SUFFIX[suffix]}, but it begins otherwise")
    return kind_of_text(head, suffix, shown)


def suffix_of(path: str) -> str:
    """Return what stands behind the last dot of a name, that of a packing aside.

    Example:
        >>> suffix_of("set/rows.v2.JSON.gz"), suffix_of("rows")
        ('json', '')
    """
    name = _PACKED_SUFFIX.sub("", path.rpartition("/")[2].lower())
    return name.rpartition(".")[2] if "." in name else ""


def other_kind(head: bytes, suffix: str = "") -> str | None:
    """Say what a file is that cannot hold rows, by its first bytes; None if it may.

    Example:
        >>> other_kind(b"%PDF-1.7")
        'a PDF'
        >>> other_kind(b'{"a": 1}') is None
        True
    """
    if (stranger := _by_magic(head, _STRANGERS)) is not None:
        return stranger
    if (picture := media_type(head[:HEAD_BYTES])) is not None:
        return f"a picture ({picture})"
    is_text = suffix in ("csv", "tsv") and not head.startswith((b"\xff\xfe", b"\xfe\xff"))
    return "a binary file" if b"\0" in head[:_BINARY_BYTES] and not is_text else None


def _parsed(line: bytes) -> object:
    try:
        value: object = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return value


def _kind_of_header(line: bytes) -> str | None:
    """Tell CSV or TSV by a line of several names; a line of anything else is no header."""
    for kind, delimiter in (("csv", ","), ("tsv", "\t")):
        try:
            names = next(csv.reader([line.decode().strip()], delimiter=delimiter, strict=True), [])
        except (UnicodeDecodeError, csv.Error):
            return None
        is_header = len({*names}) == len(names) > 1
        if is_header and all(map(_COLUMN.fullmatch, names)):
            return kind
    return None
