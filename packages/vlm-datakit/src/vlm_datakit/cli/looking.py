"""``vlm-datakit info``, ``search`` and ``popular``: what the Hub has, without its data."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from vlm_datakit.cli import printable
from vlm_datakit.cli.ending import print_json
from vlm_datakit.cli.talk import say

if TYPE_CHECKING:
    from vlm_datakit.hub.describing import HubConfig, HubInfo

_MB, _FILES_SHOWN = 1_000_000, 3
_json_option = click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")


@click.command("info")
@click.argument("repo", metavar="OWNER/NAME[@REVISION]")
@_json_option
def info_command(repo: str, *, as_json: bool) -> None:
    """Tell what a data set on the Hub is: configs, splits, rows, columns, licence, gate."""
    from vlm_datakit.hub.describing import info

    found = info(repo)
    if as_json:
        print_json(asdict(found))
        return
    for line in _info_lines(found):
        _print(line)


def _info_lines(found: HubInfo) -> list[str]:
    gate = f"gated ({found.gated})" if found.gated else "open"
    made = ", read from the Parquet that the Hub made of it" if found.converted else ""
    lines = [
        f"{found.repo} at {found.commit[:7]}, last changed {(found.last_modified or '?')[:10]}",
        f"licence {found.license or 'not stated'}, {'private' if found.private else gate}, "
        f"{found.files} files, {found.bytes / _MB:,.1f} MB{made}",
    ]
    for config in found.configs:
        lines += _config_lines(config)
    return lines


def _config_lines(config: HubConfig) -> list[str]:
    lines = [f"config {config.name}{' (default)' if config.is_default else ''}"]
    if config.features:
        columns = ", ".join(f"{name}: {kind}" for name, kind in config.features.items())
        lines.append(f"  columns  {columns}")
    for split in config.splits:
        rows = "? rows" if split.rows is None else f"{split.rows:,} rows"
        more = ", ..." if len(split.files) > _FILES_SHOWN else ""
        files = ", ".join(split.files[:_FILES_SHOWN])
        lines.append(f"  {split.name}  {rows}, {split.bytes / _MB:,.1f} MB: {files}{more}")
    return lines if config.splits else [*lines, "  no split by the names; name a file with ::FILE"]


@click.command("search")
@click.argument("query")
@click.option("--task", metavar="TASK", help="Of the Hub's, such as visual-question-answering.")
@click.option(
    "--sort",
    type=click.Choice(["trending", "downloads", "likes", "modified", "created"]),
    default="trending",
    show_default=True,
)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 10_000))
@_json_option
def search_command(query: str, *, as_json: bool, **given: Any) -> None:
    """Find data sets on the Hub by words in their names."""
    from vlm_datakit.hub.search import search

    hits = search(query, **given)
    if as_json:
        print_json({"query": query, "hits": [asdict(hit) for hit in hits]})
        return
    for hit in hits:
        gate = "gated" if hit.gated else ""
        _print(
            f"{hit.repo:<56} {hit.downloads or 0:>10,} downloads {hit.likes or 0:>6,} likes {gate}"
        )
    if not hits:
        say(f"no data set on the Hub for {query}")


@click.command("popular")
@click.option("--kind", type=click.Choice(["vlm", "sl", "dpo", "code"]), help="[default: all]")
@_json_option
def popular_command(kind: str | None, *, as_json: bool) -> None:
    """List data sets for a first look, picked by hand; asks nobody."""
    from vlm_datakit.hub.search import popular

    made, picks = popular(kind)
    if as_json:
        print_json({"made": made, "picks": [asdict(pick) for pick in picks]})
        return
    say(f"picked by hand, {made}")
    for pick in picks:
        _print(f"{pick.kind:<5} {pick.repo:<44} {pick.about}")


def _print(line: str) -> None:
    click.echo(printable(line.rstrip()))
