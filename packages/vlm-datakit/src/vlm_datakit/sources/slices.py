"""Files cut into slices: from the input alone, never from the number of workers.

Lines are cut on line ends, and Parquet between row groups. What can only be read from its head is
one slice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from vlm_datakit.plan import MIB, Slice, SourceFile
from vlm_datakit.sources.heads import ROW_GROUPS, Head
from vlm_datakit.sources.opening import open_source
from vlm_datakit.sources.parquet import row_runs

_FEWEST_BYTES, _MOST_BYTES = 32 * MIB, 512 * MIB
_SLICES_AIMED_AT = 64
_LOOK_BYTES = 64 * 1024  # for the end of a line
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


def cut(files: Sequence[Head | SourceFile], size_bytes: int) -> list[Slice]:
    """Cut files into numbered slices of about ``size_bytes``; see `vlm_datakit.plan.Slice`.

    Every row of every file, or of what is wanted of it, is in exactly one slice, in order. A pipe
    is cut as it comes in, behind all files; see `vlm_datakit.sources.spool`.

    Raises:
        SourceError: if a Parquet file cannot be read.
    """
    wanted = [each if isinstance(each, Head) else Head(each) for each in files]
    slices = [slice_ for head in wanted for slice_ in _cut_file(head, size_bytes)]
    return [replace(slice_, number=number) for number, slice_ in enumerate(slices)]


def _cut_file(head: Head, size_bytes: int) -> list[Slice]:
    file = head.file
    if file.size_bytes is None:
        return []
    if file.is_lines:
        return [Slice(0, file, *place, looks=head.looks) for place in _places(head, size_bytes)]
    if file.kind not in ROW_GROUPS:
        return [Slice(0, file, 0, file.size_bytes, rows=head.rows)]
    with open_source(file, piece_bytes=_LOOK_BYTES) as stream:
        runs = row_runs(stream, file.name, size_bytes)
    row_bytes = file.size_bytes / max(1, runs[-1][1] if runs else 0)
    slices = [Slice(0, file, start, end, row_bytes=row_bytes) for start, end in runs]
    return slices if head.rows is None else _first_rows(slices, head.rows, looks=head.looks)


def _first_rows(slices: Sequence[Slice], rows: int, *, looks: bool) -> list[Slice]:
    """Return the slices of Parquet that hold the first rows, the last one with how many of it."""
    return [
        replace(slice_, rows=min(slice_.end, rows) - slice_.start, looks=looks)
        for slice_ in slices
        if slice_.start < rows
    ]


def _places(head: Head, size_bytes: int) -> Iterator[tuple[int, int]]:
    file = head.file
    total = (file.size_bytes or 0) if head.end is None else head.end
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
