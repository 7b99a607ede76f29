"""How rows stand in sources: a table of readers, the one way to them.

Each reader takes an open stream, of unpacked bytes, and a span, and yields rows in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
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


def _later(module: str, name: str) -> Reader:
    """Return a reader whose module is imported when it reads: most rows are lines."""

    def read_later(stream: Any, span: Span) -> Iterator[Row | Rejected]:
        found: Reader = getattr(import_module(f"vlm_datakit.sources.{module}"), name)
        return found(stream, span)

    return read_later


def _described(read: Reader) -> Reader:
    return lambda stream, span: described(read(stream, whole_rows(span)))


KINDS = {
    "jsonl": Kind(read_rows, "JSON lines"),
    "json-array": Kind(_later("json_array", "read_array"), "a JSON array"),
    "csv": Kind(_later("delimited", "comma_separated"), "CSV"),
    "tsv": Kind(_later("delimited", "tab_separated"), "TSV"),
    "parquet": Kind(read_parquet, "Parquet", seeks=True),
    "arrow-file": Kind(_later("arrow_ipc", "read_arrow_file"), "an Arrow file", seeks=True),
    "arrow-stream": Kind(_later("arrow_ipc", "read_arrow_stream"), "an Arrow stream"),
    "tar": Kind(_later("tar_members", "read_tar"), "a tar"),
    "zip": Kind(_later("zip_members", "read_zip"), "a zip archive", seeks=True),
    KIND: Kind(read_loaded, "a data set read by datasets"),
    "image-folder": Kind(read_rows, "a folder of pictures"),
    "labels": Kind(read_labels, "labels of pictures"),
    "metadata-jsonl": Kind(_described(read_rows), "pictures described in JSON lines"),
    "metadata-csv": Kind(
        _described(_later("delimited", "comma_separated")), "pictures described in CSV"
    ),
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
