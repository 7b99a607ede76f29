"""``vlm-datakit push``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from vlm_datakit.cli.ending import print_json
from vlm_datakit.cli.options import quiet_option
from vlm_datakit.cli.talk import say, size_words

if TYPE_CHECKING:
    from vlm_datakit.pushing import PushPlan

_MB, _SHOWN = 1_000_000, 20


@click.command("push")
@click.argument("folder", metavar="OUT")
@click.argument("repo", metavar="OWNER/NAME")
@click.option("--public", is_flag=True, help="Let everybody see it [default: private]")
@click.option("--dry-run", is_flag=True, help="Say what would go; send nothing.")
@click.option(
    "--with-raw-rejects", is_flag=True, help="Send ledgers that hold refused rows whole, too."
)
@click.option("--json", "as_json", is_flag=True, help="Print what went as JSON.")
@quiet_option
def command(folder: str, repo: str, *, dry_run: bool, as_json: bool, **given: Any) -> None:
    """Put a finished import on the Hugging Face Hub as a data set.

    Each file is first held to the manifest. After a cut the same command goes on: files that are
    on the Hub are not sent again. One commit holds all of it, and takes away what an earlier push
    has put there and OUT has no more.
    """
    from vlm_datakit.pushing import plan_push, push

    quiet = given.pop("quiet")
    plan = plan_push(folder, repo, **given)
    if not quiet:
        _say_plan(plan)
    if dry_run:
        if as_json:
            print_json(_plain(plan, None))
        else:
            _print_files(plan)
        return

    def told(done: int, total: int) -> None:
        if not quiet:
            say(f"sent {done / _MB:,.1f} of {total / _MB:,.1f} MB")

    commit = push(plan, told)
    say(f"{plan.page}: {'as it was, nothing to send' if commit is None else 'done'}")
    if as_json:
        print_json(_plain(plan, commit))


def _say_plan(plan: PushPlan) -> None:
    state = "new" if plan.commit is None else f"at {plan.commit[:7]}"
    sight = "private" if plan.private else "for everybody to see"
    count, there = len(plan.files), len(plan.there)
    said = f", {there} there already" if there else ""
    gone = f", {len(plan.deleted)} deleted" if plan.deleted else ""
    say(f"{plan.repo} ({state}, {sight}): {count} files, {size_words(plan.bytes)}{said}{gone}")
    if plan.kept_here:
        say(f"{len(plan.kept_here)} ledgers hold refused rows whole, and stay here unlisted")
    if plan.roots:
        say(f"manifest.json names folders of this machine: {', '.join(plan.roots)}")


def _print_files(plan: PushPlan) -> None:
    for file in plan.files:
        click.echo(f"send    {file.bytes:>14,}  {file.path}")
    for file in plan.there:
        click.echo(f"there   {file.bytes:>14,}  {file.path}")
    for path in plan.deleted:
        click.echo(f"delete  {'':>14}  {path}")


def _plain(plan: PushPlan, commit: str | None) -> dict[str, Any]:
    facts = asdict(plan)
    facts |= {"folder": str(plan.folder), "is_new": plan.commit is None, "bytes": plan.bytes}
    return {**facts, "page": plan.page, "committed": commit}
