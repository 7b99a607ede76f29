"""From sources as a person names them to a finished output folder."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from vlm_datakit import formats
from vlm_datakit.errors import SourceError, UsageError
from vlm_datakit.events import Listener, Summary
from vlm_datakit.fetching.addresses import allowed_hosts
from vlm_datakit.formats.format import Format
from vlm_datakit.hub.arriving import ReplacedError
from vlm_datakit.hub.download import Told, downloaded
from vlm_datakit.hub.names import hub_name, pinned
from vlm_datakit.mapping.fieldmap import FieldMap
from vlm_datakit.mapping.parser import settled
from vlm_datakit.plan import FetchPolicy, ImagePolicy, Limits, Plan, SourceFile
from vlm_datakit.runner.downloads import Coming, coming
from vlm_datakit.runner.provisional import may_arrive
from vlm_datakit.runner.run import RunOptions, run
from vlm_datakit.shards.manifest import FILE_NAME
from vlm_datakit.sources.arrow_values import DamagedError
from vlm_datakit.sources.heads import may_look
from vlm_datakit.sources.loaded import loaded_sources
from vlm_datakit.sources.local import PIPE, checked_split, source_files
from vlm_datakit.sources.pipe import Pipe
from vlm_datakit.sources.remote import check_output
from vlm_datakit.sources.slices import slice_bytes
from vlm_datakit.sources.survey import Survey, first_rows, survey
from vlm_datakit.sources.telling import told_pipe
from vlm_datakit.suggesting import Given, check_goal, choose_mapping, why
from vlm_datakit.version import versions


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What to import: sources as named, and what the user said about them.

    ``split`` is one or several, or ``all``; ``config`` is that of a data set on the Hub.
    ``with_images`` None lets the first rows decide whether shards have image columns. With a
    ``goal``, and no format and no mapping, the first rows decide what becomes of their columns,
    if they leave no doubt; see `vlm_datakit.suggesting`. ``row_limit`` is how many rows of each
    split are read, None: all. ``with_datasets`` has the package ``datasets`` read the sources.
    """

    sources: tuple[str, ...]
    format: str = "auto"
    split: str | tuple[str, ...] | None = None
    image_roots: tuple[str, ...] = ()
    with_images: bool | None = None
    rejects_raw: bool = False
    limits: Limits = field(default_factory=Limits)
    images: ImagePolicy = field(default_factory=ImagePolicy)
    fetch: FetchPolicy | None = None
    mapping: FieldMap | None = None
    goal: str | None = None
    config: str | None = None
    row_limit: int | None = None
    with_datasets: bool = False


def plan_import(
    request: ImportRequest,
    pipe: Pipe | None = None,
    told: Told | None = None,
    first: Coming | None = None,
) -> tuple[Plan, Survey]:
    """Look at the sources and fix what an import will do; nothing is written.

    Of files on the Hub the first one is downloaded; of the others only places are looked at.

    Args:
        request: What to import.
        pipe: Standard input, if a source is that.
        told: Hears how far a download is.
        first: Brings the first file while its first rows are looked at, if it may be read so.

    Raises:
        UsageError: an unknown format or split name, the same file twice, a mapping that
            makes no row or names a column that is not there.
        SourceError: a source is missing, empty, binary, or of no known format, or a goal
            leaves open what its columns are, or does not fit them.
        RemoteError: the Hub does not answer.
    """
    check_goal(request.goal, Given(request.format, request.mapping))
    settled(request.mapping, request.format)
    check_roots(request.image_roots)
    allowed_hosts(request.fetch)
    files = sources_of(request, pipe)
    found, mapping = _looked_at(files[0], request, pipe, told, first)
    is_whole = request.row_limit is None  # else nobody knows yet how much is read
    total = sum(file.size_bytes or 0 for file in files) if is_whole else 0
    plan = Plan(
        files=files,
        format=found.format,
        layout=found.layout,
        with_images=found.with_images if request.with_images is None else request.with_images,
        slice_bytes=slice_bytes(total, names_pictures=found.names_pictures),
        image_roots=request.image_roots,
        rejects_raw=request.rejects_raw,
        limits=request.limits,
        images=request.images,
        fetch=request.fetch,
        versions=versions(),
        mapping=mapping,
        row_limit=request.row_limit,
    )
    return plan, found


def _looked_at(
    file: SourceFile,
    request: ImportRequest,
    pipe: Pipe | None,
    told: Told | None,
    first: Coming | None,
) -> tuple[Survey, FieldMap | None]:
    """Survey a file as soon as its first rows are here, or else as soon as it is.

    What they are not fit for is said at once, however large the file is; that it is damaged, of
    the whole file alone, held to its digest. Rows that name their pictures make small slices,
    whose borders are not worth a question each.
    """
    if first is not None and request.row_limit is None and may_arrive(file):
        first.begin(file)
        with suppress(DamagedError):
            found, mapping = _surveyed(file, request, pipe, arrives=True)
            if not found.names_pictures:
                return found, mapping
        first.marks = ()
    fetched(file, told, request.row_limit)
    return _surveyed(file, request, pipe)


def _surveyed(
    file: SourceFile, request: ImportRequest, pipe: Pipe | None, *, arrives: bool = False
) -> tuple[Survey, FieldMap | None]:
    """Tell from the first rows what an import does, by its goal if it has one."""
    name, mapping, evidence = read_as(file, request, pipe, arrives=arrives)
    format_ = None if name == "auto" else formats.get(name)
    found = look_at(file, pipe, format_, mapping, arrives=arrives)
    found = replace(found, evidence=evidence or found.evidence)
    return (found if name == "auto" else replace(found, format=name)), mapping


def read_as(
    file: SourceFile, request: ImportRequest, pipe: Pipe | None = None, *, arrives: bool = False
) -> tuple[str, FieldMap | None, str | None]:
    """Return the format, or ``auto``, the mapping, and why, if a goal has chosen them.

    Args:
        file: The source whose first rows decide, if the request has a goal.
        request: What was said of the sources.
        pipe: Standard input, if the file is it.
        arrives: Whether the rows may be read while the file comes.

    Raises:
        SourceError: if it is open what the columns are for that goal, or they do not fit it.
    """
    if request.goal is None:
        return *settled(request.mapping, request.format), None
    chosen = choose_mapping(file, pipe, request.goal, arrives=arrives)
    return *settled(chosen.mapping, chosen.format or "auto"), why(chosen, request.goal)


def sources_of(request: ImportRequest, pipe: Pipe | None = None) -> tuple[SourceFile, ...]:
    """Return the files that a request names, or the data sets that ``datasets`` is to read.

    Raises:
        UsageError, SourceError, RemoteError: as `find_files`, and as
            `vlm_datakit.sources.loaded.loaded_sources`.
    """
    if request.with_datasets:
        files = loaded_sources(request.sources, request.split, request.config)
        for file in files:
            checked_split(file.split)
        return files
    return find_files(request.sources, request.split, pipe, request.config)


def find_files(
    names: Sequence[str],
    split: str | Sequence[str] | None = None,
    pipe: Pipe | None = None,
    config: str | None = None,
) -> tuple[SourceFile, ...]:
    """Return the files that names stand for; see `vlm_datakit.sources.local.source_files`.

    Args:
        names: As given.
        split: Of names without one.
        pipe: Standard input, if a name is that; looked at, and unpacked from now on.
        config: Of a data set on the Hub, or of a folder laid out like one.

    Raises:
        UsageError, SourceError, RemoteError: as that one; also for a name that no disk can
            hold, and for one that is not UTF-8, which no ledger and no manifest can state.
    """
    try:
        files = source_files(names, split, config)
    except OSError as error:
        raise SourceError(f"{error.filename}: {error.strerror}") from error
    for file in files:
        if not file.name.isascii() and file.name != file.name.encode(errors="ignore").decode():
            raise SourceError(f"{file.name}: the name is not valid UTF-8; rename it")
    if pipe is None:
        return files
    return tuple(told_pipe(file, pipe) if file.is_pipe else file for file in files)


def fetched(file: SourceFile, told: Told | None, row_limit: int | None = None) -> None:
    """Download a file if it lies on the Hub and is not here.

    One of which some rows are wanted is left there if it is large; see `may_look`.

    Raises:
        SourceError, RemoteError, OutputError: as `vlm_datakit.hub.download.downloaded`.
    """
    is_looked_at = row_limit is not None and may_look(file)
    if (hub_file := pinned(file.path)) is not None and not is_looked_at:
        downloaded(hub_file, file.size_bytes or 0, file.etag or "", told)


def is_import(name: str) -> bool:
    """Whether a name on the command line is that of a finished import; never raises."""
    try:
        return Path(name, FILE_NAME).is_file()
    except (OSError, ValueError):  # too long, a loop of links
        return False


def look_at(
    file: SourceFile,
    pipe: Pipe | None,
    format_: Format | None,
    mapping: FieldMap | None = None,
    *,
    arrives: bool = False,
) -> Survey:
    """Tell format, layout and pictures from the first rows of a file.

    Args:
        file: The source.
        pipe: Standard input, if the file is it; its rows stay unread.
        format_: The format the caller named, or None to detect it.
        mapping: What rows go through before it.
        arrives: Whether the rows may be read while the file comes.

    Raises:
        UsageError: if the mapping names a column that no row has.
        SourceError: if there are no rows to tell the format from, or none fits.
    """
    rows = first_rows(file, pipe, arrives=arrives)
    if format_ is None and not rows:
        what = "JSON object stands on its first lines" if file.is_lines else "row can be read"
        raise SourceError(f"{file.name}: no rows; no {what}")
    found = survey(rows, file.name, format_, mapping)
    return found if file.is_lines else replace(found, row_bytes=None)


def check_roots(roots: Sequence[str]) -> None:
    """Hold the folders given as image roots to be there.

    Raises:
        UsageError: naming the first that is not.
    """
    for root in roots:
        if not Path(root).is_dir():
            raise UsageError(f"--image-root {root}: no such folder")


def import_dataset(
    request: ImportRequest,
    out: Path | str,
    options: RunOptions | None = None,
    listener: Listener | None = None,
) -> Summary:
    """Import sources into normalized shards; after a kill the same call goes on.

    Args:
        request: What to import.
        out: The output folder; new, empty, or an earlier run of the same import.
        options: Consent to refused rows, leave to replace a finished set, processes.
        listener: Called with `Progress` about ten times a second, and as a slice is done.

    Raises:
        UsageError, SourceError: before anything is written.
        OutputError: the folder is not ours, locked, or of another plan.
        TooManyRejects: more refused rows than consented to; nothing is committed.
    """
    check_output(f"{out}")
    options = options or RunOptions()
    if reads_stdin(request.sources) and options.pipe is None:
        options = replace(options, pipe=Pipe(sys.stdin.buffer))
    if options.pipe is None and options.ray is None:  # a pipe comes once
        with suppress(ReplacedError), coming(options.downloads) as first:
            plan, _ = plan_import(request, None, options.downloads, first)
            return run(plan, Path(out), replace(options, coming=first), listener)
    plan, _ = plan_import(request, options.pipe, options.downloads)
    return run(plan, Path(out), options, listener)


def reads_stdin(sources: Sequence[str]) -> bool:
    """Whether one of the sources is ``-`` or ``SPLIT=-``.

    Example:
        >>> reads_stdin(["a.jsonl", "test=-"])
        True
    """
    return any(source == PIPE or source.endswith(f"={PIPE}") for source in sources)


def default_output(source: str) -> str:
    """Return the folder name an import without ``-o`` writes to, in the current folder.

    Example:
        >>> default_output("data/raw.jsonl"), default_output("-")
        ('raw', 'stdin')
    """
    name = source.partition("=")[2] or source
    if (in_hub := hub_name(name)) is not None:
        return in_hub.repo.rpartition("/")[2]
    stem = "stdin" if name == PIPE else Path(name).name.partition(".")[0]
    return re.sub(r"[^\w-]+", "_", stem) or "dataset"
