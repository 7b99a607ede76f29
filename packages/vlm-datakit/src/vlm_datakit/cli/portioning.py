"""Where the rows of a conversion come from: an import, files, the Hub, or standard input."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from vlm_datakit import formats
from vlm_datakit.cli.options import row_limit, say_mapping
from vlm_datakit.cli.talk import download_teller, say, say_left_out, say_on_hub
from vlm_datakit.conversion import ConvertRequest, convert_shards
from vlm_datakit.conversion_workers import convert_portions, workers_worth
from vlm_datakit.errors import UsageError
from vlm_datakit.formats.format import Format
from vlm_datakit.hub.names import pinned
from vlm_datakit.importing import (
    ImportRequest,
    check_roots,
    fetched,
    is_import,
    look_at,
    sources_of,
)
from vlm_datakit.losses import Loss
from vlm_datakit.mapping.parser import settled
from vlm_datakit.plan import LINE_KINDS, SourceFile
from vlm_datakit.portions import Portion, portion_of
from vlm_datakit.runner.downloads import downloading
from vlm_datakit.sources.heads import Head, heads, open_head, tell_looks, whole_files
from vlm_datakit.sources.local import PIPE
from vlm_datakit.sources.pipe import Pipe, standard_input
from vlm_datakit.suggesting import Given, check_goal, choose_mapping, why


def portions(
    source: str, request: ConvertRequest, given: dict[str, Any], stack: ExitStack
) -> tuple[ConvertRequest, Iterator[Portion]]:
    """Return what a conversion writes, and the request with what the first rows told.

    Args:
        source: As named.
        request: With the format as it was given.
        given: The options of the command.
        stack: Closes what is opened.

    Raises:
        UsageError: for options that do not go together.
        SourceError, RemoteError: as `vlm_datakit.importing.plan_import`.
    """
    formats.get(request.target)
    check_roots(request.image_roots)
    if is_import(source):
        return request, _of_import(source, request, given)
    if given["split"] and (source == PIPE or Path(source).is_file()):
        raise UsageError("--split chooses from an import, a folder or the Hub; a file has none")
    if request.fetch is not None:
        _check_one_worker(given, "--fetch")
    return _of_files(source, request, given, stack)


def _of_import(source: str, request: ConvertRequest, given: dict[str, Any]) -> Iterator[Portion]:
    _check_one_worker(given, "a finished import")
    if row_limit(given) is not None:
        raise UsageError(f"{source}: a finished import is converted whole; `head -n N` cuts lines")
    if request.mapping is not None or given["goal"] is not None:
        raise UsageError(f"{source}: a finished import has its columns; --map is for rows")
    _say_losses(request, None, quiet=given["quiet"])
    splits = given["split"] or [None]
    by_split = (convert_shards(Path(source), name, request) for name in splits)
    return map(portion_of, chain.from_iterable(by_split))


def _of_files(
    source: str, request: ConvertRequest, given: dict[str, Any], stack: ExitStack
) -> tuple[ConvertRequest, Iterator[Portion]]:
    pipe = standard_input() if source == PIPE else None
    named = ImportRequest((source,), split=given["split"] or None, config=given["config"])
    files = sources_of(replace(named, with_datasets=given["with_datasets"]), pipe)
    teller = download_teller(quiet=given["quiet"])
    if not given["quiet"]:
        say_on_hub(files)
    limit = row_limit(given)
    fetched(files[0], teller, limit)
    if not given["quiet"]:
        say_left_out(files)
    request, format_ = _told(files[0], request, pipe, given)
    _say_losses(request, format_, quiet=given["quiet"])
    wanted = heads(files, limit)
    tell_looks(wanted, teller)
    stack.enter_context(downloading(whole_files(wanted), teller))
    found = stack.enter_context(closing(_converted(wanted, pipe, request, given["workers"])))
    return request, found


def _told(
    file: SourceFile, request: ConvertRequest, pipe: Pipe | None, given: dict[str, Any]
) -> tuple[ConvertRequest, Format]:
    """Return the request with what the first rows tell, and the format that they are in."""
    request, suggested = _as_suggested(request, file, pipe, given["goal"])
    name, mapping = settled(request.mapping, request.source)
    format_ = None if name == "auto" else formats.get(name)
    if format_ is not None and mapping is None and pinned(file.path) is None:
        return request, format_
    found = look_at(file, pipe, format_, mapping)
    request = replace(request, names_pictures=found.names_pictures)
    if format_ is None or mapping is not None:
        if not given["quiet"]:
            say(f"{file.name}: read as {found.format} ({suggested or found.evidence})")
        say_mapping(mapping, found, given)
        request = request if mapping else replace(request, source=found.format)
    return request, formats.get(found.format)


def _as_suggested(
    request: ConvertRequest, file: SourceFile, pipe: Pipe | None, goal: str | None
) -> tuple[ConvertRequest, str]:
    """Return the request with the format and mapping for a goal, and why it is those."""
    check_goal(goal, Given(request.source, request.mapping))
    if goal is None:
        return request, ""
    chosen = choose_mapping(file, pipe, goal)
    request = replace(request, source=chosen.format or "auto", mapping=chosen.mapping)
    return request, why(chosen, goal)


def _converted(
    wanted: Sequence[Head], pipe: Pipe | None, request: ConvertRequest, workers: int | None
) -> Generator[Portion, None, None]:
    for head in wanted:
        many = workers or workers_worth(head.file, request)
        is_lines = head.file.kind in LINE_KINDS  # whose stream ends with the last row wanted
        of_file = request if is_lines else replace(request, row_limit=head.rows)
        with (
            open_head(head, pipe) as stream,
            closing(convert_portions(stream, head.file, of_file, many)) as found,
        ):
            yield from found


def _say_losses(request: ConvertRequest, source: Format | None, *, quiet: bool) -> None:
    """Say before the first row what the target cannot hold of all that the source can."""
    if quiet:
        return
    never_there = source.cannot_hold if source else frozenset[Loss]()
    cannot_hold = formats.get(request.target).cannot_hold - (never_there - {Loss.TURN_ORDER})
    if refused := sorted(cannot_hold - request.lossy):
        say(f"{request.target} cannot hold, and rows with it are refused: {', '.join(refused)}")
    if left_out := sorted(cannot_hold & request.lossy):
        say(f"{request.target} cannot hold, and it is left out: {', '.join(left_out)}")


def _check_one_worker(given: dict[str, Any], what: str) -> None:
    if (given["workers"] or 1) > 1:
        raise UsageError(f"--workers: {what} is done by one process")
