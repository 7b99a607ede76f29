"""``vlm-datakit info``, ``search`` and ``popular``: what the Hub has, without its data."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from vlm_datakit.cli import printable
from vlm_datakit.cli.ending import print_json
from vlm_datakit.cli.talk import say, size_words

if TYPE_CHECKING:
    from vlm_datakit.hub.describing import HubConfig, HubInfo
    from vlm_datakit.hub.search import Hit

_FILES_SHOWN = 3
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
        f"{found.files} files, {size_words(found.bytes)}{made}",
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
        lines.append(f"  {split.name}  {rows}, {size_words(split.bytes)}: {files}{more}")
    return lines if config.splits else [*lines, "  no split by the names; name a file with ::FILE"]


@click.command("search")
@click.argument("query", nargs=-1)
@click.option("--task", metavar="TASK", help="Of the Hub's, such as visual-question-answering.")
@click.option("--size", metavar="ROWS", help="As its card states it: <1K, 1K-10K, ... >1T.")
@click.option("--license", "--licence", metavar="NAME", help="Such as mit or apache-2.0.")
@click.option("--language", multiple=True, metavar="CODE", help="Such as de; repeatable.")
@click.option("--author", metavar="OWNER", help="Who has it on the Hub.")
@click.option("--gated/--not-gated", default=None, help="Those that ask for consent, or do not.")
@click.option(
    "--sort",
    type=click.Choice(["trending", "downloads", "likes", "modified", "created"]),
    default="trending",
    show_default=True,
)
@click.option("-n", "--limit", default=20, show_default=True, type=click.IntRange(1, 1000))
@click.option("--page", default=1, show_default=True, type=click.IntRange(1, 1000))
@_json_option
def search_command(query: tuple[str, ...], *, as_json: bool, **given: Any) -> None:
    """Find data sets on the Hub by words in their names, and by what their cards state."""
    from vlm_datakit.hub.search import Filters, search

    words = " ".join(query)
    filters = Filters(
        languages=given.pop("language"), **{name: given.pop(name) for name in _FILTERS}
    )
    found = search(words, filters, **given)
    if as_json:
        print_json({"query": words, **asdict(found)})
        return
    for hit in found.hits:
        _print(_hit_line(hit))
    if not found.hits:
        say(f"no data set on the Hub for {words or 'that'}{_on_page(found.page)}")
    if found.more:
        say(f"more with --page {found.page + 1}")


_FILTERS = ("task", "size", "license", "author", "gated")


def _on_page(page: int) -> str:
    return f" on page {page}" if page > 1 else ""


def _hit_line(hit: Hit) -> str:
    facts = [hit.size or "", hit.license or "", "gated" if hit.gated else ""]
    counts = f"{hit.downloads or 0:>10,} downloads {hit.likes or 0:>6,} likes"
    changed = (hit.last_modified or "")[:10]
    return f"{hit.repo:<56} {counts}  {changed:<10}  {', '.join(filter(None, facts))}"


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
