"""Conversion in one process or several: portions of lines to write, in the order of the rows.

The one place where rows cross process borders, as lines: standard input has one reader, and
standard output one writer.
"""

from __future__ import annotations

import io
from collections.abc import Generator
from contextlib import closing
from functools import partial
from typing import NoReturn

from vlm_datakit.conversion import ConvertRequest, convert_stream
from vlm_datakit.errors import UsageError
from vlm_datakit.plan import LINE_KINDS, Plan, SourceFile
from vlm_datakit.portions import Portion, joined, portion_of
from vlm_datakit.runner.line import Line
from vlm_datakit.runner.ordered import in_order
from vlm_datakit.runner.processes import Work
from vlm_datakit.runner.worker import attend
from vlm_datakit.sources.blocks import Block, Pace, cut_blocks
from vlm_datakit.sources.kinds import KINDS
from vlm_datakit.sources.pipe import Lines


def workers_worth(file: SourceFile, request: ConvertRequest) -> int:
    """Return how many processes a conversion is worth.

    One for standard input, whose length nobody knows, for what are no lines, and for one that
    fetches, whose connections are counted in one process; else as many as for an import.
    """
    if file.is_pipe or request.fetch is not None or file.kind not in LINE_KINDS:
        return 1
    from vlm_datakit.runner.engines import default_workers  # with Arrow, which workers need not

    return default_workers(Plan((file,), request.source))


def convert_portions(
    stream: Lines, file: SourceFile, request: ConvertRequest, workers: int = 1
) -> Generator[Portion, None, None]:
    """Convert the rows of a stream into portions of lines to write, in order.

    Joined, the portions are the same for any number of processes; in this one each is a row.
    Otherwise they are of up to 64 rows or 4 MiB; a killed process is replaced.

    Args:
        stream: Of unpacked bytes, read by a thread if there are several processes.
        file: What they are called, and where its pictures may lie.
        request: Formats, folders, limits.
        workers: How many processes; with 1 this one does it.

    Raises:
        UsageError: for several processes and a request that fetches, or rows that are no lines.
        SourceError: if the same rows kill their process three times.
    """
    if workers == 1:
        with closing(convert_stream(stream, file, request)) as outcomes:
            yield from map(portion_of, outcomes)
        return
    if request.fetch is not None:
        raise UsageError("pictures are fetched by one process: leave out --workers or --fetch")
    if file.kind not in LINE_KINDS:
        title = KINDS[file.kind].title
        raise UsageError(f"{file.name}: {title} is converted by one process: leave out --workers")
    pace = Pace()
    blocks = cut_blocks(stream, request.limits.max_line_bytes, pace)
    work = Work(__name__, (file, request), partial(_deadly, file))
    with closing(in_order(work, blocks, workers)) as portions:
        for portion in portions:
            pace.learn(portion.rows, len(portion.written))
            yield portion


def serve(line: Line) -> NoReturn:
    """Convert the blocks that come over the line.

    Args:
        line: Brings the file and the request, and then blocks.
    """
    file, request = line.recv()
    attend(line, lambda block: _converted(block, file, request))


def _converted(block: Block, file: SourceFile, request: ConvertRequest) -> Portion:
    stream = io.BytesIO(block.lines)
    outcomes = convert_stream(stream, file, request, block.start, block.first_line)
    return joined(map(portion_of, outcomes))


def _deadly(file: SourceFile, block: Block, ending: str) -> str:
    return (
        f"{file.name}: bytes {block.start:,} to {block.end:,}: the worker that converts them "
        f"{ending}: look at these rows, or give it more memory"
    )
