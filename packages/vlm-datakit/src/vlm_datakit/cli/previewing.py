"""``vlm-datakit preview``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from vlm_datakit.cli import printable
from vlm_datakit.cli.ending import print_json
from vlm_datakit.cli.options import (
    config_option,
    format_option,
    goal_option,
    image_root_option,
    import_request,
    mapping_options,
    picture_options,
    row_limit,
    split_option,
    with_datasets_option,
)
from vlm_datakit.cli.pictures import MOST_ABREAST, abreast, canvas, drawn
from vlm_datakit.cli.talk import say
from vlm_datakit.errors import UsageError
from vlm_datakit.lean import import_arrow

if TYPE_CHECKING:
    from vlm_datakit.cli.pictures import Canvas
    from vlm_datakit.previewing import Preview, PreviewRow, Turn

_TEXT_CHARS = 300


@click.command("preview")
@click.argument("source", metavar="FILE|REPO")
@click.option("-n", "--count", default=5, show_default=True, type=click.IntRange(1, 1000))
@format_option
@mapping_options
@goal_option
@split_option
@config_option
@with_datasets_option
@image_root_option
@picture_options
@click.option("--no-pictures", is_flag=True, help="Draw no pictures; a terminal shows them small.")
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON, texts in full.")
def command(source: str, **given: Any) -> None:
    """Show the first rows as an import would make them: turns, pictures, refusals.

    Of a data set on the Hub only the head of one file is fetched.
    """
    if ":" not in given["format_"] and not given["with_datasets"]:
        import_arrow()
    from vlm_datakit.previewing import preview

    if row_limit(given) is not None:
        raise UsageError("--limit N is for a whole run: say -n N for the rows that are shown")
    request = import_request((source,), given)
    if given["as_json"]:
        print_json(_plain(preview(request, given["count"])))
        return
    paper = None if given["no_pictures"] else canvas()
    found = preview(request, given["count"], paper.box if paper else None)
    say(f"{found.file}: read as {found.format} ({found.evidence}), {found.layout}")
    for row in found.rows:
        origin, *lines = _lines(row)
        click.echo(printable(origin))
        for line in _drawn(row, paper) if paper else ():
            click.echo(f"  {line}")
        for line in lines:
            click.echo(printable(line))


def _plain(found: Preview) -> dict[str, Any]:
    """Return a preview as JSON has it: without pixels."""
    facts = asdict(found)
    for row in facts["rows"]:
        for picture in row["pictures"]:
            del picture["small"]
    return facts


def _drawn(row: PreviewRow, paper: Canvas) -> list[str]:
    small = [picture.small for picture in row.pictures[:MOST_ABREAST] if picture.small is not None]
    true = paper.has_true_colour
    return abreast([(each.width, drawn(each, has_true_colour=true)) for each in small])


def _lines(row: PreviewRow) -> list[str]:
    if row.refused is not None:
        return [f"refused  {row.refused}"]
    pictures = [
        f"  picture {picture.media_type} {picture.width_px}x{picture.height_px}, "
        f"{picture.bytes:,} bytes"
        for picture in row.pictures
    ]
    rejected = [_line(turn, "rejected") for turn in row.rejected]
    warnings = [f"  warned  {warning}" for warning in row.warnings]
    return [row.origin, *pictures, *(_line(turn) for turn in row.turns), *rejected, *warnings]


def _line(turn: Turn, role: str = "") -> str:
    text = " ".join(turn.text.split())
    cut = f"{text[:_TEXT_CHARS]}..." if len(text) > _TEXT_CHARS else text
    return f"  {role or turn.role:<9}  {cut}"
