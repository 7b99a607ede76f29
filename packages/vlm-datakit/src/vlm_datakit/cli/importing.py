"""``vlm-datakit import``."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vlm_datakit.cli.ending import print_json, print_refusal, say_refusal, say_summary
from vlm_datakit.cli.options import (
    config_option,
    format_option,
    goal_option,
    image_root_option,
    import_request,
    mapping_options,
    on_disk,
    picture_options,
    quiet_option,
    rejects_raw_option,
    say_mapping,
    split_option,
    with_datasets_option,
    workers_option,
)
from vlm_datakit.cli.progress import progress_listener
from vlm_datakit.cli.talk import download_teller, say, say_left_out, say_on_hub, say_pictures_on_hub
from vlm_datakit.errors import TooManyRejects, UsageError
from vlm_datakit.events import Part, Summary
from vlm_datakit.lean import import_arrow
from vlm_datakit.plan import parse_rejects_allowed, parse_stride

if TYPE_CHECKING:
    from collections.abc import Callable

    from vlm_datakit.importing import ImportRequest
    from vlm_datakit.plan import Plan
    from vlm_datakit.runner.downloads import Coming
    from vlm_datakit.runner.on_ray import RayCluster
    from vlm_datakit.runner.run import RunOptions
    from vlm_datakit.sources.pipe import Pipe
    from vlm_datakit.sources.survey import Survey


@click.command("import")
@click.argument("sources", nargs=-1, required=True, metavar="[SPLIT=]FILE|REPO...|-")
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    callback=on_disk,
    help="Output folder [default: named as the source]",
)
@format_option
@mapping_options
@goal_option
@split_option
@config_option
@with_datasets_option
@click.option(
    "--max-rejects", metavar="N|P%", help="How many refused rows you consent to [default: 0]"
)
@image_root_option
@click.option(
    "--with-images/--text-only",
    default=None,
    help="Insist on shards with, or without, pictures [default: as the first rows]",
)
@picture_options
@rejects_raw_option
@click.option("--overwrite", is_flag=True, help="Replace a finished import of another plan.")
@workers_option
@click.option(
    "--engine",
    type=click.Choice(["processes", "ray"]),
    default="processes",
    show_default=True,
    help="Who does the slices: processes here, or a Ray cluster; --workers bounds either.",
)
@click.option(
    "--ray-address",
    metavar="HOST:PORT",
    help="The Ray cluster [default: $RAY_ADDRESS, else the one that runs here, else a new one]",
)
@click.option(
    "--slices",
    metavar="I::N",
    help="Do every N-th slice from the I-th on, beside other such jobs; `finish` commits.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@quiet_option
def command(sources: tuple[str, ...], **given: Any) -> None:
    """Turn rows into normalized shards.

    REPO is on the Hugging Face Hub: OWNER/NAME[@REVISION][::FILE], unless that is a file here.

    FILE is JSON lines, a JSON array, CSV, TSV, Parquet, Arrow, a tar of WebDataset or a zip of
    JSON; the first four and tar also in gzip or zstd. A folder gives a split, or its pictures.
    Either may be an address that fsspec knows, as s3://bucket/rows.jsonl; - is standard input.

    After a kill the same command goes on, and the bytes are the same for any number of
    workers and jobs. Refused rows stand in OUT/rejects with their reasons; if there are more
    of them than --max-rejects, nothing is committed.
    """
    if ":" not in given["format_"] and not given["with_datasets"]:  # which may need both together
        import_arrow()
    from vlm_datakit.importing import default_output, reads_stdin
    from vlm_datakit.sources.pipe import standard_input

    out = given["output"] or default_output(sources[0])
    _check_job(given)
    pipe = standard_input() if reads_stdin(sources) else None
    import_ = partial(_import, import_request(sources, given), out, pipe, given)
    ended = _while_it_comes(import_, pipe, given) or import_(None)
    if isinstance(ended, Part):
        _say_part(ended)
    else:
        say_summary(ended, quiet=given["quiet"])
    if given["as_json"]:
        is_committed = isinstance(ended, Summary)
        print_json({**asdict(ended), "rejected": ended.rejected, "committed": is_committed})


def _while_it_comes(
    import_: Callable[[Coming], Summary | Part], pipe: Pipe | None, given: dict[str, Any]
) -> Summary | Part | None:
    """Import while the first file comes; None: its rows have to be read when it is whole.

    A pipe comes once, and other jobs and nodes see only whole files.
    """
    if pipe is not None or given["slices"] is not None or given["engine"] == "ray":
        return None
    from vlm_datakit.hub.arriving import ReplacedError
    from vlm_datakit.runner.downloads import coming

    try:
        with coming(download_teller(quiet=given["quiet"])) as first:
            return import_(first)
    except ReplacedError as error:
        say(f"{error}; now it is: from its head again")
    return None


def _import(
    request: ImportRequest,
    out: str,
    pipe: Pipe | None,
    given: dict[str, Any],
    first: Coming | None,
) -> Summary | Part:
    from vlm_datakit.importing import plan_import
    from vlm_datakit.runner.engines import default_workers

    teller = download_teller(quiet=given["quiet"])
    plan, found = plan_import(request, pipe, teller, first)
    if not given["quiet"]:
        _say_plan(plan, found, out, is_named=given["output"] is not None)
        names = (source.partition("=")[0] for source in request.sources)
        _say_mapped_splits(plan, [*given["split"], *names])
    say_mapping(plan.mapping, found, given)
    workers = given["workers"] or default_workers(plan, found.row_bytes)
    try:
        return _run(plan, out, _options(given, pipe, workers, first), given)
    except TooManyRejects as error:
        say_refusal(
            error,
            picture_parent=found.picture_parent,
            from_pipe=pipe is not None,
            quiet=given["quiet"],
        )
        say_pictures_on_hub(error, plan.files)
        if given["as_json"]:
            print_refusal(error, out)
        raise


def _check_job(given: dict[str, Any]) -> None:
    """Refuse what is no consent and no stride before anything is read."""
    parse_rejects_allowed(given["max_rejects"] or "0")
    if given["ray_address"] is not None and given["engine"] != "ray":
        raise UsageError("--ray-address says where --engine ray works: add --engine ray")
    if given["slices"] is not None:
        parse_stride(given["slices"])
        if given["max_rejects"] is not None:
            raise UsageError("--slices commits nothing: give --max-rejects to `finish`")


def _say_plan(plan: Plan, found: Survey, out: str, *, is_named: bool) -> None:
    say_on_hub(plan.files)
    pictures = "with pictures" if plan.with_images else "text only"
    say(f"{plan.files[0].name}: read as {found.format} ({found.evidence}), {pictures}")
    if not is_named:
        say(f"writing to {out}/, a folder named after the source (-o names another)")
    say_left_out(plan.files)


def _say_mapped_splits(plan: Plan, names: list[str]) -> None:
    splits = {file.split for file in plan.files}
    for name in names:
        mapped = name.replace("-", "_")
        if mapped != name and mapped in splits:
            say(f"split {name} is written as {mapped}: load_dataset takes no dash in a split")


def _options(
    given: dict[str, Any], pipe: Pipe | None, workers: int, first: Coming | None
) -> RunOptions:
    from vlm_datakit.runner.run import RunOptions

    allowed = parse_rejects_allowed(given["max_rejects"] or "0")
    teller, ray = download_teller(quiet=given["quiet"]), _ray_cluster(given)
    return RunOptions(allowed, given["overwrite"], pipe, workers, ray, teller, first)


def _run(plan: Plan, out: str, options: RunOptions, given: dict[str, Any]) -> Summary | Part:
    from vlm_datakit.runner.run import run, run_part

    with progress_listener(quiet=given["quiet"]) as listener:
        if given["slices"] is None:
            return run(plan, Path(out), options, listener)
        return run_part(plan, Path(out), parse_stride(given["slices"]), options, listener)


def _ray_cluster(given: dict[str, Any]) -> RayCluster | None:
    if given["engine"] != "ray":
        return None
    from vlm_datakit.runner.on_ray import RayCluster

    return RayCluster(given["ray_address"], given["workers"])


def _say_part(part: Part) -> None:
    before = f" ({part.slices_resumed} of them before)" if part.slices_resumed else ""
    say(
        f"{part.output}: this job's {part.slices_mine} slices are done{before}: "
        f"{part.rows:,} rows, {part.rejected:,} refused"
    )
    missing = part.slices - part.slices_done
    state = (
        f"{part.slices_done} of {part.slices} slices are done; when all are"
        if missing
        else (f"all {part.slices} slices are done")
    )
    say(f"{state}, `vlm-datakit finish {shlex.quote(part.output)}` commits them")
