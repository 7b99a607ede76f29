"""``vlm-datakit convert``."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from vlm_datakit.cli.counting import Counts
from vlm_datakit.cli.options import (
    config_option,
    fetch_policy,
    field_mapping,
    format_option,
    goal_option,
    image_policy,
    image_root_option,
    limits,
    mapping_options,
    on_disk,
    picture_options,
    quiet_option,
    rejects_raw_option,
    with_datasets_option,
    workers_option,
)
from vlm_datakit.errors import TooManyRejects, UsageError
from vlm_datakit.losses import parse_losses

if TYPE_CHECKING:
    from vlm_datakit.conversion import ConvertRequest
    from vlm_datakit.sinks.pictures import Spelling


_OF_PARTS = ("anthropic", "oumi")  # with a field of its own for base64, a URL, a path


@click.command("convert")
@click.argument("source", default="-", metavar="[IN]")
@click.argument("output", default="-", metavar="[OUT]", callback=on_disk)
@format_option
@mapping_options
@goal_option
@click.option(
    "--to",
    "target",
    required=True,
    metavar="FORMAT",
    help="openai, simple, trl, ... as `vlm-datakit schema` lists them",
)
@click.option(
    "--split",
    multiple=True,
    metavar="NAME",
    help="Repeatable [default: all of an import, one after the other; train of anything else]",
)
@config_option
@with_datasets_option
@image_root_option
@picture_options
@click.option(
    "--write-images",
    "form",
    type=click.Choice(["inline", "files", "as-given"]),
    default="inline",
    show_default=True,
    help="Pictures in the rows that go out: data URIs; files beside OUT, each once, named by "
    "content; or the texts that the rows had.",
)
@click.option(
    "--image-folder",
    metavar="DIR",
    callback=on_disk,
    help="For --write-images files [default: OUT_images]",
)
@click.option("--rejects", metavar="FILE", callback=on_disk, help="Write refused rows to a ledger.")
@rejects_raw_option
@click.option(
    "--lossy",
    multiple=True,
    metavar="NAME",
    help="Leave out what the target cannot hold, and count it; repeatable: first-turn, "
    "detail, tools, ... as the command says before it runs, or all.",
)
@click.option(
    "--dataset-info",
    metavar="FILE",
    callback=on_disk,
    help="Add or replace the entry of OUT in LLaMA-Factory's dataset_info.json.",
)
@click.option("--overwrite", is_flag=True, help="Replace OUT and the ledger if they exist.")
@workers_option
@quiet_option
def command(source: str, output: str, **given: Any) -> None:
    """Turn rows of one format into another.

    IN is a file of rows, a folder or a data set on the Hub, as `import` reads them, a finished
    import, or standard input; OUT is a file or standard output. Good rows go out; refused ones
    are named, and the exit code is 6.
    """
    from vlm_datakit.conversion import ConvertRequest

    _check_places(source, output, given["rejects"], given["dataset_info"])
    _check_dataset_info(given["dataset_info"], output, given["target"])
    request = ConvertRequest(
        given["format_"],
        given["target"],
        given["image_root"],
        parse_losses(given["lossy"]),
        given["rejects_raw"],
        limits(given),
        image_policy(given),
        fetch_policy(given),
        _spelling(output, given),
        field_mapping(given),
    )
    counts = Counts()
    with _ledger(given["rejects"], overwrite=given["overwrite"]) as ledger:
        hopeless = _convert(source, output, request, given, (counts, ledger))
    if given["dataset_info"]:
        counts.enter(Path(given["dataset_info"]), Path(output), request.target)
    counts.conclude(hopeless, quiet=given["quiet"])


def _check_places(source: str, output: str, rejects: str | None, dataset_info: str | None) -> None:
    """Hold files to be different ones, however they are spelled; OUT may take the place of IN."""
    places = {os.path.realpath(name): name for name in (source, output) if name != "-"}
    for name in (rejects, dataset_info):
        if name is None or name == "-":
            continue
        if os.path.realpath(name) in places:
            raise UsageError(f"{name}: rows, refused rows and entries cannot share a file")
        places[os.path.realpath(name)] = name


def _convert(
    source: str,
    output: str,
    request: ConvertRequest,
    given: dict[str, Any],
    sides: tuple[Counts, IO[bytes] | None],
) -> TooManyRejects | None:
    """Write all rows; return why none is written, if all are refused."""
    from vlm_datakit.cli.portioning import portions
    from vlm_datakit.sinks.jsonl import write_all

    counts, ledger = sides
    try:
        with ExitStack() as stack:
            request, found = portions(source, request, given, stack)
            out = stack.enter_context(_opened(output, overwrite=given["overwrite"]))
            for portion in found:
                if ledger is not None:
                    ledger.write(portion.ledger)
                elif not given["quiet"]:
                    counts.say_first(portion)
                counts.add(portion)
                counts.hold_hope(request)
                write_all(out, portion.written)
            out.flush()
            counts.hold_hope(request, is_over=True)
    except TooManyRejects as error:
        return error
    return None


def _spelling(output: str, given: dict[str, Any]) -> Spelling:
    from vlm_datakit.sinks.pictures import AsFiles, AsGiven, Inline

    form, folder = given["form"], given["image_folder"]
    if form != "files":
        if folder is not None:
            raise UsageError("--image-folder says where --write-images files writes: add that")
        is_changing = given["images"] != "canonical" or given["shrink_to_pixels"] is not None
        if form == "as-given" and is_changing:
            raise UsageError("--write-images as-given changes no picture: leave out how to")
        if form == "as-given" and given["target"] in _OF_PARTS:
            raise UsageError(
                f"--write-images as-given: {given['target']} says how a picture is given"
            )
        return AsGiven() if form == "as-given" else Inline()
    if folder is None:
        if output == "-":
            raise UsageError("--write-images files to standard output: name an --image-folder")
        folder = Path(output).with_name(f"{Path(output).stem}_images")
    base = Path.cwd() if output == "-" else Path(output).absolute().parent
    named = Path(os.path.relpath(Path(folder).absolute(), base)).as_posix()
    return AsFiles(Path(folder), named)


def _check_dataset_info(path: str | None, output: str, target: str) -> None:
    """Hold the file of entries to be one, before the first row is converted."""
    from vlm_datakit.formats.dataset_info import COLUMNS
    from vlm_datakit.sinks.dataset_info import read_entries

    if path is None:
        return
    if target not in COLUMNS:
        raise UsageError(f"--dataset-info is for --to {' or '.join(COLUMNS)}, not {target}")
    if output == "-":
        raise UsageError("--dataset-info names the file that rows go to: add OUT")
    read_entries(Path(path))


def _opened(output: str, *, overwrite: bool) -> Any:
    from vlm_datakit.sinks.jsonl import open_new

    if output == "-":
        return nullcontext(sys.stdout.buffer)
    return open_new(Path(output), overwrite=overwrite)


def _ledger(path: str | None, *, overwrite: bool) -> Any:
    return nullcontext(None) if path is None else _opened(path, overwrite=overwrite)
