"""From rows of one format to rows of another: in Python, from a stream, from shards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vlm_datakit import formats
from vlm_datakit.checks import check
from vlm_datakit.conversation import Converted, Origin, Rejected, Row
from vlm_datakit.errors import RowError
from vlm_datakit.formats.format import Format
from vlm_datakit.plan import FetchPolicy, ImagePolicy, Limits, SourceFile
from vlm_datakit.rendering import Rendered, render
from vlm_datakit.runner.stages import image_roots, opener
from vlm_datakit.shards.manifest import read_manifest
from vlm_datakit.shards.reader import open_shards
from vlm_datakit.sources.jsonl import Span, read_rows
from vlm_datakit.sources.pipe import Lines
from vlm_datakit.walk import Stages, convert_row, convert_rows


@dataclass(frozen=True, slots=True)
class ConvertRequest:
    """Which format to which, where named pictures may be read, and what may be lost."""

    source: str
    target: str
    image_roots: tuple[str, ...] = ()
    allow_loss: bool = False
    rejects_raw: bool = False
    limits: Limits = field(default_factory=Limits)
    images: ImagePolicy = field(default_factory=ImagePolicy)
    fetch: FetchPolicy | None = None


def convert(
    rows: Iterable[Mapping[str, Any]],
    *,
    source: str,
    target: str,
    rejects: list[Rejected] | None = None,
    image_roots: Sequence[str] = (),
    allow_loss: bool = False,
) -> Iterator[dict[str, Any]]:
    """Convert rows of one format to another, lazily and in order.

    Pictures may be anything a row holds, and PIL images, numpy arrays (8-bit, H x W or
    H x W x 3 or 4) and Hugging Face ``{bytes, path}`` structs besides.

    Args:
        rows: Any iterable of dicts.
        source: Format of the rows; see `vlm_datakit.formats.FORMATS`.
        target: Format to write.
        rejects: Where refused rows go. Without it the first of them raises, so that no
            row is lost unseen.
        image_roots: Folders that rows may read picture files from; none by default.
        allow_loss: Leave out what the target cannot hold instead of refusing the row.

    Returns:
        An iterator of rows of the target format; pictures as data URIs.

    Raises:
        UsageError: for an unknown format, at once.
        RowError: from the iterator, for the first row that cannot be used, if
            ``rejects`` is None.

    Example:
        >>> rows = [{"text": "2 + 2?", "response": "4"}]
        >>> next(convert(rows, source="simple", target="openai"))["messages"][1]
        {'role': 'assistant', 'content': [{'type': 'text', 'text': '4'}]}
    """
    request = ConvertRequest(source, target, tuple(image_roots), allow_loss)
    outcomes = _in_python(rows, convert_stages(request, ()), formats.get(target), allow_loss)
    return _kept(outcomes, rejects)


def _in_python(
    rows: Iterable[Mapping[str, Any]],
    stages: Stages,
    target: Format,
    allow_loss: bool,  # noqa: FBT001 - passed through
) -> Iterator[Rendered | Rejected]:
    for index, fields in enumerate(rows):
        converted = convert_row(Row(Origin("rows", index, index + 1), fields), stages)
        yield render(converted, target, allow_loss)


def _kept(
    outcomes: Iterable[Rendered | Rejected], rejects: list[Rejected] | None
) -> Iterator[dict[str, Any]]:
    for outcome in outcomes:
        if isinstance(outcome, Rendered):
            yield outcome.row
        elif rejects is None:
            raise _as_error(outcome)
        else:
            rejects.append(outcome)


def _as_error(rejected: Rejected) -> RowError:
    error = RowError(rejected.reason, rejected.where, rejected.seen)
    error.add_note(f"{rejected.origin}; pass rejects=[] to collect refused rows and go on")
    return error


def convert_stages(request: ConvertRequest, own_roots: Sequence[Path]) -> Stages:
    """Return what rows pass through on the way from one format to another."""
    roots = (*own_roots, *(Path(root).resolve() for root in request.image_roots))

    parse = formats.get(request.source).parse
    return Stages(parse, opener(request.limits, request.images, roots), check)


def convert_stream(
    stream: Lines, file: SourceFile, request: ConvertRequest
) -> Iterator[Rendered | Rejected]:
    """Convert JSON lines from a stream, one row in memory, in order."""
    target = formats.get(request.target)
    stages = convert_stages(request, image_roots(file, ()))
    max_line_bytes = request.limits.max_line_bytes
    span = Span(file.name, max_line_bytes=max_line_bytes, keep_raw=request.rejects_raw)
    for outcome in convert_rows(read_rows(stream, span), stages):
        yield render(outcome, target, request.allow_loss)


def convert_shards(
    folder: Path, split: str | None, request: ConvertRequest
) -> Iterator[Rendered | Rejected]:
    """Convert the rows of a finished output folder, split by split.

    Raises:
        SourceError: if the folder is not a finished import.
        UsageError: for an unknown split.
    """
    target = formats.get(request.target)
    for name in [split] if split else list(read_manifest(folder)["splits"]):
        for index, conversation in enumerate(open_shards(folder, name)):
            origin = Origin(f"{folder.name}/{name}", index, index + 1)
            yield render(Converted(origin, conversation), target, request.allow_loss)
