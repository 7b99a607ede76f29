"""The first rows of a source as an import would make them, with as little read as it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from vlm_datakit import formats
from vlm_datakit.checks import check
from vlm_datakit.conversation import Conversation, Converted, Image, Message, Rejected, Row, Text
from vlm_datakit.errors import SourceError
from vlm_datakit.images.thumbnail import Pixels, thumbnail
from vlm_datakit.importing import ImportRequest, check_roots, read_as, sources_of
from vlm_datakit.mapping.parser import settled
from vlm_datakit.plan import MIB, Plan, SourceFile
from vlm_datakit.runner.stages import open_beside, open_pictures, stages_of
from vlm_datakit.sinks.ledger import reject_line
from vlm_datakit.sources.jsonl import Span
from vlm_datakit.sources.kinds import read
from vlm_datakit.sources.opening import open_source
from vlm_datakit.sources.slices import slice_bytes
from vlm_datakit.sources.survey import survey
from vlm_datakit.suggesting import Given, check_goal
from vlm_datakit.walk import convert_rows

_PIECE_BYTES = MIB
_MARK = "<image>"


@dataclass(frozen=True, slots=True)
class Turn:
    """A message: its role, and its text with a mark where a picture stands."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of a row, without its bytes; ``small`` is how it looks, if that was asked for."""

    media_type: str
    bytes: int
    width_px: int
    height_px: int
    small: Pixels | None = None


@dataclass(frozen=True, slots=True)
class PreviewRow:
    """A row as an import would write it, or the line of its refusal.

    Of a preference pair, ``rejected`` is the other answer.
    """

    origin: str
    turns: tuple[Turn, ...] = ()
    rejected: tuple[Turn, ...] = ()
    pictures: tuple[Picture, ...] = ()
    warnings: tuple[str, ...] = ()
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """The first rows of a source: of which file, and what they were read as."""

    file: str
    format: str
    evidence: str
    layout: str
    rows: tuple[PreviewRow, ...]


#: Tells the width and the height in which each of so many pictures of a row is to be shown.
Box = Callable[[int], tuple[int, int]]


def preview(request: ImportRequest, count: int = 5, box: Box | None = None) -> Preview:
    """Return the first rows of a source, through the same walk as an import.

    Of a file on the Hub only ranges are fetched, and held to no digest: it is a look. With a
    goal they are those of the rows that an import would choose a mapping by.

    Args:
        request: What would be imported; its first file is looked at.
        count: How many rows.
        box: Pictures are decoded, and made as small as it tells; None: they are not.

    Raises:
        UsageError, SourceError, RemoteError: as `vlm_datakit.importing.plan_import`.
    """
    check_goal(request.goal, Given(request.format, request.mapping))
    settled(request.mapping, request.format)
    check_roots(request.image_roots)
    file = sources_of(request)[0]
    name, mapping, evidence = read_as(file, request)
    format_ = None if name == "auto" else formats.get(name)
    read_rows = _first(file, count, request.limits.max_line_bytes)
    good = [row for row in read_rows if isinstance(row, Row)]
    if not good and format_ is None:
        raise SourceError(f"{file.name}: no rows can be read")
    found = survey(good, file.name, format_, mapping)
    found = replace(found, evidence=evidence or found.evidence)
    plan = Plan(
        files=(file,),
        format=found.format,
        layout=found.layout,
        with_images=True,
        slice_bytes=slice_bytes(0, names_pictures=found.names_pictures),
        image_roots=request.image_roots,
        limits=request.limits,
        images=request.images,
        fetch=request.fetch,
        mapping=mapping,
    )
    with (
        open_pictures(plan.fetch, plan.limits) as fetched,
        open_beside(file, plan.image_roots, plan.limits, fetched) as pictures,
    ):
        stages = replace(stages_of(plan, pictures), check=check)
        outcomes = convert_rows(iter(read_rows), stages)
        rows = tuple(_row(outcome, box) for outcome in outcomes)
    return Preview(file.name, found.format, found.evidence, found.layout, rows)


def _first(file: SourceFile, count: int, max_line_bytes: int) -> list[Row | Rejected]:
    span = Span(file.name, max_line_bytes=max_line_bytes, cut_payloads=False)
    with open_source(file, piece_bytes=_PIECE_BYTES) as stream:
        return [*islice(read(file, stream, span), count)]


def _row(outcome: Converted | Rejected, box: Box | None) -> PreviewRow:
    if isinstance(outcome, Rejected):
        return PreviewRow(str(outcome.origin), refused=reject_line(outcome))
    conversation: Conversation = outcome.conversation
    return PreviewRow(
        str(outcome.origin),
        tuple(map(_turn, conversation.messages)),
        tuple(map(_turn, conversation.rejected)),
        _pictures(conversation.images, box),
        tuple(f"{warned.where} {warned.reason}" for warned in outcome.warnings),
    )


def _pictures(images: Sequence[Image], box: Box | None) -> tuple[Picture, ...]:
    size = box(len(images)) if box is not None and images else None
    return tuple(
        Picture(
            image.media_type,
            len(image.data),
            image.width_px,
            image.height_px,
            thumbnail(image.data, *size) if size is not None else None,
        )
        for image in images
    )


def _turn(message: Message) -> Turn:
    texts = (part.text if isinstance(part, Text) else _MARK for part in message.content)
    return Turn(message.role, "".join(texts))
