"""Blocks hold every line of a stream once, and say where it stands."""

from __future__ import annotations

import io
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlm_datakit.conversation import Rejected, Row
from vlm_datakit.plan import MIB
from vlm_datakit.sources.blocks import Pace, cut_blocks
from vlm_datakit.sources.jsonl import Span, read_rows

LONGEST = 12
LINES = st.sampled_from(
    [b"{}", b'{"a": 1}', b"[]", b"", b" ", b"{", b"0123456789ab", b"0123456789abc", b"x" * 40]
)
ENDS = st.sampled_from([b"\n", b"\r\n"])


def rows_of_blocks(data: bytes, lines: int) -> list[Row | Rejected]:
    """Read a stream block by block, as workers do."""
    blocks = cut_blocks(io.BytesIO(data), LONGEST, Pace(lines))
    spans = (
        (block.lines, Span("a", block.start, None, LONGEST, True, first_line=block.first_line))
        for block in blocks
    )
    return [row for piece, span in spans for row in read_rows(io.BytesIO(piece), span)]


@given(
    st.lists(st.tuples(LINES, ENDS), max_size=12),
    st.integers(0, 200),
    st.sampled_from([b"", b"\xef\xbb\xbf"]),
    st.booleans(),
    st.integers(1, 5),
)
def test_the_rows_are_those_of_the_stream(
    lines: list[tuple[bytes, bytes]], many: int, bom: bytes, is_cut: bool, most: int
) -> None:
    cycle = itertools.islice(itertools.cycle(lines), many if lines else 0)
    data = bom + b"".join(line + end for line, end in cycle)
    data = data[:-1] if is_cut else data

    whole = list(read_rows(io.BytesIO(data), Span("a", 0, None, LONGEST, True)))

    assert rows_of_blocks(data, most) == whole


@pytest.mark.parametrize(
    ("line", "count", "sizes"),
    [
        pytest.param(b"{}\n", 130, [192, 192, 6], id="64 lines"),
        pytest.param(b" " * (MIB - 1) + b"\n", 9, [4 * MIB, 4 * MIB, MIB], id="4 MiB"),
        pytest.param(b" " * (5 * MIB - 1) + b"\n", 2, [5 * MIB] * 2, id="a long line"),
    ],
)
def test_a_block_ends_with(line: bytes, count: int, sizes: list[int]) -> None:
    blocks = list(cut_blocks(io.BytesIO(line * count), 64 * MIB, Pace(64)))

    assert [len(block.lines) for block in blocks] == sizes
    assert [block.end for block in blocks] == [*itertools.accumulate(sizes)]
    assert [block.number for block in blocks] == [*range(len(sizes))]


@pytest.mark.parametrize(
    ("before", "lines", "made_bytes", "after"),
    [
        pytest.param(1, 1, 300, 2, id="little: twice as many"),
        pytest.param(64, 64, 300, 64, id="never more than 64"),
        pytest.param(64, 5, 300, 64, id="little from a block of long lines, or the last one"),
        pytest.param(8, 8, 6 * MIB, 8, id="enough"),
        pytest.param(64, 64, 64 * MIB, 8, id="too much: as many as make 8 MiB"),
        pytest.param(2, 1, 60 * MIB, 1, id="never none"),
    ],
)
def test_the_pace_follows_what_comes_out(
    before: int, lines: int, made_bytes: int, after: int
) -> None:
    pace = Pace(before)

    pace.learn(lines, made_bytes)

    assert pace.lines == after
