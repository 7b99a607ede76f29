"""Whole data sets read by the package ``datasets``: for what no reader of ours fits.

It is asked for by name, and imported for nothing else. It streams, so nothing lies on this disk
afterwards; pictures stay as they are, undecoded; scripts are not run by any version that is taken.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from vlm_datakit.conversation import Rejected, Row
from vlm_datakit.errors import RemoteError, SourceError, UsageError, VlmDataKitError
from vlm_datakit.hub.names import PREFIX, hub_name
from vlm_datakit.hub.pictures import note_tree
from vlm_datakit.hub.repository import look_up
from vlm_datakit.hub.trouble import is_of_the_line, token
from vlm_datakit.plan import SourceFile
from vlm_datakit.sources.arrow_values import ArrowRows
from vlm_datakit.sources.jsonl import Span

KIND = "datasets"
_OLDEST = 4  # the first that runs no script
_ROWS_AT_ONCE = 64
_WORDS_CHARS = 200


class Loading(io.BytesIO):
    """In place of the bytes of a file: what ``datasets`` is asked for."""

    def __init__(self, file: SourceFile) -> None:
        super().__init__()
        self.wanted = file


def loaded_sources(
    names: Sequence[str], split: str | Sequence[str] | None, config: str | None
) -> tuple[SourceFile, ...]:
    """Return data sets on the Hub, or folders here, as sources that ``datasets`` reads.

    Args:
        names: ``[SPLIT=]OWNER/NAME[@REVISION]`` or ``[SPLIT=]FOLDER``.
        split: Or several, for names without ``SPLIT=``; none means train, ``all`` all of them.
        config: Of a data set that has several.

    Raises:
        UsageError: for a single file, or a split twice.
        SourceError: if a data set is missing, or ``datasets`` cannot read it.
        RemoteError: if the Hub does not answer.
    """
    wanted = [split] if isinstance(split, str) else [*(split or ["train"])]
    found = list[SourceFile]()
    for name in names:
        given, separator, rest = name.partition("=")
        is_split = bool(separator) and given.isidentifier()
        one = _source(rest if is_split else name, config)
        for each in [given] if is_split else wanted:
            found += [_of_split(one, real) for real in (_splits(one) if each == "all" else [each])]
    if len({(file.path, file.split) for file in found}) < len(found):
        raise UsageError("the same split is named twice")
    return tuple(found)


def has_changed(file: SourceFile) -> bool:
    """Whether what ``datasets`` reads is another than the plan says.

    Raises:
        SourceError: if it is gone.
    """
    return not file.is_remote and _identity(Path(file.path)) != (file.size_bytes, file.mtime_ns)


def read_loaded(stream: Loading, span: Span) -> Iterator[Row | Rejected]:
    """Read the rows that ``datasets`` makes; the number is the row's.

    Raises:
        UsageError: if it is not installed, or one that runs scripts.
        SourceError: if it cannot.
        RemoteError: if the Hub does not answer.
    """
    file, index = stream.wanted, 0
    with _speaking_of(file.name):
        rows = _package().load_dataset(streaming=True, split=file.split, **_asked(file))
        tables = rows.with_format("arrow").iter(batch_size=_ROWS_AT_ONCE)
        for table in tables:
            yield from ArrowRows(table.schema, span, index).of(table)
            index += table.num_rows


def _package() -> Any:
    """Return ``datasets``, silent.

    Raises:
        UsageError: if there is none, or one that runs scripts.
    """
    try:
        import datasets
    except ImportError as error:
        raise UsageError("--with-datasets needs that package: pip install datasets") from error
    if int(datasets.__version__.partition(".")[0]) < _OLDEST:
        raise UsageError(f"--with-datasets needs datasets {_OLDEST} or later, which run no script")
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity_error()
    datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = False
    return datasets


def _source(name: str, config: str | None) -> SourceFile:
    """Return a data set as a source of no split yet."""
    on_hub = hub_name(name)
    if on_hub is not None:
        if on_hub.path is not None:
            raise UsageError(f"{name}: --with-datasets reads whole data sets, no single file")
        found = look_up(on_hub._replace(path=""))  # of a path: whatever else is in it
        note_tree(found)
        address = f"{PREFIX}{found.repo}@{found.commit}"
        size = sum(file.size for file in found.files.values())
        return SourceFile(
            "", found.repo, address, size, None, found.commit, kind=KIND, config=config
        )
    if not Path(name).is_dir():
        raise UsageError(f"{name}: --with-datasets reads a data set on the Hub, or a folder here")
    folder = Path(name).resolve()
    size, mtime_ns = _identity(folder)
    return SourceFile("", folder.name, str(folder), size, mtime_ns, kind=KIND, config=config)


def _of_split(source: SourceFile, split: str) -> SourceFile:
    return replace(source, split=split, name=f"{source.name}/{split}")


def _splits(source: SourceFile) -> list[str]:
    asked = _asked(source)
    with _speaking_of(source.name):
        names = _package().get_dataset_split_names(
            asked["path"], asked["name"], revision=asked["revision"], token=asked["token"]
        )
    return [str(name) for name in names]


def _asked(file: SourceFile) -> dict[str, Any]:
    if not file.is_remote:
        return {"path": file.path, "name": file.config, "revision": None, "token": None}
    repo, _, commit = file.path[len(PREFIX) :].partition("@")
    return {"path": repo, "name": file.config, "revision": commit, "token": token()}


def _identity(folder: Path) -> tuple[int, int]:
    """Return by what a folder is known: the bytes of its files, and the latest time of any."""
    size, latest = 0, 0
    for place, _, names in os.walk(folder):
        for path in (Path(place), *(Path(place, name) for name in names)):
            try:
                status = path.stat()
            except OSError as error:
                raise SourceError(f"{path}: {error.strerror}") from error
            size += status.st_size if path.is_file() else 0
            latest = max(latest, status.st_mtime_ns)
    return size, latest


@contextmanager
def _speaking_of(name: str) -> Iterator[None]:
    """Turn whatever ``datasets`` raises into errors of ours: it, and all that it uses, may."""
    try:
        yield
    except VlmDataKitError:
        raise
    except Exception as error:
        words = " ".join(f"{error}".split())[:_WORDS_CHARS] or type(error).__name__
        if is_of_the_line(error):
            asked = f"{name}: the Hub does not answer: {words}"
            raise RemoteError(asked, retryable=True) from error
        raise SourceError(f"{name}: datasets cannot read it: {words}") from error
