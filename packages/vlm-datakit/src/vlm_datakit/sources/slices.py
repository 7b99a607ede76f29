"""Files cut into slices: from the input alone, never from the number of workers.

Lines are cut on line ends, and Parquet between row groups. What can only be read from its head is
one slice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from vlm_datakit.plan import MIB, Slice, SourceFile
from vlm_datakit.sources.opening import open_source
from vlm_datakit.sources.parquet import row_runs

_FEWEST_BYTES, _MOST_BYTES = 32 * MIB, 512 * MIB
_SLICES_AIMED_AT = 64
_LOOK_BYTES = 64 * 1024  # for the end of a line
_ROW_GROUPS = frozenset({"parquet", "metadata-parquet"})
NAMED_PICTURES_BYTES = 1 * MIB  # 32 MiB of lines that name pictures can be 25 GB of them


def slice_bytes(total_bytes: int, *, names_pictures: bool) -> int:
    """Return the size of a slice in bytes of input.

    Args:
        total_bytes: Of all input files.
        names_pictures: Whether rows name pictures by path or URL.

    Example:
        >>> slice_bytes(10 * MIB, names_pictures=False) // MIB
        32
        >>> slice_bytes(1024 * 1024 * MIB, names_pictures=False) // MIB
        512
    """
    if names_pictures:
        return NAMED_PICTURES_BYTES
    return max(_FEWEST_BYTES, min(total_bytes // _SLICES_AIMED_AT, _MOST_BYTES))


def cut(files: Sequence[SourceFile], size_bytes: int) -> list[Slice]:
    """Cut files into numbered slices of about ``size_bytes``; see `vlm_datakit.plan.Slice`.

    Every row of every file is in exactly one slice, in order. A pipe is cut as it comes in,
    behind all files; see `vlm_datakit.sources.spool`.

    Raises:
        SourceError: if a Parquet file cannot be read.
    """
    slices = [slice_ for file in files for slice_ in _cut_file(file, size_bytes)]
    return [replace(slice_, number=number) for number, slice_ in enumerate(slices)]


def _cut_file(file: SourceFile, size_bytes: int) -> list[Slice]:
    if file.size_bytes is None:
        return []
    if file.is_lines:
        return [Slice(0, file, start, end) for start, end in _places(file, size_bytes)]
    if file.kind not in _ROW_GROUPS:
        return [Slice(0, file, 0, file.size_bytes)]
    with open_source(file, piece_bytes=_LOOK_BYTES) as stream:
        runs = row_runs(stream, file.name, size_bytes)
    row_bytes = file.size_bytes / max(1, runs[-1][1] if runs else 0)
    return [Slice(0, file, start, end, row_bytes=row_bytes) for start, end in runs]


def _places(file: SourceFile, size_bytes: int) -> Iterator[tuple[int, int]]:
    total = file.size_bytes or 0
    if 0 < total <= size_bytes:  # elsewhere, a look takes two answers of a server
        yield 0, total
        return
    start = 0
    with open_source(file, piece_bytes=_LOOK_BYTES) as stream:
        while start < total:
            stream.seek(min(start + size_bytes, total) - 1)
            while (piece := stream.readline(MIB)) and not piece.endswith(b"\n"):
                pass  # to the end of the line, however long, in bounded memory
            end = min(stream.tell(), total)
            yield start, end
            start = end
