"""``vlm-datakit import``."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict
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
)
from vlm_datakit.cli.talk import progress_listener, say, say_counts, say_refused
from vlm_datakit.errors import Reason, TooManyRejects
from vlm_datakit.plan import parse_rejects_allowed

if TYPE_CHECKING:
    from vlm_datakit.events import Summary
    from vlm_datakit.importing import ImportRequest
    from vlm_datakit.plan import Plan, RejectsAllowed
    from vlm_datakit.sources.pipe import Pipe
    from vlm_datakit.sources.survey import Survey


@click.command("import")
@click.argument("sources", nargs=-1, required=True, metavar="[SPLIT=]FILE...|-")
@click.option("-o", "--output", metavar="OUT", help="Output folder [default: named as the source]")
@format_option
@click.option("--split", metavar="NAME", help="Split of sources without SPLIT= [default: train]")
@click.option(
    "--max-rejects",
    default="0",
    show_default=True,
    metavar="N|P%",
    help="How many refused rows you consent to.",
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
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@quiet_option
def command(sources: tuple[str, ...], **given: Any) -> None:
    """Turn rows into normalized shards.

    After a kill the same command goes on. Refused rows stand in OUT/rejects with their
    reasons; if there are more of them than --max-rejects, nothing is committed.
    """
    from vlm_datakit.importing import default_output, plan_import, reads_stdin
    from vlm_datakit.sources.pipe import Pipe

    out = given["output"] or default_output(sources[0])
    allowed = parse_rejects_allowed(given["max_rejects"])
    request = _request(sources, given)
    pipe = Pipe(sys.stdin.buffer) if reads_stdin(sources) else None
    plan, found = plan_import(request, pipe)
    if not given["quiet"]:
        _say_plan(plan, found, out, is_named=given["output"] is not None)
        _say_mapped_splits(plan, [given["split"] or "", *(s.partition("=")[0] for s in sources)])
    try:
        summary = _run(plan, out, allowed, pipe, given)
    except TooManyRejects as error:
        _say_refusal(error, found, from_pipe=pipe is not None, quiet=given["quiet"])
        if given["as_json"]:
            facts = {"rows": error.rows, "written": 0, "by_reason": error.by_reason}
            _print_json({"output": out, "committed": False, **facts})
        raise
    _say_summary(summary, quiet=given["quiet"])
    if given["as_json"]:
        _print_json({**asdict(summary), "rejected": summary.rejected, "committed": True})


def _request(sources: tuple[str, ...], given: dict[str, Any]) -> ImportRequest:
    from vlm_datakit.importing import ImportRequest

    return ImportRequest(
        sources,
        given["format_"],
        given["split"],
        given["image_root"],
        given["with_images"],
        given["rejects_raw"],
        limits(given),
        image_policy(given),
        fetch_policy(given),
    )


def _print_json(value: dict[str, Any]) -> None:
    import orjson

    click.echo(orjson.dumps(value).decode())


def _say_plan(plan: Plan, found: Survey, out: str, *, is_named: bool) -> None:
    pictures = "with pictures" if plan.with_images else "text only"
    say(f"{plan.files[0].name}: read as {found.format} ({found.evidence}), {pictures}")
    if not is_named:
        say(f"writing to {out}/, a folder named after the source (-o names another)")


def _say_mapped_splits(plan: Plan, names: list[str]) -> None:
    splits = {file.split for file in plan.files}
    for name in names:
        mapped = name.replace("-", "_")
        if mapped != name and mapped in splits:
            say(f"split {name} is written as {mapped}: load_dataset takes no dash in a split")


def _run(
    plan: Plan, out: str, allowed: RejectsAllowed, pipe: Pipe | None, given: dict[str, Any]
) -> Summary:
    from vlm_datakit.runner.inline import RunOptions, run

    options = RunOptions(allowed, given["overwrite"], pipe)
    with progress_listener(quiet=given["quiet"]) as listener:
        return run(plan, Path(out), options, listener)


def _say_refusal(error: TooManyRejects, found: Survey, *, from_pipe: bool, quiet: bool) -> None:
    if not quiet:
        say_refused(error.first)
        say_counts("refused, by reason:", error.by_reason)
    if Reason.IMAGE_OUTSIDE_ROOT in error.by_reason and found.picture_parent:
        say(f"rows name pictures below {found.picture_parent}; if you trust them, add")
        say(f"  --image-root {shlex.quote(found.picture_parent)}")
    if missing := error.by_reason.get(Reason.IMAGE_FILE_MISSING):
        say(f"{missing:,} of them name files that are not there; a rerun looks again")
    if failed := error.by_reason.get(Reason.IMAGE_FETCH_FAILED):
        say(f"{failed:,} of them name pictures that could not be fetched; a rerun asks again")
    refused = sum(error.by_reason.values())
    if error.rows > refused:
        kept = "the rows of a pipe are not kept" if from_pipe else "the work done is kept"
        say(f"{kept}; to accept them, run")
        say(f"  {'... | ' if from_pipe else ''}{_accepting_command(refused)}")


def _accepting_command(refused: int) -> str:
    words = [word for word in sys.argv[1:] if not word.startswith("--max-rejects=")]
    if "--max-rejects" in words:
        at = words.index("--max-rejects")
        del words[at : at + 2]
    end = words.index("--") if "--" in words else len(words)
    words[end:end] = ["--max-rejects", str(refused)]
    return shlex.join(["vlm-datakit", *words])


def _say_summary(summary: Summary, *, quiet: bool) -> None:
    if summary.finished_before:
        say(f"{summary.output}: finished before, nothing to do")
    if not quiet:
        _say_details(summary)
    splits = ", ".join(f"{name} {rows:,}" for name, rows in summary.splits.items())
    mib = summary.shard_bytes / 2**20
    ledger = f" (see {summary.output}/rejects)" if summary.rejected else ""
    say(
        f"{summary.output}: {summary.written:,} rows written ({splits}), "
        f"{summary.rejected:,} refused{ledger}, {summary.images:,} pictures, {mib:.1f} MiB"
    )


def _say_details(summary: Summary) -> None:
    say_counts("refused, by reason:", summary.by_reason)
    say_counts("warned, rows by reason:", summary.warnings, hints=False)
    if summary.rewritten:
        causes = ", ".join(f"{count:,} {cause}" for cause, count in summary.rewritten.items())
        say(f"pictures rewritten, by cause: {causes}")
    if summary.slices_resumed:
        say(f"{summary.slices_resumed} of {summary.slices} slices were done before")
