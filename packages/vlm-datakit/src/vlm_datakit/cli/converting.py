"""``vlm-datakit convert``."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    workers_option,
)
from vlm_datakit.cli.talk import say, say_counts, say_refused
from vlm_datakit.errors import TooManyRejects, UsageError
from vlm_datakit.losses import Loss, parse_losses

if TYPE_CHECKING:
    from vlm_datakit.conversion import ConvertRequest
    from vlm_datakit.formats.format import Format
    from vlm_datakit.plan import SourceFile
    from vlm_datakit.portions import Portion
    from vlm_datakit.sources.pipe import Pipe


@click.command("convert")
@click.argument("source", default="-", metavar="[IN]")
@click.argument("output", default="-", metavar="[OUT]")
@format_option
@click.option(
    "--to",
    "target",
    required=True,
    metavar="FORMAT",
    help="openai, simple, trl, ... as `vlm-datakit schema` lists them",
)
@click.option("--split", metavar="NAME", help="Of an import [default: all, one after the other]")
@image_root_option
@picture_options
@click.option("--rejects", metavar="FILE", help="Write refused rows to a ledger.")
@rejects_raw_option
@click.option(
    "--lossy",
    multiple=True,
    metavar="NAME",
    help="Leave out what the target cannot hold, and count it; repeatable: first-turn, "
    "detail, tools, ... as the command says before it runs, or all.",
)
@click.option("--overwrite", is_flag=True, help="Replace OUT and the ledger if they exist.")
@workers_option
@quiet_option
def command(source: str, output: str, **given: Any) -> None:
    """Turn rows of one format into another.

    IN is a file of JSON lines, a finished import, or standard input; OUT is a file or
    standard output. Good rows go out; refused ones are named, and the exit code is 6.
    """
    from vlm_datakit.conversion import ConvertRequest
    from vlm_datakit.sinks.jsonl import write_all

    if output != "-" and output == given["rejects"]:
        raise UsageError(f"{output}: rows and refused rows cannot go into one file")
    request = ConvertRequest(
        given["format_"],
        given["target"],
        given["image_root"],
        parse_losses(given["lossy"]),
        given["rejects_raw"],
        limits(given),
        image_policy(given),
        fetch_policy(given),
    )
    with ExitStack() as stack:
        portions = _portions(source, request, given, stack)
        out = stack.enter_context(_opened(output, overwrite=given["overwrite"]))
        ledger = stack.enter_context(_ledger(given["rejects"], overwrite=given["overwrite"]))
        counts = _Counts()
        for portion in portions:
            write_all(out, portion.written)
            if ledger is not None:
                ledger.write(portion.ledger)
            elif not given["quiet"]:
                counts.say_first(portion)
            counts.add(portion)
        out.flush()
    counts.conclude(quiet=given["quiet"])


def _portions(
    source: str, request: ConvertRequest, given: dict[str, Any], stack: ExitStack
) -> Iterator[Portion]:
    from dataclasses import replace

    from vlm_datakit import formats
    from vlm_datakit.conversion import convert_shards
    from vlm_datakit.conversion_workers import convert_portions, workers_worth
    from vlm_datakit.importing import check_roots, find_files, is_folder, look_at
    from vlm_datakit.portions import portion_of

    formats.get(request.target)
    check_roots(request.image_roots)
    if source != "-" and is_folder(source):
        _check_one_worker(given, "a finished import")
        _say_losses(request, None, quiet=given["quiet"])
        return map(portion_of, convert_shards(Path(source), given["split"], request))
    if given["split"]:
        raise UsageError("--split chooses from a finished import; a file of rows has none")
    if request.fetch is not None:
        _check_one_worker(given, "--fetch")
    file, *others = find_files([source])
    if others:
        raise UsageError("IN is a folder of several files; convert reads one at a time")
    stream = _stream(file, stack)
    if request.source == "auto":
        found = look_at(file, stream, None)
        request = replace(request, source=found.format)
        if not given["quiet"]:
            say(f"{file.name}: read as {found.format} ({found.evidence})")
    _say_losses(request, formats.get(request.source), quiet=given["quiet"])
    workers = given["workers"] or workers_worth(file, request)
    return stack.enter_context(closing(convert_portions(stream, file, request, workers)))


def _say_losses(request: ConvertRequest, source: Format | None, *, quiet: bool) -> None:
    """Say before the first row what the target cannot hold of all that the source can."""
    from vlm_datakit import formats

    if quiet:
        return
    never_there = source.cannot_hold if source else frozenset[Loss]()
    cannot_hold = formats.get(request.target).cannot_hold - never_there
    if refused := sorted(cannot_hold - request.lossy):
        say(f"{request.target} cannot hold, and rows with it are refused: {', '.join(refused)}")
    if left_out := sorted(cannot_hold & request.lossy):
        say(f"{request.target} cannot hold, and it is left out: {', '.join(left_out)}")


def _check_one_worker(given: dict[str, Any], what: str) -> None:
    if (given["workers"] or 1) > 1:
        raise UsageError(f"--workers: {what} is done by one process")


def _stream(file: SourceFile, stack: ExitStack) -> Pipe:
    from vlm_datakit.sources.opening import open_source
    from vlm_datakit.sources.pipe import Pipe, standard_input

    if file.is_pipe:
        return standard_input()
    return Pipe(stack.enter_context(open_source(file)))


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
        self._losses = Counter[str]()

    def add(self, portion: Portion) -> None:
        """Count the rows of a portion."""
        self._rows += portion.rows
        self._reasons.update(portion.by_reason)
        self._warnings.update(portion.warnings)
        self._losses.update(portion.losses)

    def say_first(self, portion: Portion) -> None:
        """Name the refused rows of the next portion if they are among the first of all."""
        from vlm_datakit.portions import SHOWN

        say_refused(portion.refused[: max(0, SHOWN - self._reasons.total())])

    def conclude(self, *, quiet: bool) -> None:
        """Say how it went.

        Raises:
            TooManyRejects: if a row was refused.
        """
        refused = self._reasons.total()
        if not quiet:
            say_counts("refused, by reason:", self._reasons)
            say_counts("warned, rows by reason:", self._warnings, hints=False)
            say_counts("left out, rows by loss:", self._losses, hints=False)
        if refused:
            text = f"{refused:,} of {self._rows:,} rows were refused; the others are written"
            raise TooManyRejects(text, self._rows, self._reasons)
        if not quiet:
            say(f"{self._rows:,} rows converted")
