"""The walk of one row: parse, resolve, check. Everything else is plumbing."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from vlm_datakit.conversation import (
    Conversation,
    Converted,
    Draft,
    Image,
    ImageSource,
    Origin,
    Rejected,
    Row,
    Warned,
)
from vlm_datakit.errors import Reason, RowError
from vlm_datakit.payloads import restored
from vlm_datakit.plain import (
    Plain,
    PlainDraft,
    PlainRow,
    PlainRows,
    conversation_of,
    plain_bytes,
)
from vlm_datakit.plan import MIB
from vlm_datakit.unread import hold_unread

_AHEAD_PICTURES = 32  # that are waited for, in the rows held; a last row may go beyond
_AHEAD_BYTES = 8 * MIB  # of the rows held
_VALUE_BYTES = 64  # what a value costs beside its text
_MOST_PICTURE_BYTES = 512 * MIB  # of one row: they are held, and Arrow's columns end at 2 GiB
RUN_ROWS, _RUN_BYTES = 256, MIB  # of plain rows that are handed on together
_Step = TypeVar("_Step", Draft, Converted, PlainRow)


@dataclass(frozen=True, slots=True)
class Stages:
    """What a row passes through, chosen once per run and free of hidden state.

    ``ahead`` begins what ``resolve`` will wait for, and returns how many pictures that are: with
    it rows are parsed before their turn, in a bounded window. ``plain`` knows rows that ``parse``
    and ``check`` find nothing to say of, and reads them faster.
    """

    parse: Callable[[Mapping[str, Any]], Draft]
    resolve: Callable[[ImageSource], Image]
    check: Callable[[Conversation], tuple[Warned, ...]]
    ahead: Callable[[Draft], int] | None = None
    plain: Plain | None = None


def convert_rows(rows: Iterable[Row | Rejected], stages: Stages) -> Iterator[Converted | Rejected]:
    """Convert rows one by one, in order, holding one row in memory, or one window of rows.

    A row that cannot be read or used comes out as `Rejected` in its place; a bug raises,
    with the row's origin added as a note.
    """
    if stages.ahead is not None:
        yield from _convert_ahead(rows, stages, stages.ahead)
        return
    for row in rows:
        if isinstance(row, Rejected):
            yield row
        elif stages.plain is None:
            yield convert_row(row, stages)
        else:
            found = _plain_row(row, stages, stages.plain)
            if isinstance(found, PlainRow):
                found = Converted(row.origin, conversation_of(found), (), row.raw)
            yield found


def convert_runs(
    rows: Iterable[Row | Rejected], stages: Stages, plain: Plain
) -> Iterator[Converted | Rejected | PlainRows]:
    """Convert rows as `convert_rows` does; those that are plain come out in runs, in order.

    Args:
        rows: Rows as read.
        stages: What the others pass through.
        plain: Knows plain rows: of a format, bound to its checks.
    """
    if stages.ahead is not None:  # its window of rows counts on each of them
        yield from convert_rows(rows, stages)
        return
    offsets, found, size, source = list[int](), list[PlainRow](), 0, ""
    for row in rows:
        known = _plain_row(row, stages, plain) if isinstance(row, Row) else row
        origin = row.origin
        is_plain = isinstance(known, PlainRow)
        is_full = len(found) >= RUN_ROWS or size >= _RUN_BYTES
        if found and (not is_plain or is_full or origin.source != source):
            yield PlainRows(source, offsets, found)
            offsets, found, size = [], [], 0
        source = origin.source
        if not isinstance(known, PlainRow):
            yield known
        else:
            offsets.append(origin.offset)
            found.append(known)
            size += plain_bytes(known)
    if found:
        yield PlainRows(source, offsets, found)


def _plain_row(row: Row, stages: Stages, plain: Plain) -> PlainRow | Converted | Rejected:
    """Return a row with its pictures opened, or converted if there is more to it or to say."""
    try:
        draft = plain(row.fields)
    except Exception as bug:
        bug.add_note(f"while converting {row.origin}")
        raise
    if draft is None:
        return convert_row(row, stages)
    shape, texts, sources, row_id = draft
    if not sources and row.whole is None:
        return PlainRow(shape, texts, (), row_id)
    given = restored(sources, row.payloads)
    if given is None:
        return convert_row(row, stages)
    found = _attempt(row, lambda: PlainRow(shape, texts, _opened(given, stages), row_id))
    if isinstance(found, Rejected):  # its parsing knows where the picture stands
        return convert_row(row, stages)
    if any("frames" in image.rewritten for image in found.images):  # worth a warning
        conversation = conversation_of(found)
        return Converted(row.origin, conversation, stages.check(conversation), row.raw)
    return found


def opened_plain(draft: PlainDraft, source: str, offset: int, stages: Stages) -> PlainRow | None:
    """Return a plain row with its pictures opened, or None if there is something to say of them.

    Args:
        draft: The row; its payloads stand in it.
        source: Where it stands.
        offset: At which byte.
        stages: What its pictures pass through.
    """
    shape, texts, sources, row_id = draft
    if not sources:
        return PlainRow(shape, texts, (), row_id)
    try:
        images = _opened(sources, stages)
    except RowError:  # who parses the row says which
        return None
    except Exception as bug:
        bug.add_note(f"while converting {Origin(source, offset)}")
        raise
    for image in images:
        if "frames" in image.rewritten:
            return None
    return PlainRow(shape, texts, images, row_id)


def _opened(sources: Iterable[ImageSource], stages: Stages) -> tuple[Image, ...]:
    """Open the pictures of one row, as long as they fit into memory and into a column.

    Raises:
        RowError: as ``resolve``; ``image-too-large`` for more than 512 MiB together.
    """
    images, size = [], 0
    for source in sources:
        images.append(image := stages.resolve(source))
        size += len(image.data)
        if size > _MOST_PICTURE_BYTES:
            seen = f"over {_MOST_PICTURE_BYTES} bytes with the pictures before it"
            raise RowError(Reason.IMAGE_TOO_LARGE, source.where, seen)
    return tuple(images)


def convert_row(row: Row, stages: Stages) -> Converted | Rejected:
    """Convert one row.

    One whose payloads were cut out is converted from them if that goes well; else it is
    parsed whole, so that what is said of it never depends on the shortcut.
    """
    if row.whole is None:
        draft = _parsed(row, stages)
        return draft if isinstance(draft, Rejected) else _finished(row, draft, stages)
    if (converted := _converted_from_payloads(row, stages)) is not None:
        return converted
    whole = row.whole()
    return whole if isinstance(whole, Rejected) else convert_row(whole, stages)


def _converted_from_payloads(row: Row, stages: Stages) -> Converted | None:
    parsed = _parsed(row, stages)
    if isinstance(parsed, Rejected):
        return None
    images = restored(parsed.images, row.payloads)
    if images is None:
        return None
    converted = _finished(row, replace(parsed, images=images), stages)
    return None if isinstance(converted, Rejected) else converted


def _parsed(row: Row, stages: Stages) -> Draft | Rejected:
    def parse() -> Draft:
        draft = stages.parse(row.fields)
        if draft.warnings:
            hold_unread(draft, row.fields)
        return draft

    return _attempt(row, parse)


def _finished(row: Row, draft: Draft, stages: Stages) -> Converted | Rejected:
    def finish() -> Converted:
        conversation = draft.with_images(_opened(draft.images, stages))
        warnings = (*draft.warnings, *stages.check(conversation))
        return Converted(row.origin, conversation, warnings, row.raw)

    return _attempt(row, finish)


def _attempt(row: Row, step: Callable[[], _Step]) -> _Step | Rejected:
    """Take a row one step on. The only place where a `RowError` becomes a refusal."""
    try:
        return step()
    except RowError as error:
        return Rejected(row.origin, error.reason, error.where, error.seen, row.raw)
    except Exception as bug:
        bug.add_note(f"while converting {row.origin}")
        raise


@dataclass(frozen=True, slots=True)
class _Held:
    """A parsed row that waits for its turn, and what it adds to the window."""

    finish: Callable[[], Converted | Rejected]
    pictures: int
    bytes: int


def _convert_ahead(
    rows: Iterable[Row | Rejected], stages: Stages, ahead: Callable[[Draft], int]
) -> Iterator[Converted | Rejected]:
    held: deque[_Held] = deque()
    pictures = size = 0
    for row in rows:
        held.append(last := _hold(row, stages, ahead))
        pictures, size = pictures + last.pictures, size + last.bytes
        while held and (
            not held[0].pictures or pictures >= _AHEAD_PICTURES or size >= _AHEAD_BYTES
        ):
            first = held.popleft()
            pictures, size = pictures - first.pictures, size - first.bytes
            yield first.finish()
    while held:
        yield held.popleft().finish()


def _hold(row: Row | Rejected, stages: Stages, ahead: Callable[[Draft], int]) -> _Held:
    if isinstance(row, Row) and row.whole is not None:
        row = row.whole()
    if isinstance(row, Rejected):
        return _held_refused(row)
    draft = _parsed(row, stages)
    if isinstance(draft, Rejected):
        return _held_refused(draft)
    pictures = ahead(draft)
    bare = Row(row.origin, {}, row.raw)  # the draft holds what it needs of the fields
    size = bytes_of(row.fields) + len(row.raw or b"")
    return _Held(lambda: _finished(bare, draft, stages), pictures, size)


def _held_refused(rejected: Rejected) -> _Held:
    return _Held(lambda: rejected, 0, _VALUE_BYTES + len(rejected.raw or b""))


def bytes_of(fields: Mapping[str, Any]) -> int:
    """Estimate the memory behind a row; a value that is not JSON counts as a picture."""
    total, values = 0, [*fields.values()]
    while values:
        value = values.pop()
        total += _VALUE_BYTES
        if isinstance(value, (str, bytes, bytearray)):
            total += len(value)
        elif isinstance(value, Mapping):
            values += value.values()
        elif isinstance(value, (list, tuple)):
            values += value
        elif value is not None and not isinstance(value, (int, float)):
            total += getattr(value, "nbytes", MIB)
    return total
