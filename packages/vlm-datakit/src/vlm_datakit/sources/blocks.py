"""A stream cut into blocks of whole lines, so that several processes can convert it.

What a block is converted to is held whole, and a row of 50 bytes that names a picture may come
to 10 MiB. So blocks begin with one row, and grow as long as little comes out of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vlm_datakit.plan import MIB
from vlm_datakit.sources.jsonl import skip_line
from vlm_datakit.sources.pipe import Lines

_BLOCK_BYTES, _BLOCK_ROWS = 4 * MIB, 64  # more would save nothing that can be measured
_FEW_BYTES, _MANY_BYTES = 4 * MIB, 8 * MIB  # that come out of a block


@dataclass(frozen=True, slots=True)
class Block:
    """Lines that follow each other: where in the stream they begin, and the first one's number."""

    number: int
    start: int
    first_line: int
    lines: bytes

    @property
    def end(self) -> int:
        """Return the offset behind the last byte."""
        return self.start + len(self.lines)


@dataclass(slots=True)
class Pace:
    """How many lines the next block has at most: from 1 to 64, as many as make 4 to 8 MiB."""

    lines: int = 1

    def learn(self, lines: int, made_bytes: int) -> None:
        """Hear what was made of a block."""
        if made_bytes > _MANY_BYTES:
            self.lines = max(1, lines * _MANY_BYTES // made_bytes)
        elif made_bytes < _FEW_BYTES:
            self.lines = max(self.lines, min(2 * lines, _BLOCK_ROWS))


def cut_blocks(stream: Lines, max_line_bytes: int, pace: Pace) -> Iterator[Block]:
    """Cut a stream into blocks of some lines or 4 MiB, whatever comes first.

    A line that is too long ends its block, and stands in it with as many bytes as show it.

    Args:
        stream: Read from its head to its end.
        max_line_bytes: As the reader of the blocks has it.
        pace: Says how many lines, and may change meanwhile.
    """
    number, start, first_line = 0, 0, 1
    error = None
    while error is None:
        lines, error = _lines(stream, max_line_bytes, pace.lines)
        if not lines:
            break
        block = Block(number, start, first_line, b"".join(lines))
        number, start, first_line = number + 1, block.end, first_line + len(lines)
        is_cut = _is_cut(lines[-1], max_line_bytes)
        del lines
        yield block
        start += skip_line(stream) if is_cut else 0
    if error is not None:
        raise error


def _lines(stream: Lines, max_line_bytes: int, count: int) -> tuple[list[bytes], Exception | None]:
    """Return the next lines, and what reading the one behind them raised."""
    lines, size = list[bytes](), 0
    while len(lines) < count and size < _BLOCK_BYTES:
        try:
            line = stream.readline(max_line_bytes + 1)
        except Exception as error:  # raised behind the rows before it
            return lines, error
        if not line:
            break
        lines.append(line)
        size += len(line)
        if _is_cut(line, max_line_bytes):
            break
    return lines, None


def _is_cut(line: bytes, max_line_bytes: int) -> bool:
    return len(line) > max_line_bytes and not line.endswith(b"\n")
