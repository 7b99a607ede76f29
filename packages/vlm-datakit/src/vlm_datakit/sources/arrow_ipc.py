"""Arrow's own files, as ``datasets`` saves them: streams of record batches, or files with a footer.

A stream may end anywhere, as far as Arrow is concerned; whoever closes one writes an end mark, so
one without it was cut short. What a file says of its own values is believed by Arrow, up to reading
memory that is not its own, so every batch is held to it first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

from vlm_datakit.conversation import Rejected, Row
from vlm_datakit.errors import SourceError
from vlm_datakit.sources.arrow_values import ArrowRows, speaking_of
from vlm_datakit.sources.jsonl import Span


def read_arrow_stream(stream: IO[bytes], span: Span) -> Iterator[Row | Rejected]:
    """Read rows of a stream of record batches, from its head to its end mark.

    Raises:
        SourceError: if it is damaged or cut short.

    Source:
        Arrow's columnar format, "IPC Streaming Format": the end mark is eight bytes.
    """
    import pyarrow

    with speaking_of(span.source, "Arrow"):
        watched = _Watched(stream)
        batches = pyarrow.ipc.open_stream(pyarrow.PythonFile(watched, mode="r"))
        rows = ArrowRows(batches.schema, span)
        for batch in batches:
            batch.validate(full=True)
            yield from rows.of(batch)
        if watched.is_short:
            raise SourceError(f"{span.source}: the Arrow stream has no end mark: cut short?")


def read_arrow_file(stream: IO[bytes], span: Span) -> Iterator[Row | Rejected]:
    """Read rows of an Arrow file, batch by batch.

    Raises:
        SourceError: if it is damaged or cut short.
    """
    import pyarrow

    with speaking_of(span.source, "Arrow"):
        batches = pyarrow.ipc.open_file(pyarrow.PythonFile(stream, mode="r"))
        rows = ArrowRows(batches.schema, span)
        for number in range(batches.num_record_batches):
            batch = batches.get_batch(number)
            batch.validate(full=True)
            yield from rows.of(batch)


class _Watched:
    """A stream for Arrow that remembers whether it gave fewer bytes than it was asked for."""

    closed = False

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.is_short = False

    def read(self, size: int = -1) -> bytes:
        """Return as many bytes as there are, up to ``size``."""
        pieces, missing = list[bytes](), size
        while missing > 0 and (piece := self._stream.read1(missing)):
            pieces.append(piece)
            missing -= len(piece)
        self.is_short |= missing > 0
        return b"".join(pieces)

    def close(self) -> None:
        """Leave the stream open."""
