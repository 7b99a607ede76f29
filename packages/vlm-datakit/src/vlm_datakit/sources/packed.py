"""Gzip and zstd around a source, taken off while it is read, in bounded memory.

Gzip comes from the standard library, which has no zstd before Python 3.14; Arrow has. What is
damaged or cut short is an error where it is found: an end that comes too early would be an end
of the rows.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from typing import IO, Any, Protocol

from vlm_datakit.errors import SourceError
from vlm_datakit.plan import MIB

_PIECE_BYTES = MIB // 4  # of what is packed: 400 times as much may come out of it
_GZIP = 16 + zlib.MAX_WBITS  # header and sum of RFC 1952, both held to


class Bytes(Protocol):
    """What unpacking needs of a stream: a binary file and `Pipe` both have it."""

    def read1(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes as they come; empty at the end."""

    def tell(self) -> int:
        """Return how many bytes were read."""


def unpacked(stream: Bytes, packing: str, name: str) -> IO[bytes]:
    """Return what is packed in a stream.

    Args:
        stream: Read from where it stands; closed with what is returned, if it can be.
        packing: ``gzip`` or ``zstd``; several members or frames follow each other.
        name: Of the source, for errors.

    Raises:
        SourceError: from reading, if it is damaged, cut short, or something stands behind it.

    Source:
        RFC 1952 (gzip), RFC 8878 (Zstandard).

    Example:
        >>> import gzip
        >>> packed = io.BytesIO(gzip.compress(b"one") + gzip.compress(b"two"))
        >>> unpacked(packed, "gzip", "a.gz").read()
        b'onetwo'
    """
    return io.BufferedReader(_Unpacked(stream, _READS[packing], name, packing), MIB)


def position(stream: Any) -> int:
    """Return how many bytes of a source were read, packed as they are."""
    raw = getattr(stream, "raw", None)
    place: int = (raw.packed if isinstance(raw, _Unpacked) else stream).tell()
    return place


class _Unpacked(io.RawIOBase):
    """A raw stream of what a function unpacks; its errors are ours."""

    def __init__(
        self, packed: Bytes, open_: Callable[[Bytes], _Read], name: str, packing: str
    ) -> None:
        self.packed = packed
        self._read = open_(packed)
        self._name, self._packing = name, packing

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer with what comes next; 0 at the end.

        Raises:
            SourceError: if it is damaged or cut short.
        """
        try:
            data = self._read(len(buffer))
        except (zlib.error, EOFError, OSError, ValueError) as error:
            raise SourceError(f"{self._name}: damaged {self._packing}: {error}") from error
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the stream below."""
        if not self.closed and hasattr(self.packed, "close"):
            self.packed.close()
        super().close()


_Read = Callable[[int], bytes]


def _gunzip(stream: Bytes) -> _Read:
    """Return a function that unpacks up to so many bytes."""
    state, rest = zlib.decompressobj(_GZIP), stream.read1(_PIECE_BYTES)

    def read(size: int) -> bytes:
        nonlocal state, rest
        while True:
            if state.eof:  # of a member; padding with zeros is usual on tapes
                rest = state.unused_data.lstrip(b"\0")
                while not rest:
                    if not (piece := stream.read1(_PIECE_BYTES)):
                        return b""
                    rest = piece.lstrip(b"\0")
                state = zlib.decompressobj(_GZIP)
            data = state.decompress(rest, size)
            rest = state.unconsumed_tail
            if data:
                return data
            if not rest and not state.eof and not (rest := stream.read1(_PIECE_BYTES)):
                raise EOFError("it ends too early")

    return read


def _unzstd(stream: Bytes) -> _Read:
    import pyarrow

    packed: _Read = pyarrow.CompressedInputStream(
        pyarrow.PythonFile(_Readable(stream), mode="r"), "zstd"
    ).read
    return packed


class _Readable:
    """What Arrow takes for a file, of a stream that gives bytes as they come."""

    closed = False

    def __init__(self, stream: Bytes) -> None:
        self.read = lambda size=-1: stream.read1(size if size >= 0 else _PIECE_BYTES)

    def close(self) -> None:
        """Leave the stream open."""


_READS: dict[str, Callable[[Bytes], _Read]] = {"gzip": _gunzip, "zstd": _unzstd}
