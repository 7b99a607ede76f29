"""A look at the first rows of a source, before anything is planned or written."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from itertools import islice
from typing import IO

from vlm_datakit.checks import layout_of
from vlm_datakit.conversation import Draft, ImageForm, Rejected, Row
from vlm_datakit.errors import Reason, RowError, SourceError
from vlm_datakit.formats.detect import choose, detect
from vlm_datakit.formats.format import Format
from vlm_datakit.mapping.fieldmap import FieldMap
from vlm_datakit.mapping.parser import Parse, check_columns, literal_places, mapped, unused_columns
from vlm_datakit.plan import MIB, SourceFile
from vlm_datakit.sources.jsonl import Span
from vlm_datakit.sources.kinds import read
from vlm_datakit.sources.opening import open_source
from vlm_datakit.sources.pipe import Pipe
from vlm_datakit.walk import bytes_of

_ROWS, _BYTES = 1_000, 16 * MIB
_LOOK_BYTES = 4 * MIB  # asked for at once; a file of the Hub is not downloaded for it
_LOOKED_AT = 10 * _ROWS  # good or not
_TABLES = frozenset({"csv", "tsv"})
_NAMED = frozenset({ImageForm.PATH, ImageForm.URL})


@dataclass(frozen=True, slots=True)
class Survey:
    """What the first rows tell: format and why, layout, whether and how they have pictures.

    ``picture_parent`` is the folder below which all absolute paths of pictures lie, if
    rows name any; ``row_bytes`` is how long lines are on average, if they are lines and there are
    several; ``unused`` are the columns that the format or a mapping does not read, and
    ``literal_places`` those of which it leaves ``<image>`` in the text.
    """

    format: str
    evidence: str
    layout: str
    with_images: bool
    names_pictures: bool
    rows: int
    picture_parent: str | None = None
    row_bytes: float | None = None
    unused: tuple[str, ...] = ()
    literal_places: tuple[str, ...] = ()


def first_rows(file: SourceFile, pipe: Pipe | None, *, arrives: bool = False) -> list[Row]:
    """Return the readable rows among the first of a file, at most 1,000 or 16 MiB of them.

    Args:
        file: The source.
        pipe: Standard input, if the file is it; its rows stay unread.
        arrives: Whether they may be read while the file comes; see `open_source`.

    Raises:
        SourceError: if the file is damaged so far.
    """
    if file.is_pipe and pipe is not None:
        is_text = file.is_lines or file.kind in _TABLES
        head = pipe.peek(_ROWS if is_text else _BYTES, _BYTES)
        return _first(file, io.BytesIO(head), is_cut=is_text or len(head) >= _BYTES)
    with open_source(file, piece_bytes=_LOOK_BYTES, arrives=arrives) as stream:
        return _first(file, stream)


def _first(file: SourceFile, stream: IO[bytes], *, is_cut: bool = False) -> list[Row]:
    rows, size = list[Row](), 0
    end = _BYTES if file.is_lines else None  # and the line that reaches over it
    found = read(file, stream, Span(file.name, end=end, cut_payloads=False))
    with suppress(SourceError) if is_cut else nullcontext():
        for row in islice(found, None if file.is_lines else _LOOKED_AT):
            if isinstance(row, Row):
                rows.append(row)
                size += 0 if file.is_lines else bytes_of(row.fields)
            if len(rows) >= _ROWS or size >= _BYTES:
                break
    return rows


def survey(
    rows: Sequence[Row], source: str, format_: Format | None, mapping: FieldMap | None = None
) -> Survey:
    """Tell format, layout and pictures from rows.

    Args:
        rows: The first rows of the source.
        source: Its name, for errors.
        format_: The format the caller named, or None to detect it.
        mapping: What rows go through before it.

    Raises:
        UsageError: if the mapping names a column that no row has.
        SourceError: if no format fits, or two fit equally.
    """
    evidence, unused, literal = "as asked for", tuple[str, ...](), tuple[str, ...]()
    if mapping is not None:
        check_columns(mapping, rows)
        evidence = f"mapped: {', '.join(entry.role for entry in mapping.entries)}"
        unused = unused_columns(mapping, rows)
        literal = literal_places(mapping, rows)
    drafts: Sequence[Draft] | None = None
    if format_ is None:
        fields = [row.fields for row in rows]
        guess = choose(detect(fields), fields, source)
        format_, evidence = guess.format, guess.evidence
        drafts = guess.drafts if mapping is None else None
    if drafts is None:
        parse = format_.parse if mapping is None else mapped(format_.parse, mapping)
        drafts = [draft for row in rows if (draft := _draft(row, parse)) is not None]
    if mapping is None:
        unused = _ignored(drafts)
    images = [image for draft in drafts for image in draft.images]
    named = [image for image in images if image.form in _NAMED]
    layout = layout_of(drafts[0].with_images(())) if drafts else "conversation"
    return Survey(
        format_.name,
        evidence,
        layout,
        bool(images),
        bool(named),
        len(rows),
        _common_parent(image.value for image in named),
        _row_bytes(rows),
        unused,
        literal,
    )


def _ignored(drafts: Iterable[Draft]) -> tuple[str, ...]:
    """Name the fields that a format does not read, those of all messages as one."""
    where = [w.where for d in drafts for w in d.warnings if w.reason is Reason.FIELD_IGNORED]
    return tuple(dict.fromkeys(re.sub(r"\[\d+\]", "[]", path)[2:] for path in where))


def _row_bytes(rows: Sequence[Row]) -> float | None:
    if len(rows) < 2:
        return None
    return (rows[-1].origin.offset - rows[0].origin.offset) / (len(rows) - 1)


def _common_parent(names: Iterable[str]) -> str | None:
    folders = {os.path.dirname(name) for name in names if os.path.isabs(name)}  # noqa: PTH117, PTH120 - texts, not files
    return os.path.commonpath(folders) if folders else None


def _draft(row: Row | Rejected, parse: Parse) -> Draft | None:
    try:
        return None if isinstance(row, Rejected) else parse(row.fields)
    except RowError:
        return None  # the walk will refuse it in its place
