"""How rows stand in sources: a table of readers, the one way to them.

Each reader takes an open stream, of unpacked bytes, and a span, and yields rows in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from vlm_datakit.conversation import Rejected, Row
from vlm_datakit.errors import SourceError
from vlm_datakit.plan import SourceFile
from vlm_datakit.sources.image_folder import described, read_labels, whole_rows
from vlm_datakit.sources.jsonl import Span, read_rows
from vlm_datakit.sources.loaded import KIND, read_loaded
from vlm_datakit.sources.parquet import read_parquet

#: Yields the rows of a stream.
Reader = Callable[[Any, Span], Iterator[Row | Rejected]]


class Kind(NamedTuple):
    """How a kind is read, what people call it, and whether it needs its end first."""

    read: Reader
    title: str
    seeks: bool = False


# Rows of lines are most rows; what reads the others takes a tenth of the time of a start.


def _read_array(stream: Any, span: Span) -> Iterator[Row | Rejected]:
    from vlm_datakit.sources.json_array import read_array

    return read_array(stream, span)


def _comma_separated(stream: Any, span: Span) -> Iterator[Row | Rejected]:
    from vlm_datakit.sources.delimited import comma_separated

    return comma_separated(stream, span)


def _tab_separated(stream: Any, span: Span) -> Iterator[Row | Rejected]:
    from vlm_datakit.sources.delimited import tab_separated

    return tab_separated(stream, span)


def _read_arrow_file(stream: Any, span: Span) -> Iterator[Row | Rejected]:
    from vlm_datakit.sources.arrow_ipc import read_arrow_file

    return read_arrow_file(stream, span)


def _read_arrow_stream(stream: Any, span: Span) -> Iterator[Row | Rejected]:
    from vlm_datakit.sources.arrow_ipc import read_arrow_stream

    return read_arrow_stream(stream, span)


def _read_tar(stream: Any, span: Span) -> Iterator[Row | Rejected]:
    from vlm_datakit.sources.tar_members import read_tar

    return read_tar(stream, span)


def _read_zip(stream: Any, span: Span) -> Iterator[Row | Rejected]:
    from vlm_datakit.sources.zip_members import read_zip

    return read_zip(stream, span)


def _described(read: Reader) -> Reader:
    return lambda stream, span: described(read(stream, whole_rows(span)))


KINDS = {
    "jsonl": Kind(read_rows, "JSON lines"),
    "json-array": Kind(_read_array, "a JSON array"),
    "csv": Kind(_comma_separated, "CSV"),
    "tsv": Kind(_tab_separated, "TSV"),
    "parquet": Kind(read_parquet, "Parquet", seeks=True),
    "arrow-file": Kind(_read_arrow_file, "an Arrow file", seeks=True),
    "arrow-stream": Kind(_read_arrow_stream, "an Arrow stream"),
    "tar": Kind(_read_tar, "a tar"),
    "zip": Kind(_read_zip, "a zip archive", seeks=True),
    KIND: Kind(read_loaded, "a data set read by datasets"),
    "image-folder": Kind(read_rows, "a folder of pictures"),
    "labels": Kind(read_labels, "labels of pictures"),
    "metadata-jsonl": Kind(_described(read_rows), "pictures described in JSON lines"),
    "metadata-csv": Kind(_described(_comma_separated), "pictures described in CSV"),
    "metadata-parquet": Kind(_described(read_parquet), "pictures described in Parquet", seeks=True),
}


def read(file: SourceFile, stream: Any, span: Span) -> Iterator[Row | Rejected]:
    """Read rows of a source.

    Args:
        file: Says what kind it is.
        stream: Of its unpacked bytes, as `vlm_datakit.sources.opening.open_source` opens it.
        span: What to read of it.
    """
    return KINDS[file.kind].read(stream, span)


def check_streams(file: SourceFile) -> None:
    """Hold standard input to what can be read as it comes.

    Raises:
        SourceError: for a kind that is read from its end.
    """
    kind = KINDS[file.kind]
    if kind.seeks:
        raise SourceError(
            f"{file.name}: {kind.title} is read from its end, which a pipe does not give: "
            "save it to a file, and name that"
        )
