"""Rows of nothing but texts go by columns in blocks, and become the same to the byte."""

from __future__ import annotations

import io
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from vlm_datakit import formats
from vlm_datakit.checks import checker, plain_checker, sound_columns
from vlm_datakit.conversation import Conversation, Converted, Rejected
from vlm_datakit.plain import PlainColumns, PlainRow, PlainRows, TextColumns, conversation_of
from vlm_datakit.runner.by_columns import by_columns
from vlm_datakit.runner.in_blocks import BLOCK_BYTES, ByRows, convert_in_blocks
from vlm_datakit.runner.products import Outcome
from vlm_datakit.runner.tally import Tally
from vlm_datakit.shards.batch import Batch
from vlm_datakit.shards.manifest import ShardFile
from vlm_datakit.shards.writer import ShardSizes, ShardSpec, ShardWriter
from vlm_datakit.sources.jsonl import Span, read_rows
from vlm_datakit.sources.pipe import Lines
from vlm_datakit.sources.text_columns import parsed
from vlm_datakit.walk import Stages, convert_runs

from ..batches import batch_of
from .test_plain import FIELDS, LAYOUTS, OPENER, rows_of

NAMES = ("simple", "trl", "preference")
Found = list[tuple[str, int, Any]]


def ways(name: str) -> tuple[TextColumns, ByRows]:
    """Return the columns of a format, and the way of all of its rows."""
    format_, layout = formats.get(name), LAYOUTS.get(name, "conversation")
    stages = Stages(format_.parse, OPENER, checker(layout, with_images=False))
    plain = plain_checker(formats.plain_of(format_), layout, with_images=False)
    columns = sound_columns(formats.text_columns_of(format_), layout, with_images=False)
    assert columns is not None

    def by_rows(stream: Lines, span: Span) -> Iterator[Outcome]:
        return convert_runs(read_rows(stream, span), stages, plain)

    return columns, by_rows


def objects(outcomes: list[Outcome]) -> Found:
    """Return what came of each row, however it was handed on."""
    found: Found = []
    for outcome in outcomes:
        if isinstance(outcome, PlainColumns):
            texts = zip(*[column.to_pylist() for column in outcome.texts], strict=True)
            ids = outcome.ids or [None] * len(outcome)
            rows = [PlainRow(outcome.shape, *row) for row in zip(texts, [()] * len(ids), ids)]  # noqa: B905
            found += [
                (outcome.source, at, (conversation_of(row), ()))
                for at, row in zip(outcome.offsets, rows, strict=True)
            ]
        elif isinstance(outcome, PlainRows):
            found += [
                (outcome.source, at, (conversation_of(row), ()))
                for at, row in zip(outcome.offsets, outcome.rows, strict=True)
            ]
        elif isinstance(outcome, Converted):
            found.append((*outcome.origin[:2], (outcome.conversation, outcome.warnings)))
        else:
            found.append((*outcome.origin[:2], outcome))
    return found


def counts(outcomes: list[Outcome]) -> Any:
    tally = Tally()
    for outcome in outcomes:
        if isinstance(outcome, PlainColumns):
            tally.count_columns(outcome)
        elif isinstance(outcome, PlainRows):
            tally.count_plain(outcome)
        else:
            tally.count(outcome)
    return tally.rows_read, tally.rows, tally.checked_reasons(), tally.stats()


def convert_blocks(
    stream: Lines,
    span: Span,
    columns: TextColumns,
    by_rows: ByRows,
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[Outcome]:
    together = by_columns(columns, by_rows)
    return convert_in_blocks(stream, span, together, by_rows, block_bytes)


def check_same(name: str, data: bytes, span: Span, block_bytes: int) -> list[Outcome]:
    """Hold the way by columns to the way of all rows; return what came of it."""
    columns, by_rows = ways(name)
    given = data[: span.start], data[span.start :]
    assert len(given[0]) == span.start
    stream = io.BytesIO(given[1])

    in_columns = [*convert_blocks(io.BytesIO(given[1]), span, columns, by_rows, block_bytes)]
    one_by_one = [*by_rows(stream, span)]

    assert objects(in_columns) == objects(one_by_one)
    assert counts(in_columns) == counts(one_by_one)
    return in_columns


def line_of(row: Any, *, is_ascii: bool = False) -> bytes:
    return json.dumps(row, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass") + b"\n"


def row_of(name: str, number: int) -> dict[str, Any]:
    row = {field: f"{field} é {number}" for field in FIELDS[name]}
    return row | ({"id": f"r{number}"} if number % 3 == 0 else {})


def rows_in_columns(outcomes: list[Outcome]) -> int:
    return sum([len(outcome) for outcome in outcomes if isinstance(outcome, PlainColumns)])


# What parsers differ in, and what makes another row of a row.
PIECES = st.sampled_from(
    [
        *[bytes([value]) for value in (0, 1, 9, 10, 11, 12, 13, 32, 0x7F, 0x80, 0xA0, 0xC0, 0xFF)],
        *b"{ } [ ] , : \" ' \\ / // /**/ # - + . 0 7 e <| < | null true NaN {} [] }{ }, {,".split(),
        *b"\\u0000 \\ud800 \\udc00 \\ud83d\\ude00 \\u12 \\x41 \\/ \\b \\u2003 \\u007c".split(),
        *(b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xe2\x80\x83"),
        *(b"\r\n", b"}\n{", b"}\r\n{", b"\n\n", b"} {", b',"id":7', b',"id":""', b',"id":null'),
        *(b'"id":"a",', b'"prompt":"x",', b'"pr\\u006fmpt":"x",', b',"":"x"', b',"score":null'),
    ]
)


@st.composite
def spoilt(draw: st.DrawFn, line: bytes) -> bytes:
    """Draw a line with pieces put in, taken out, or written over."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(line)))
        stop = start + draw(st.sampled_from([0, 0, 0, 1, 1, 2, 7]))
        line = line[:start] + draw(PIECES | st.just(b"")) + line[stop:]
    return line


@st.composite
def lines_of(draw: st.DrawFn, name: str) -> bytes:
    """Draw many lines of texts, and some among them that are another thing."""
    lines = [line_of(row_of(name, number)) for number in range(80)]
    for _ in range(draw(st.integers(0, 3))):
        row = draw(rows_of(name) | st.just(row_of(name, 7)))
        line = line_of(row, is_ascii=draw(st.booleans()))
        if draw(st.booleans()):
            line = draw(spoilt(line))
        lines.insert(draw(st.integers(0, len(lines))), line)
    return b"".join(lines)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@settings(max_examples=150)
def test_by_columns_or_not_the_rows_are_the_same(name: str, data: st.DataObject) -> None:
    lines = data.draw(lines_of(name))
    block_bytes = data.draw(st.sampled_from([1, 90, 600, 5_000, 10**6]))
    max_line_bytes = data.draw(st.sampled_from([50, 80, 10**6]))
    keep_raw = data.draw(st.booleans())
    is_numbered = data.draw(st.booleans())
    start = data.draw(st.sampled_from([0, len(lines.split(b"\n", 1)[0]) + 1]))
    end = data.draw(st.sampled_from([None, len(lines), len(lines) * 2 // 3]))

    check_same(
        name,
        lines,
        Span("a", start, end, max_line_bytes, keep_raw, first_line=9 if is_numbered else None),
        block_bytes,
    )


@pytest.mark.parametrize(
    ("layout", "with_images"), [("pair", True), ("answer", False), ("conversation", False)]
)
def test_a_plan_of_pictures_or_of_another_layout_has_no_columns(
    layout: str, with_images: bool
) -> None:
    columns = formats.text_columns_of(formats.get("preference"))

    assert columns is not None
    assert sound_columns(columns, layout, with_images=with_images) is None


def test_a_format_of_another_parser_has_no_columns() -> None:
    own = replace(formats.get("trl"), parse=lambda fields: formats.get("trl").parse(fields))

    assert formats.text_columns_of(own) is None
    assert formats.text_columns_of(formats.get("openai")) is None


@pytest.mark.parametrize("name", NAMES)
def test_ordinary_rows_go_by_columns(name: str) -> None:
    lines = b"".join(line_of(row_of(name, number)) for number in range(200))

    for given_lines in (lines, lines.replace(b"\n", b"\r\n")):
        found = check_same(name, given_lines, Span("a"), 4_000)
        assert rows_in_columns(found) == 200


def test_whole_numbers_are_ids_as_well() -> None:
    rows = [row_of("trl", number) | {"id": number - 3} for number in range(100)]

    found = check_same("trl", b"".join(map(line_of, rows)), Span("a"), 10**6)

    assert rows_in_columns(found) == 100


@pytest.mark.parametrize(
    "odd",
    [
        {"prompt": "", "chosen": "b", "rejected": "c"},
        {"prompt": "a", "chosen": " \n", "rejected": "c"},
        {"prompt": "a", "chosen": "b", "rejected": "\u2003\u3000"},
        {"prompt": "a", "chosen": "<|im_end|>", "rejected": "c"},
        {"prompt": "a", "chosen": "b", "rejected": "b"},
        {"prompt": "a", "chosen": "b", "rejected": "c", "id": ""},
    ],
)
@pytest.mark.parametrize("place", [0, 50, 99])
def test_an_odd_row_costs_only_itself(odd: dict[str, str], place: int) -> None:
    rows = [row_of("preference", number) for number in range(99)]
    rows.insert(place, odd)

    found = check_same("preference", b"".join(map(line_of, rows)), Span("a"), 10**6)

    assert rows_in_columns(found) == 99


ROW = b'{"prompt": "a", "completion": "b"}'


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(ROW + ROW + b"\n", id="two on a line"),
        pytest.param(ROW + b" " + ROW + b"\n\n", id="two on a line, none on the next"),
        pytest.param(ROW.replace(b" ", b"\n") + b"\n", id="one on five lines"),
        pytest.param(ROW.replace(b"a", b"}\n") + b"\n", id="a line end in a text"),
        pytest.param(
            ROW.replace(b", ", b",\n") + ROW.replace(b"a", b"}") + b"\n", id="two on two lines"
        ),
        pytest.param(b"\xef\xbb\xbf" + ROW + b"\n", id="a byte order mark"),
        pytest.param(b'{"prompt": "a"}\n', id="a text is missing"),
        pytest.param(b'{"prompt": "a", "completion": null}\n', id="a text is null"),
        pytest.param(ROW.replace(b"a", b"\xed\xa0\x80") + b"\n", id="half a surrogate pair"),
        pytest.param(ROW, id="no line end"),
    ],
)
@pytest.mark.parametrize("place", [0, 20, 40])
def test_what_is_no_row_of_texts_has_its_block_read_row_by_row(lines: bytes, place: int) -> None:
    plain = [line_of(row_of("trl", number)) for number in range(40)]
    if place < 40 and not lines.endswith(b"\n"):
        lines += b" "  # and another row behind it
    data = b"".join([*plain[:place], lines, *plain[place:]])

    for start in (0, 9):
        found = check_same("trl", bytes(start) + data, Span("a", start), 10**6)

        assert rows_in_columns(found) == 0


def test_blocks_that_fail_in_a_row_are_the_last_tried() -> None:
    other = [line_of(row_of("trl", number) | {"score": 1}) for number in range(50)]
    plain = [line_of(row_of("trl", number)) for number in range(50)]
    columns, by_rows = ways("trl")
    tried: list[tuple[int, int | None]] = []

    def seen(stream: Lines, span: Span) -> Iterator[Outcome]:
        tried.append((span.start, span.end))
        return by_rows(stream, span)

    found = [*convert_blocks(io.BytesIO(b"".join(other + plain)), Span("a"), columns, seen, 1)]

    assert len(objects(found)) == 100
    assert rows_in_columns(found) == 0
    assert [end is None for _, end in tried] == [False] * 4 + [True]


def test_a_block_that_fails_is_forgotten_with_the_next_that_does_not() -> None:
    other = line_of(row_of("trl", 1) | {"score": 1})
    plain = line_of({"prompt": "a", "completion": "b"}).replace(b"a", b"a" * (len(other) - 34))
    assert len(plain) == len(other)

    found = check_same("trl", (other + plain) * 20, Span("a"), len(other))

    assert rows_in_columns(found) == 20


def test_no_blank_text_begins_with_another_byte() -> None:
    """Of Python's blanks, the first byte in UTF-8 is one of those that are looked at."""
    blanks = [chr(n) for n in range(sys.maxunicode + 1) if chr(n).isspace()]
    lines = [line_of({"prompt": blank, "completion": "a"}) for blank in blanks]
    plain = [line_of(row_of("trl", number)) for number in range(40 * len(blanks))]
    columns, _ = ways("trl")

    found = parsed([*lines, *plain], columns)

    assert found is not None
    assert list(found.odd) == list(range(len(blanks)))


class Failing(io.BytesIO):
    """Lines whose reading fails where they would end."""

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        if not line:
            raise OSError("gone")
        return line


def test_an_error_of_reading_comes_behind_the_rows_before_it() -> None:
    lines = b"".join(line_of(row_of("trl", number)) for number in range(60))
    spoiled = b"".join(line_of(row_of("trl", number) | {"b": 7}) for number in range(60))
    columns, by_rows = ways("trl")
    for data in (lines, spoiled):
        for block_bytes in (1, 90, 1_000, 10**6):
            outcomes: list[Outcome] = []
            with pytest.raises(OSError, match="gone"):
                outcomes.extend(
                    convert_blocks(Failing(data), Span("a"), columns, by_rows, block_bytes)
                )


TEXTS = st.text(st.sampled_from("ab é水🙂\n\0"), min_size=1, max_size=12).map(
    lambda text: f".{text}"
)


@st.composite
def outcomes_of(draw: st.DrawFn, name: str) -> list[Outcome]:
    """Draw what comes of rows: of texts in blocks of any size, and other rows among them."""
    row = st.fixed_dictionaries(
        dict.fromkeys(FIELDS[name], TEXTS), optional={"id": st.sampled_from(["a", "b"])}
    )
    rows = draw(st.lists(row, min_size=1, max_size=24))
    for number in draw(st.lists(st.integers(0, len(rows) - 1), max_size=2)):
        rows[number] |= {"score": 1}  # type: ignore[dict-item]
    columns, by_rows = ways(name)
    data = b"".join(map(line_of, rows))
    block_bytes = draw(st.sampled_from([100, 300, 10**6]))
    return [*convert_blocks(io.BytesIO(data), Span("a"), columns, by_rows, block_bytes)]


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@settings(max_examples=80)
def test_the_arrays_are_the_same(name: str, data: st.DataObject) -> None:
    outcomes, layout = data.draw(outcomes_of(name)), LAYOUTS.get(name, "conversation")
    batch = Batch(layout, with_images=False)
    for outcome in outcomes:
        if isinstance(outcome, PlainColumns):
            batch.add_columns([f"{at}" for at in outcome.offsets], outcome)
        else:
            for at, conversation in conversations([outcome]):
                batch.add(f"{at}", conversation)
    rows = [(f"{at}", conversation) for at, conversation in conversations(outcomes)]

    found = batch.taken()

    found.validate(full=True)
    assert found.equals(batch_of(rows, layout, with_images=False), check_metadata=True)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@settings(max_examples=40)
def test_the_files_are_the_same(name: str, data: st.DataObject) -> None:
    outcomes = data.draw(outcomes_of(name))
    sizes = ShardSizes(
        data.draw(st.sampled_from([1, 20, 50, 51, 52, 53, 200, 2**20])),
        data.draw(st.sampled_from([1, 3, 4096])),
        data.draw(st.sampled_from([1, 2**20])),
    )

    assert files_of(name, sizes, outcomes, in_columns=True) == files_of(name, sizes, outcomes)


def conversations(outcomes: list[Outcome]) -> list[tuple[int, Conversation]]:
    """Return what is written, with its place."""
    found = objects(outcomes)
    return [(at, what[0]) for _, at, what in found if not isinstance(what, Rejected)]


def files_of(
    name: str, sizes: ShardSizes, outcomes: list[Outcome], *, in_columns: bool = False
) -> tuple[ShardFile, ...]:
    """Write what came of rows, by columns or one by one; return the files, with their hashes."""
    spec = ShardSpec(LAYOUTS.get(name, "conversation"), with_images=False, stem="a", sizes=sizes)
    with tempfile.TemporaryDirectory() as folder, ShardWriter(Path(folder), spec) as writer:
        for outcome in outcomes:
            if in_columns and isinstance(outcome, PlainColumns):
                writer.add_columns([f"{at}" for at in outcome.offsets], outcome)
            else:
                for at, conversation in conversations([outcome]):
                    writer.add(f"{at}", conversation)
        return writer.close()
