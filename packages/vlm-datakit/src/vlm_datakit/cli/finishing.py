"""``vlm-datakit finish``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from vlm_datakit.cli.ending import print_json, print_refusal, say_refusal, say_summary
from vlm_datakit.cli.options import quiet_option
from vlm_datakit.errors import TooManyRejects
from vlm_datakit.plan import parse_rejects_allowed


@click.command("finish")
@click.argument("out", metavar="OUT")
@click.option(
    "--max-rejects", metavar="N|P%", help="How many refused rows you consent to [default: 0]"
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@quiet_option
def command(out: str, **given: Any) -> None:
    """Commit an import whose slices are all done, by jobs with --slices or otherwise.

    No row is read again, and the source files need not be in sight.
    """
    from vlm_datakit.runner.finish import finish

    allowed = parse_rejects_allowed(given["max_rejects"] or "0")
    try:
        summary = finish(Path(out), allowed)
    except TooManyRejects as error:
        say_refusal(error, picture_parent=None, from_pipe=False, quiet=given["quiet"])
        if given["as_json"]:
            print_refusal(error, out)
        raise
    say_summary(summary, quiet=given["quiet"])
    if given["as_json"]:
        print_json({**asdict(summary), "rejected": summary.rejected, "committed": True})
