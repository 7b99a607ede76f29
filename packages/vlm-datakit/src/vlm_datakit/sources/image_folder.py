"""A folder of pictures as a source: its listing as JSON lines, or the rows that describe it.

A listing is made anew wherever it is read, and is the same as long as the folder is; so it is cut
into slices by its bytes like any other file of lines. Pictures are read where rows name them,
under the same rules.

Source:
    The layouts are those that ``load_dataset("imagefolder")`` of datasets reads.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, NamedTuple

import orjson

from vlm_datakit.conversation import Origin, Rejected, Row
from vlm_datakit.errors import SourceError
from vlm_datakit.plan import MIB
from vlm_datakit.sources.jsonl import Span

#: What is taken for a picture by its name; other files of a folder are counted and left out.
PICTURE_SUFFIXES = (
    *(".avif", ".bmp", ".gif", ".heic", ".heif", ".jpeg", ".jpg"),
    *(".png", ".tif", ".tiff", ".webp"),
)
_MOST_BYTES = 512 * MIB  # of a labels.json, which is parsed whole


class Listing(NamedTuple):
    """The pictures of a folder as JSON lines, and how many other files stand there.

    ``mtime_ns`` is the latest of any folder: by it and by the lines a picture that comes, goes or
    is renamed is seen. What stands in a picture is not looked at, as in other files that name some.
    """

    lines: bytes
    mtime_ns: int
    others: int


def listing(folder: Path) -> Listing:
    """List the pictures below a folder, sorted by their paths.

    Each is a row ``{"image": path}``; if they stand in folders, one for each class, also with
    ``"label"``, the name of that folder. What is hidden is passed by.

    Raises:
        SourceError: if pictures do not stand equally deep, since then a folder is no class; if a
            name is not UTF-8; if a folder cannot be read.
    """
    try:
        found = [*_files(folder, "")]
    except OSError as error:
        raise SourceError(f"{error.filename}: {error.strerror}") from error
    names = sorted(name for name, _ in found if name.lower().endswith(PICTURE_SUFFIXES))
    times = [time for _, time in found if time is not None]
    by_depth = {name.count("/"): name for name in names}
    if len(by_depth) > 1:
        shallow, deep = by_depth[min(by_depth)], by_depth[max(by_depth)]
        raise SourceError(
            f"{folder}: {shallow} and {deep} do not stand equally deep, so folders are no classes; "
            "name one of the folders, or write a metadata.jsonl"
        )
    try:
        lines = b"".join(_line(name) for name in names)
    except orjson.JSONEncodeError as error:
        raise SourceError(f"{folder}: the name of a picture is not valid UTF-8") from error
    return Listing(lines, max(times), len(found) - len(times) - len(names))


def _files(folder: Path, prefix: str) -> Iterator[tuple[str, int | None]]:
    """Yield the paths of files, and each folder with its time; links to folders are files."""
    yield f"{prefix}/", folder.stat().st_mtime_ns
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _files(Path(entry.path), f"{prefix}{entry.name}/")
            else:
                yield prefix + entry.name, None


def _line(name: str) -> bytes:
    row = {"image": name}
    if "/" in name:
        row["label"] = name.split("/")[-2]
    return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)


def read_labels(stream: IO[bytes], span: Span) -> Iterator[Row | Rejected]:
    """Read the rows of a ``labels.json``: one object of file names and their labels.

    Raises:
        SourceError: if it is no such object, a name stands in it twice, or it is over 512 MiB.
    """
    data = stream.read(_MOST_BYTES + 1)
    try:
        pairs = json.loads(data, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{span.source}: not JSON: {error}") from error
    if len(data) > _MOST_BYTES or not isinstance(pairs, _Pairs):
        raise SourceError(f"{span.source}: not one object of file names and labels")
    (name, times), *_ = Counter(name for name, _ in pairs).most_common(1) or [("", 0)]
    if times > 1:
        raise SourceError(f"{span.source}: {name[:40]} stands in it {times} times")
    for index, (name, label) in enumerate(pairs):
        fields: dict[str, Any] = {"image": name, "label": _plain(label)}
        raw = json.dumps(fields).encode() if span.keep_raw else None
        yield Row(Origin(span.source, index, index + 1), fields, raw)


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with all of its names, even those that stand in it twice."""


def _plain(value: Any) -> Any:
    if isinstance(value, _Pairs):
        return {name: _plain(inner) for name, inner in value}
    return [*map(_plain, value)] if isinstance(value, list) else value


def described(rows: Iterator[Row | Rejected]) -> Iterator[Row | Rejected]:
    """Name pictures as the rows of a metadata file do: ``file_name`` becomes ``image``.

    ``file_names`` becomes ``images``, and ``x_file_name`` becomes ``x``. Where there is a field of
    that name as well, both stay as they are.
    """
    for row in rows:
        yield row if isinstance(row, Rejected) else row._replace(fields=_renamed(row.fields))


def _renamed(fields: Any) -> dict[str, Any]:
    names = {name: _picture_field(name) for name in fields}
    times = Counter([*names.values(), *fields.keys()])
    return {
        new if new == name or times[new] == 1 else name: fields[name] for name, new in names.items()
    }


def _picture_field(name: str) -> str:
    if name in ("file_name", "file_names"):
        return "image" + name.removeprefix("file_name")
    return name.removesuffix("_file_name") or name


def whole_rows(span: Span) -> Span:
    """Return a span whose rows are parsed whole, for readers that look into them."""
    return replace(span, cut_payloads=False)
