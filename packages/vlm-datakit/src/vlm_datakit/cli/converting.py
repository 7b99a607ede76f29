"""``vlm-datakit convert``."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from vlm_datakit.cli.options import (
    fetch_policy,
    format_option,
    image_policy,
    image_root_option,
    limits,
    picture_options,
    quiet_option,
    rejects_raw_option,
)
from vlm_datakit.cli.talk import say, say_counts, say_refused
from vlm_datakit.errors import TooManyRejects, UsageError

if TYPE_CHECKING:
    from vlm_datakit.conversation import Rejected
    from vlm_datakit.conversion import ConvertRequest
    from vlm_datakit.rendering import Rendered
    from vlm_datakit.sources.pipe import Pipe

_SHOWN = 20


@click.command("convert")
@click.argument("source", default="-", metavar="[IN]")
@click.argument("output", default="-", metavar="[OUT]")
@format_option
@click.option(
    "--to", "target", required=True, metavar="FORMAT", help="openai, simple, trl or preference"
)
@click.option("--split", metavar="NAME", help="Of an import [default: all, one after the other]")
@image_root_option
@picture_options
@click.option("--rejects", metavar="FILE", help="Write refused rows to a ledger.")
@rejects_raw_option
@click.option(
    "--allow-loss", is_flag=True, help="Leave out what the target cannot hold, and count it."
)
@click.option("--overwrite", is_flag=True, help="Replace OUT and the ledger if they exist.")
@quiet_option
def command(source: str, output: str, **given: Any) -> None:
    """Turn rows of one format into another.

    IN is a file of JSON lines, a finished import, or standard input; OUT is a file or
    standard output. Good rows go out; refused ones are named, and the exit code is 6.
    """
    from vlm_datakit.conversion import ConvertRequest

    if output != "-" and output == given["rejects"]:
        raise UsageError(f"{output}: rows and refused rows cannot go into one file")
    request = ConvertRequest(
        given["format_"],
        given["target"],
        given["image_root"],
        given["allow_loss"],
        given["rejects_raw"],
        limits(given),
        image_policy(given),
        fetch_policy(given),
    )
    with ExitStack() as stack:
        outcomes = _outcomes(source, request, given, stack)
        out = stack.enter_context(_opened(output, overwrite=given["overwrite"]))
        ledger = stack.enter_context(_ledger(given["rejects"], overwrite=given["overwrite"]))
        counts = _Counts()
        for outcome in outcomes:
            out.write(counts.line(outcome, ledger, quiet=given["quiet"]))
        out.flush()
    counts.conclude(quiet=given["quiet"])


def _outcomes(
    source: str, request: ConvertRequest, given: dict[str, Any], stack: ExitStack
) -> Iterator[Rendered | Rejected]:
    from dataclasses import replace

    from vlm_datakit import formats
    from vlm_datakit.conversion import convert_shards, convert_stream
    from vlm_datakit.importing import check_roots, find_files, is_folder, look_at

    formats.get(request.target)
    check_roots(request.image_roots)
    if source != "-" and is_folder(source):
        return convert_shards(Path(source), given["split"], request)
    if given["split"]:
        raise UsageError("--split chooses from a finished import; a file of rows has none")
    (file,) = find_files([source])
    stream = _stream(source, stack)
    if request.source == "auto":
        found = look_at(file, stream, None)
        request = replace(request, source=found.format)
        if not given["quiet"]:
            say(f"{file.name}: read as {found.format} ({found.evidence})")
    formats.get(request.source)
    return stack.enter_context(closing(convert_stream(stream, file, request)))


def _stream(source: str, stack: ExitStack) -> Pipe:
    from vlm_datakit.sources.jsonl import BUFFER_BYTES
    from vlm_datakit.sources.pipe import Pipe, standard_input

    if source == "-":
        return standard_input()
    return Pipe(stack.enter_context(Path(source).open("rb", buffering=BUFFER_BYTES)))


def _opened(output: str, *, overwrite: bool) -> Any:
    from vlm_datakit.sinks.jsonl import open_new

    if output == "-":
        return nullcontext(sys.stdout.buffer)
    return open_new(Path(output), overwrite=overwrite)


def _ledger(path: str | None, *, overwrite: bool) -> Any:
    return nullcontext(None) if path is None else _opened(path, overwrite=overwrite)


class _Counts:
    """Counts what became of the rows, and says it."""

    def __init__(self) -> None:
        self._rows = 0
        self._reasons, self._warnings = Counter[str](), Counter[str]()

    def line(self, outcome: Rendered | Rejected, ledger: IO[bytes] | None, *, quiet: bool) -> bytes:
        """Return what to write for a row: its line, or nothing for a refused one."""
        from vlm_datakit.conversation import Rejected
        from vlm_datakit.runner.work import reject_line
        from vlm_datakit.sinks.jsonl import json_line
        from vlm_datakit.sinks.ledger import ledger_line

        self._rows += 1
        if not isinstance(outcome, Rejected):
            self._warnings.update({str(warned.reason) for warned in outcome.warnings})
            return json_line(outcome.row)
        self._reasons[str(outcome.reason)] += 1
        if ledger is not None:
            ledger.write(ledger_line(outcome))
        elif not quiet and self._reasons.total() <= _SHOWN:
            say_refused([reject_line(outcome)])
        return b""

    def conclude(self, *, quiet: bool) -> None:
        """Say how it went.

        Raises:
            TooManyRejects: if a row was refused.
        """
        refused = self._reasons.total()
        if not quiet:
            say_counts("refused, by reason:", self._reasons)
            say_counts("warned, rows by reason:", self._warnings, hints=False)
        if refused:
            text = f"{refused:,} of {self._rows:,} rows were refused; the others are written"
            raise TooManyRejects(text, self._rows, self._reasons)
        if not quiet:
            say(f"{self._rows:,} rows converted")
