"""How an import or its commit ended, in words and as JSON."""

from __future__ import annotations

import shlex
import sys
from typing import Any

import click

from vlm_datakit.cli.talk import say, say_counts, say_refused
from vlm_datakit.errors import Reason, TooManyRejects
from vlm_datakit.events import Summary


def print_json(value: dict[str, Any]) -> None:
    """Print one line of JSON on standard output."""
    import orjson

    click.echo(orjson.dumps(value).decode())


def print_refusal(error: TooManyRejects, out: str) -> None:
    """Print the counts of a run that was not committed as JSON."""
    facts = {"rows": error.rows, "written": 0, "by_reason": error.by_reason}
    print_json({"output": out, "committed": False, **facts})


def say_refusal(
    error: TooManyRejects, *, picture_parent: str | None, from_pipe: bool, quiet: bool
) -> None:
    """Say what was refused, what may cure it, and the command that accepts it.

    Args:
        error: What was refused.
        picture_parent: The folder of the pictures that the first rows name, if they lie
            outside of the roots.
        from_pipe: Whether the rows came from standard input.
        quiet: Leave out the rows and the counts.
    """
    if not quiet:
        say_refused(error.first)
        say_counts("refused, by reason:", error.by_reason)
    if Reason.IMAGE_OUTSIDE_ROOT in error.by_reason and picture_parent:
        say(f"rows name pictures below {picture_parent}; if you trust them, add")
        say(f"  --image-root {shlex.quote(picture_parent)}")
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


def say_summary(summary: Summary, *, quiet: bool) -> None:
    """Say how an import ended."""
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
