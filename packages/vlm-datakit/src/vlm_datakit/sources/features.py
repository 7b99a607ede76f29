"""What a source's own schema says of its columns, read without its rows."""

from __future__ import annotations

from typing import IO, Any

from vlm_datakit.plan import SourceFile
from vlm_datakit.sources.arrow_values import features_in, speaking_of
from vlm_datakit.sources.opening import open_source

_PARQUET = frozenset({"parquet", "metadata-parquet"})
_LOOK_BYTES = 64 * 1024
_ARROW = frozenset({"arrow-file", "arrow-stream"})


def features_of(file: SourceFile, *, arrives: bool = False) -> dict[str, Any]:
    """Return the features that ``datasets`` wrote into Parquet or Arrow; else none.

    Args:
        file: The source.
        arrives: Whether it may be read while it comes; see `open_source`.

    Raises:
        SourceError: if the file is damaged.
    """
    if file.is_pipe or file.kind not in _PARQUET | _ARROW:
        return {}
    with open_source(file, piece_bytes=_LOOK_BYTES, arrives=arrives) as stream:
        return features_in(_metadata(file, stream))


def _metadata(file: SourceFile, stream: IO[bytes]) -> Any:
    import pyarrow
    from pyarrow.parquet import ParquetFile

    with speaking_of(file.name, "Parquet" if file.kind in _PARQUET else "Arrow"):
        source = pyarrow.PythonFile(stream, mode="r")
        if file.kind in _PARQUET:
            return ParquetFile(source).schema_arrow.metadata
        if file.kind == "arrow-file":
            return pyarrow.ipc.open_file(source).schema.metadata
        return pyarrow.ipc.open_stream(source).schema.metadata
