"""The body of an answer: bounded on the wire and unpacked, by at most one layer of gzip."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpcore2

from vlm_datakit.errors import Reason, RowError

Write = Callable[[bytes], object]

_PIECE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Body:
    """What a body may cost, and who takes it. Nothing is read beyond the limits."""

    max_bytes: int  # of the picture
    max_body_bytes: int  # on the wire, and once more unpacked
    write: Write

    def receive(self, response: httpcore2.Response) -> None:
        """Pass a body on, unpacked.

        Raises:
            RowError: ``image-too-large``; ``image-fetch-failed`` for a body cut short or in
                another coding than one layer of gzip.
        """
        coding = header(response, b"content-encoding").lower().replace(" ", "")
        names = [name for name in coding.split(",") if name not in ("", "identity")]
        if names not in ([], ["gzip"], ["x-gzip"]):
            raise failed("in another Content-Encoding than gzip, once")
        most = min(self.max_bytes, self.max_body_bytes)
        wire = self._bounded(response, self.max_body_bytes if names else most)
        written = 0
        for piece in _unpacked(wire) if names else wire:
            written += len(piece)
            if written > most:
                raise _too_large(f"over {most} bytes")
            self.write(piece)

    def _bounded(self, response: httpcore2.Response, most: int) -> Iterator[bytes]:
        announced = header(response, b"content-length")
        if announced.isdecimal() and int(announced) > most:
            raise _too_large(f"{announced} bytes")
        received = 0
        for chunk in response.iter_stream():
            received += len(chunk)
            if received > most:
                raise _too_large(f"over {most} bytes")
            yield chunk


def _too_large(size: str) -> RowError:
    return RowError(Reason.IMAGE_TOO_LARGE, "$", size)


def _unpacked(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Unpack gzip in small pieces, so that a bomb is stopped at the limit."""
    gunzip = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        for chunk in chunks:
            while chunk:
                yield gunzip.decompress(chunk, _PIECE_BYTES)
                chunk = gunzip.unconsumed_tail  # noqa: PLW2901 - what is left of it
                if gunzip.unused_data:
                    raise failed("more than one gzip")
    except zlib.error:
        raise failed("not the gzip that it says it is") from None
    if not gunzip.eof:
        raise failed("gzip cut short")


def header(response: httpcore2.Response, name: bytes) -> str:
    """Return the values of a header, joined as RFC 9110 does; empty if there is none."""
    values = [value for key, value in response.headers if key.lower() == name]
    return b", ".join(values).decode("latin-1").strip()


def failed(why: str) -> RowError:
    """Return the error of a picture that did not come, though it may at a rerun."""
    return RowError(Reason.IMAGE_FETCH_FAILED, "$", why)
