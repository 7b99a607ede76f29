"""Files cut into slices on line ends: from the input alone, never from the number of workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vlm_datakit.plan import MIB, Slice, SourceFile
from vlm_datakit.sources.opening import open_source

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


def cut(files: Sequence[SourceFile], size_bytes: int) -> list[Slice]:
    """Cut files into numbered slices of about ``size_bytes``, each ending after a line end.

    Every byte of every file is in exactly one slice, in order. A pipe is cut as it comes in,
    behind all files; see `vlm_datakit.sources.spool`.
    """
    places = [(file, *place) for file in files for place in _places(file, size_bytes)]
    return [Slice(number, file, start, end) for number, (file, start, end) in enumerate(places)]


def _places(file: SourceFile, size_bytes: int) -> Iterator[tuple[int, int]]:
    if file.size_bytes is None:
        return
    if 0 < file.size_bytes <= size_bytes:  # elsewhere, a look takes two answers of a server
        yield 0, file.size_bytes
        return
    start = 0
    with open_source(file, piece_bytes=_LOOK_BYTES) as stream:
        while start < file.size_bytes:
            stream.seek(min(start + size_bytes, file.size_bytes) - 1)
            while (piece := stream.readline(MIB)) and not piece.endswith(b"\n"):
                pass  # to the end of the line, however long, in bounded memory
            end = min(stream.tell(), file.size_bytes)
            yield start, end
            start = end
