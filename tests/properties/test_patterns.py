"""Lines that are like one another are read by a pattern, and become the same as without it."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from vlm_datakit import formats
from vlm_datakit.checks import checker, plain_checker
from vlm_datakit.plain import Plain, PlainRows
from vlm_datakit.runner.by_pattern import ByPattern
from vlm_datakit.runner.in_blocks import ByRows, convert_in_blocks
from vlm_datakit.runner.products import Outcome
from vlm_datakit.sources.jsonl import Span, read_rows
from vlm_datakit.sources.patterns import learned
from vlm_datakit.sources.pipe import Lines
from vlm_datakit.walk import Stages, convert_runs

from .test_columns import Failing, counts, line_of, objects, spoilt
from .test_payloads import PICTURES, SPELLINGS, noise
from .test_plain import LAYOUTS, OPENER, rows_of

NAMES = ("openai", "simple", "trl")
SMALL = [noise("JPEG", 9)[:2_000], *PICTURES]  # the first is no whole picture
TEXTS = [
    "a",
    "é \u2028",
    '{"total": "7"}',
    "\\",
    "😀",
    " a ",
    "x" * 300,
    '"}]}',
    '", "',
    '\\"',
    "a\\\\",
]
BETWEEN = [
    b'"',
    b"\\",
    b'","',
    b'", "',
    b'\\"',
    b'"}',
    b'"}]}',
    b'"}]}]}\n',
    b"[",
    b"]",
    b":",
    b',"a"',
]
ODD_IDS = ["", 7, "r1", -1, 0, 1.0, 10**18 - 1, 10**18, 2**64, True, None]
ODD_TEXTS = ["", " \n", "<|im_end|>", "\u2003", "<image>", "\x00", "\x7f0"]


def chat(texts: list[str], pictures: list[str], *, in_parts: bool) -> dict[str, Any]:
    parts: list[Any] = [{"type": "image_url", "image_url": {"url": url}} for url in pictures]
    parts.append({"type": "text", "text": texts[0]})
    question: Any = parts if in_parts or pictures else texts[0]
    answer: Any = [{"type": "text", "text": texts[1]}] if in_parts else texts[1]
    return {
        "messages": [
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ]
    }


def row_of(name: str, texts: list[str], pictures: list[str], *, in_parts: bool) -> dict[str, Any]:
    """Return a row of a format; the same shape for as many texts and pictures."""
    if name == "openai":
        return chat(texts, pictures, in_parts=in_parts)
    if name == "trl":
        return {"prompt": texts[0], "completion": texts[1]}
    image = {"image": pictures[0]} if pictures else {}
    return {"response": texts[1], **image, "text": texts[0]}


@st.composite
def lines_of(draw: st.DrawFn, name: str) -> bytes:
    """Draw lines that are mostly of one shape, as one program writes them."""
    in_parts, spaces = draw(st.booleans()), draw(st.sampled_from([(",", ":"), (", ", ": ")]))
    has_numbers = draw(st.booleans())
    has_id, is_ascii = draw(st.booleans()), draw(st.booleans())
    count = draw(st.sampled_from([0, 1, 1, 1, 2]))
    usual = draw(st.sampled_from(["data URI", "bare"]))

    def line() -> bytes:
        is_odd = draw(st.integers(0, 7)) == 0
        spelling = draw(st.sampled_from([*SPELLINGS])) if is_odd else usual
        spell = SPELLINGS[spelling]
        files = [base64.b64encode(draw(st.sampled_from(SMALL))).decode() for _ in range(count)]
        said = [draw(st.sampled_from(TEXTS + ODD_TEXTS * is_odd)) for _ in range(2)]
        row = row_of(name, said, [spell(file) for file in files], in_parts=in_parts)
        if has_id:
            ids = ODD_IDS if is_odd else [7, 19, 2**53 + 1] if has_numbers else ["r1", "r2", '"']
            row["id"] = draw(st.sampled_from(ids))
        return json.dumps(row, ensure_ascii=is_ascii, separators=spaces).encode() + b"\n"

    lines = [line() for _ in range(draw(st.integers(2, 9)))]
    for _ in range(draw(st.integers(0, 2))):
        other = draw(st.sampled_from(lines) | rows_of(name).map(line_of))
        changed = draw(spliced(other) | spoilt(other) | st.just(other))
        lines.insert(draw(st.integers(0, len(lines))), changed)
    return b"".join(lines)


@st.composite
def spliced(draw: st.DrawFn, line: bytes) -> bytes:
    """Draw a line with what stands between texts put into it, a piece of its own or of another."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(line)))
        places = [at for at in range(start, len(line)) if line[at] in b'"\\']
        at = draw(st.sampled_from(places)) + draw(st.integers(0, 1)) if places else start
        first = draw(st.integers(0, len(line)))
        piece = line[first : first + draw(st.integers(1, 40))]
        line = line[:at] + draw(st.sampled_from([*BETWEEN, piece])) + line[at:]
    return line


def ways(name: str) -> tuple[Plain, Stages, ByRows]:
    format_, layout = formats.get(name), LAYOUTS.get(name, "conversation")
    stages = Stages(format_.parse, OPENER, checker(layout, with_images=True))
    plain = plain_checker(formats.plain_of(format_), layout, with_images=True)

    def by_rows(stream: Lines, span: Span) -> Iterator[Outcome]:
        return convert_runs(read_rows(stream, span), stages, plain)

    return plain, stages, by_rows


def check_same(name: str, data: bytes, span: Span, block_bytes: int = 10**6) -> int:
    """Hold the way by patterns to the way of all rows; return how many lines fitted one."""
    plain, stages, by_rows = ways(name)
    patterns = ByPattern(plain, stages, by_rows)
    given_bytes = data[span.start :]

    found = [*convert_in_blocks(io.BytesIO(given_bytes), span, patterns, by_rows, block_bytes)]
    one_by_one = [*by_rows(io.BytesIO(given_bytes), span)]

    assert objects(found) == objects(one_by_one)
    assert counts(found) == counts(one_by_one)
    return patterns.fitted


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@settings(max_examples=200)
def test_by_a_pattern_or_not_the_rows_are_the_same(name: str, data: st.DataObject) -> None:
    lines = data.draw(lines_of(name))
    is_numbered = data.draw(st.booleans())
    start = data.draw(st.sampled_from([0, len(lines.split(b"\n", 1)[0]) + 1]))
    end = data.draw(st.sampled_from([None, len(lines), len(lines) * 2 // 3]))
    longest = data.draw(st.sampled_from([80, 5_000, 10**6]))
    keep_raw = data.draw(st.booleans())

    span = Span("a", start, end, longest, keep_raw, first_line=9 if is_numbered else None)
    check_same(name, lines, span, data.draw(st.sampled_from([1, 600, 20_000, 10**6])))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("spelling", ["data URI", "bare"])
def test_all_lines_but_the_first_fit(name: str, line_end: bytes, spelling: str) -> None:
    files = [base64.b64encode(noise("JPEG", seed)).decode() for seed in range(40)]
    pictures = [[] if name == "trl" else [SPELLINGS[spelling](file)] for file in files]
    rows = [
        row_of(name, [f"What is {n}?", f'{{"é": "{n}"}}'], pictures[n], in_parts=n % 2 == 0)
        for n in range(40)
    ]
    shapes = 2 if name == "openai" else 1

    lines = b"".join(json.dumps(row).encode() + line_end for row in rows)

    assert check_same(name, lines, Span("a")) == 40 - shapes


def test_a_line_of_another_shape_is_learned_as_well() -> None:
    rows = [chat(["a", "b"], [], in_parts=n % 3 == 0) for n in range(30)]

    assert check_same("openai", b"".join(map(line_of, rows)), Span("a")) == 28


@pytest.mark.parametrize(("first", "step"), [(0, 1), (2**59 - 100, 1), (-3, 0)])
def test_whole_numbers_are_ids_as_well(first: int, step: int) -> None:
    rows = [{**chat(["a", "b"], [], in_parts=False), "id": first + step * n} for n in range(200)]

    fitted = check_same("openai", b"".join(map(line_of, rows)), Span("a"), 1_000)

    assert fitted == (199 if first >= 0 else 0)


def test_lines_of_which_none_is_like_another_are_soon_left_alone() -> None:
    rows = [{"text": "a", "response": "b", "id": n + 0.5} for n in range(200)]

    assert check_same("simple", b"".join(map(line_of, rows)), Span("a"), 1_000) == 0


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b'{"text": "a", "response": 7}', id="no plain row"),
        pytest.param(b'{"text": "a"', id="no JSON"),
        pytest.param(b'{"text": "a", "response": "b", "note": "c"}', id="an unread field"),
        pytest.param(b'{"text": "a", "response": "b", "image": "a.png"}', id="a path"),
        pytest.param(
            b'{"text": "a", "response": "b", "image": "data:image/gif,;base64,R0lG"}', id="commas"
        ),
        pytest.param(
            b'{"text": "a", "response": "b", "image": "data:image\\/gif;base64,R0lG"}', id="escapes"
        ),
        pytest.param(
            b'{"text": "a", "response": "b", "id": 7, "s": ["' + b'","' * 99 + b'"]}', id="many"
        ),
    ],
)
def test_of_some_lines_there_is_no_pattern(line: bytes) -> None:
    assert learned(line + b"\n", ways("simple")[0]) is None


def test_a_text_that_is_given_twice_must_be_given_so_again() -> None:
    line = b'{"text": "a", "text": "b", "response": "c"}\n'
    pattern = learned(line, ways("simple")[0])

    assert pattern is not None
    assert pattern.read(line.replace(b'"a"', b'"d"')) is None
    read = pattern.read(line.replace(b'"b"', b'"d"'))
    assert read is not None and read.texts == ("d", "c")


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param([b'{"text": "a", "x", "response": "b"}'], id="a text too many"),
        pytest.param([b'{"text": "a\\", "response": "b"}'], id="a text too few"),
        pytest.param([b'{"text": "a\\", "response": ","b"}'], id="both in a line"),
        pytest.param(
            [b'{"text": "a", "response": "b\\"}', b'{"text": ","a", "response": "b"}'],
            id="both in two lines",
        ),
        pytest.param([b'{"text": "a", "x": "y", "response": "b"}'], id="a field too many"),
        pytest.param([b'{"text": "a\\\\", "response": "\\", "response": ""}'], id="its own"),
        pytest.param([b'{"text": "a\x01b", "response": "b"}'], id="a control character"),
        pytest.param([b'{"text": "\\ud800", "response": "b"}'], id="half a surrogate"),
        pytest.param([b'{"text": "a", "response": "b"}', b'{"text": "\xff"}'], id="no UTF-8"),
    ],
)
def test_what_stands_between_texts_is_none_of_them(odd: list[bytes]) -> None:
    usual = [line_of({"text": f"{n}", "response": "b"}) for n in range(5)]

    lines = [*usual, *[line + b"\n" for line in odd], *usual]

    assert check_same("simple", b"".join(lines), Span("a")) >= 9


def test_patterns_are_for_formats_that_look_at_no_text() -> None:
    blind = {
        name
        for name, format_ in formats.FORMATS.items()
        if formats.is_blind(formats.plain_of(format_))
    }

    assert blind == set(NAMES)


def test_runs_are_as_long_as_those_of_rows() -> None:
    plain, stages, by_rows = ways("simple")
    lines = b"".join(line_of({"text": f"{n}", "response": "b"}) for n in range(1_000))

    patterns = ByPattern(plain, stages, by_rows)
    found = [*convert_in_blocks(io.BytesIO(lines), Span("a"), patterns, by_rows)]

    assert [len(run.rows) for run in found if isinstance(run, PlainRows)] == [1, 256, 256, 256, 231]


@pytest.mark.parametrize("block_bytes", [1, 60, 1_000, 10**6])
def test_an_error_of_reading_is_never_an_end(block_bytes: int) -> None:
    plain, stages, by_rows = ways("simple")
    for count in (0, 1, 60):
        lines = b"".join(line_of({"text": f"{n}", "response": "b"}) for n in range(count))
        patterns = ByPattern(plain, stages, by_rows)
        with pytest.raises(OSError, match="gone"):
            list(convert_in_blocks(Failing(lines), Span("a"), patterns, by_rows, block_bytes))
