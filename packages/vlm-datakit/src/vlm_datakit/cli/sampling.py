"""``vlm-datakit sample``."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import click

from vlm_datakit.cli.options import on_disk
from vlm_datakit.cli.talk import say


@click.command("sample")
@click.option("-n", "--count", default=24, show_default=True, type=click.IntRange(1))
@click.option("--broken", default=0, show_default=True, type=click.IntRange(0))
@click.option("--seed", default=0, show_default=True)
@click.option("--to", "target", default="openai", show_default=True, metavar="openai|simple")
@click.option(
    "-o",
    "--output",
    default="-",
    metavar="FILE",
    callback=on_disk,
    help="A file, or - [default: -]",
)
@click.option("--overwrite", is_flag=True, help="Replace the file if it exists.")
def command(
    count: int, broken: int, seed: int, target: str, output: str, *, overwrite: bool
) -> None:
    """Write sample rows: drawn shapes and filled-in forms, each with its true answer.

    Pictures come as data URI, as bare base64 and, for raw.jsonl, as files in raw_images/.
    Broken rows are spoiled on purpose: an import refuses each of them.
    """
    from vlm_datakit.sampling import SampleRequest, sample_lines
    from vlm_datakit.sinks.jsonl import open_new, write_all

    request = SampleRequest(count, broken, seed, target)
    if output == "-":
        for line in sample_lines(request, None):
            write_all(sys.stdout.buffer, line)
        sys.stdout.buffer.flush()
        return
    path = Path(output)
    request = replace(request, picture_folder=f"{path.stem}_images")
    with open_new(path, overwrite=overwrite) as out:
        out.writelines(sample_lines(request, path.parent))
    say(f"{output}: {count} rows, {broken} of them broken on purpose")
