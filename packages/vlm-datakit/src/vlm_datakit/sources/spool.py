"""Standard input in slices: read in place, or kept in files until other processes have them done.

The cut is the same as that of a file, and of the input alone: a slice has the lines that begin
in its bytes. How many there are is known when the input ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from vlm_datakit.plan import MIB, Slice, SourceFile
from vlm_datakit.sources.pipe import Pipe
from vlm_datakit.sources.slices import slice_bytes


def cut_pipe(
    pipe: Pipe, file: SourceFile, first_number: int, *, names_pictures: bool
) -> Iterator[Slice]:
    """Cut what comes in into slices, each once the one before it was read.

    What are no lines is one slice, without an end.

    A slice is as large as one of a file that has as many bytes as came before it.

    Args:
        pipe: Standard input.
        file: Its place in the plan.
        first_number: Of the slices.
        names_pictures: Whether rows name pictures by path or URL.
    """
    number = first_number
    if not file.is_lines:
        yield Slice(number, file, 0, 0)
        return
    while pipe.peek(1, 1):
        end = pipe.offset + slice_bytes(pipe.offset, names_pictures=names_pictures)
        yield Slice(number, file, pipe.offset, end, first_line=pipe.lines + 1)
        number += 1


def spooled(slices: Iterable[Slice], pipe: Pipe, folder: Path) -> Iterator[Slice]:
    """Write the bytes of each slice to a file of its own.

    Args:
        slices: From `cut_pipe`, and of files, which pass as they are.
        pipe: The same as there.
        folder: Where the files go; whoever has done a slice deletes its file.
    """
    folder.mkdir(exist_ok=True)
    for slice_ in slices:
        if not slice_.file.is_pipe:
            yield slice_
            continue
        path = spool_path(folder, slice_.number)
        with path.open("wb") as out:
            out.writelines(_pieces(pipe, slice_))
        yield replace(slice_, end=pipe.offset, spooled=str(path))


def spool_path(folder: Path, number: int) -> Path:
    """Return where the bytes of a slice stand until it is done."""
    return folder / f"{number:05d}"


def _pieces(pipe: Pipe, slice_: Slice) -> Iterator[bytes]:
    while piece := pipe.readline(MIB):
        yield piece
        if piece.endswith(b"\n") and pipe.offset >= slice_.end:
            return
