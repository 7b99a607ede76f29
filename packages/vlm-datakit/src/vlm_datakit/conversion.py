"""From rows of one format to rows of another: in Python, from a stream, from shards."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypedDict, Unpack

from vlm_datakit import formats
from vlm_datakit.checks import check, plain_checker
from vlm_datakit.conversation import Converted, Origin, Rejected, Row
from vlm_datakit.errors import Reason, RowError, quoted
from vlm_datakit.fetching.addresses import allowed_hosts
from vlm_datakit.formats.detect import choose, detect
from vlm_datakit.images.resolver import Keeper
from vlm_datakit.losses import Loss, parse_losses
from vlm_datakit.mapping.fieldmap import FieldMap
from vlm_datakit.mapping.file import mapping_of
from vlm_datakit.mapping.parser import parser_of, settled
from vlm_datakit.plan import FetchPolicy, ImagePolicy, Limits, SourceFile
from vlm_datakit.rendering import Rendered, render
from vlm_datakit.runner.stages import Pictures, open_beside, open_pictures, plain_rows_of
from vlm_datakit.sinks.pictures import AsGiven, Inline, Spelling
from vlm_datakit.sources.jsonl import Span
from vlm_datakit.sources.kinds import read
from vlm_datakit.sources.pipe import Lines
from vlm_datakit.walk import Stages, convert_rows

_TOLD_ROWS = 1_000  # tell a format
_IN_PYTHON = SourceFile("", "rows", "-", None, None)


@dataclass(frozen=True, slots=True)
class ConvertRequest:
    """Which format to which, where named pictures may be read, and what may be lost.

    ``spelling`` says how pictures stand in the rows that are written. ``names_pictures`` says that
    rows on the Hub name theirs, so that these are fetched ahead. ``row_limit`` is how many rows of
    a stream are read, None: all.
    """

    source: str
    target: str
    image_roots: tuple[str, ...] = ()
    lossy: frozenset[Loss] = frozenset()
    rejects_raw: bool = False
    limits: Limits = field(default_factory=Limits)
    images: ImagePolicy = field(default_factory=ImagePolicy)
    fetch: FetchPolicy | None = None
    spelling: Spelling = field(default_factory=Inline)
    mapping: FieldMap | None = None
    names_pictures: bool = False
    row_limit: int | None = None


class ConvertOptions(TypedDict, total=False):
    """What else `convert` may be told.

    ``image_roots`` are folders that rows may read picture files from, none by default.
    ``lossy`` names what may be left out where the target cannot hold it, such as
    ``["detail"]`` or ``["all"]`` (`vlm_datakit.losses.Loss`); else the row is refused.
    """

    image_roots: Sequence[str]
    lossy: Iterable[str]


def convert(
    rows: Iterable[Mapping[str, Any]],
    *,
    source: str = "auto",
    target: str,
    rejects: list[Rejected] | None = None,
    mapping: FieldMap | Mapping[str, str] | str | Path | None = None,
    **options: Unpack[ConvertOptions],
) -> Iterator[dict[str, Any]]:
    """Convert rows of one format to another, lazily and in order.

    Pictures may be anything a row holds, and PIL images, numpy arrays (8-bit, H x W or
    H x W x 3 or 4) and Hugging Face ``{bytes, path}`` structs besides.

    Args:
        rows: Any iterable of dicts.
        source: Format of the rows, see `vlm_datakit.formats.FORMATS`; ``auto`` looks at the
            first 1,000 of them.
        target: Format to write.
        rejects: Where refused rows go. Without it the first of them raises, so that no
            row is lost unseen.
        mapping: Which columns become what, such as ``{"prompt": "question"}``: values as
            ``--map`` takes them, or the path of a YAML file; see docs/mapping.md.
        options: ``image_roots`` and ``lossy``, see `ConvertOptions`.

    Returns:
        An iterator of rows of the target format; pictures as data URIs.

    Raises:
        UsageError: for an unknown format or loss or a mapping that is none, at once.
        SourceError: if no format fits the first rows, or two fit equally, at once.
        RowError: from the iterator, for the first row that cannot be used, if
            ``rejects`` is None.

    Example:
        >>> rows = [{"text": "2 + 2?", "response": "4"}]
        >>> next(convert(rows, source="simple", target="openai"))["messages"][1]
        {'role': 'assistant', 'content': [{'type': 'text', 'text': '4'}]}
        >>> rows, mapping = [{"q": "2 + 2?", "as": ["4"]}], {"prompt": "q", "response": "as[0]"}
        >>> next(convert(rows, mapping=mapping, target="simple"))
        {'text': '2 + 2?', 'response': '4'}
    """
    if unknown := options.keys() - ConvertOptions.__annotations__.keys():
        raise TypeError(f"convert() takes no {', '.join(sorted(unknown))}")
    field_map = None if mapping is None else mapping_of(mapping)
    lossy = parse_losses(_several(options.get("lossy")))
    roots = _several(options.get("image_roots"))
    request = ConvertRequest(source, target, roots, lossy, mapping=field_map)
    return convert_as(rows, request, rejects)


def _several(given: Iterable[str | Path] | str | Path | None) -> tuple[str, ...]:
    """Return texts; a single one is one, and not its letters."""
    if isinstance(given, (str, Path)):
        return (str(given),)
    return tuple(map(str, given or ()))


def convert_as(
    rows: Iterable[Mapping[str, Any]],
    request: ConvertRequest,
    rejects: list[Rejected] | None = None,
) -> Iterator[dict[str, Any]]:
    """Convert rows as `convert` does, with all that a request can say, such as ``fetch``.

    Args:
        rows: Any iterable of dicts.
        request: Formats, folders, limits, and whether pictures named by URL are fetched.
        rejects: Where refused rows go; without it the first of them raises.

    Returns:
        As `convert`; closing it ends what is being fetched.

    Raises:
        UsageError: for an unknown format or a host that is none, at once.
        SourceError: as `convert`.
        RowError: as `convert`.
    """
    formats.get(request.target)
    allowed_hosts(request.fetch)
    name, mapping = settled(request.mapping, request.source)
    if name == "auto":
        rows, name = _told(rows)
        request = replace(request, source=name)
    parser_of(name, mapping)
    return _kept(_in_python(rows, request), rejects)


def _told(rows: Iterable[Mapping[str, Any]]) -> tuple[Iterable[Mapping[str, Any]], str]:
    """Return the same rows, and the name of the format that the first of them are in."""
    coming = iter(rows)
    head: list[Any] = [*islice(coming, _TOLD_ROWS)]
    fields = [row for row in head if isinstance(row, Mapping)]
    return chain(head, coming), choose(detect(fields), fields, "rows").format.name


def _in_python(
    rows: Iterable[Mapping[str, Any]], request: ConvertRequest
) -> Generator[Rendered | Rejected]:
    numbered = (_numbered(index, fields) for index, fields in enumerate(rows))
    return _rendered(numbered, request)


def _numbered(index: int, fields: object) -> Row | Rejected:
    origin = Origin("rows", index, index + 1)
    if isinstance(fields, Mapping):
        return Row(origin, fields)
    return Rejected(origin, Reason.ROW_NOT_OBJECT, "$", quoted(fields))


def _rendered(
    rows: Iterable[Row | Rejected], request: ConvertRequest, file: SourceFile = _IN_PYTHON
) -> Generator[Rendered | Rejected]:
    target = formats.get(request.target)
    with (
        open_pictures(request.fetch, request.limits) as fetched,
        open_beside(file, request.image_roots, request.limits, fetched) as pictures,
    ):
        for outcome in convert_rows(rows, _stages(request, pictures)):
            yield render(outcome, target, request.lossy, request.spelling)


def _kept(
    outcomes: Generator[Rendered | Rejected], rejects: list[Rejected] | None
) -> Iterator[dict[str, Any]]:
    with closing(outcomes):
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


def _stages(request: ConvertRequest, pictures: Pictures) -> Stages:
    """Return what rows pass through on the way from one format to another."""
    source, mapping = settled(request.mapping, request.source)
    plain = plain_checker(plain_rows_of(source, mapping))
    opens = pictures.opener(request.limits, request.images)
    resolve = Keeper(opens) if isinstance(request.spelling, AsGiven) else opens
    ahead = pictures.ahead(are_named=request.names_pictures)
    return Stages(parser_of(source, mapping), resolve, check, ahead, plain)


def convert_stream(
    stream: Lines, file: SourceFile, request: ConvertRequest, start: int = 0, first_line: int = 1
) -> Generator[Rendered | Rejected]:
    """Convert the rows of a stream, in order, holding one row or one window of rows.

    Args:
        stream: Of unpacked bytes.
        file: What kind they are, what they are called, and where its pictures may lie.
        request: Formats, folders, limits.
        start: The offset of the stream's first byte, if it is a part of the file.
        first_line: The number of its first line.
    """
    max_line_bytes, keep_raw = request.limits.max_line_bytes, request.rejects_raw
    cut_payloads = not isinstance(request.spelling, AsGiven)
    span = Span(
        file.name, start, None, max_line_bytes, keep_raw, cut_payloads, first_line=first_line
    )
    return _rendered(islice(read(file, stream, span), request.row_limit), request, file)


def convert_shards(
    folder: Path, split: str | None, request: ConvertRequest
) -> Iterator[Rendered | Rejected]:
    """Convert the rows of a finished output folder, split by split.

    Raises:
        SourceError: if the folder is not a finished import.
        UsageError: for an unknown split.
    """
    from vlm_datakit.shards.manifest import read_manifest  # rows of files need no Arrow
    from vlm_datakit.shards.reader import open_shards

    target = formats.get(request.target)
    for name in [split] if split else list(read_manifest(folder)["splits"]):
        for index, conversation in enumerate(open_shards(folder, name)):
            origin = Origin(f"{folder.name}/{name}", index, index + 1)
            yield render(Converted(origin, conversation), target, request.lossy, request.spelling)
