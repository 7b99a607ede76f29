"""``vlm-datakit validate``."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from vlm_datakit.cli.options import (
    config_option,
    field_mapping,
    format_option,
    goal_option,
    image_root_option,
    import_request,
    mapping_options,
    picture_options,
    row_limit,
    say_mapping,
    split_option,
    with_datasets_option,
)
from vlm_datakit.cli.talk import (
    download_teller,
    say,
    say_counts,
    say_left_out,
    say_on_hub,
    say_refused,
)
from vlm_datakit.errors import UsageError

if TYPE_CHECKING:
    from vlm_datakit.oddities import Oddities
    from vlm_datakit.shards.duplicates import Pictures, Place
    from vlm_datakit.validation import ImportReport, RowsReport

_REFUSED, _FAULTY = 6, 3
_ID_CHARS = 40  # as much of an id as a line shows


@click.command("validate")
@click.argument("source", metavar="FILE|REPO|OUT|-")
@split_option
@config_option
@with_datasets_option
@format_option
@mapping_options
@goal_option
@image_root_option
@picture_options
@click.option(
    "--read-data", is_flag=True, help="Of an import: hash every file, decode every picture."
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(source: str, **given: Any) -> int:
    """Count what is wrong with rows, or check a finished import.

    Of rows, also say which ids stand twice, and which rows and answers are far longer or
    shorter than others; that is no fault.

    Of an import, also say which pictures stand twice, or in two splits; that is no fault.

    Exit code 6 if a row would be refused, 3 if an import is not what was written.
    """
    from vlm_datakit.importing import is_import

    if is_import(source):
        from vlm_datakit.validation import validate_import

        if field_mapping(given) is not None or given["goal"] is not None:
            raise UsageError(f"{source}: a finished import has its columns; --map is for rows")
        if row_limit(given) is not None:
            raise UsageError(f"{source}: a finished import is checked whole; leave out --limit N")
        imported = validate_import(source, read_data=given["read_data"])
        if given["as_json"]:
            _print(imported)
        else:
            _say_import(source, imported)
        return _FAULTY if imported.faults else 0
    report = _rows_report(source, given)
    if given["as_json"]:
        _print(report)
    else:
        _say_rows(source, report)
    return _REFUSED if report.by_reason else 0


def _rows_report(source: str, given: dict[str, Any]) -> RowsReport:
    from vlm_datakit.importing import plan_import
    from vlm_datakit.sources.pipe import standard_input
    from vlm_datakit.validation import validate_source

    pipe = standard_input() if source == "-" else None
    request = import_request((source,), given)
    teller = download_teller(quiet=given["as_json"])
    plan, found = plan_import(request, pipe, teller)
    if not given["as_json"]:
        say_on_hub(plan.files)
        say(f"{plan.files[0].name}: read as {found.format} ({found.evidence})")
        say_left_out(plan.files)
    say_mapping(plan.mapping, found, given)
    return validate_source(plan, pipe, teller)


def _print(report: RowsReport | ImportReport) -> None:
    import orjson

    click.echo(orjson.dumps(asdict(report)).decode())


def _say_rows(source: str, report: RowsReport) -> None:
    say_refused(report.first)
    say_counts("refused, by reason:", report.by_reason)
    say_counts("warned, rows by reason:", report.warnings, hints=False)
    _say_oddities(report.oddities)
    say(f"{source}: {report.good:,} of {report.rows:,} rows are good, {report.images:,} pictures")


def _say_oddities(found: Oddities) -> None:
    if found.repeated_ids:
        say(f"rows with the id of an earlier row: {found.repeated_ids:,}")
        for row, before in found.repeats:
            say(f"  {row} = {before}")
    if found.far_longer:
        say(
            f"rows of 16 times the median length and more: {found.far_longer:,} "
            f"(median about {found.median_chars:,} characters)"
        )
    for words, lengths in (
        ("longest rows, in characters:", found.longest),
        ("shortest answers, in characters:", found.shortest_answers),
    ):
        if lengths:
            say(f"{words} " + ", ".join(f"{one.chars:,} ({one.origin})" for one in lengths))


def _say_import(source: str, report: ImportReport) -> None:
    for fault in report.faults:
        say(f"fault  {fault}")
    say_counts("refused at the import, by reason:", report.rejects, hints=False)
    say_counts("warned, rows by reason:", report.warnings, hints=False)
    if report.pictures is not None:
        _say_pictures(report.pictures)
    splits = ", ".join(f"{name} {rows:,}" for name, rows in report.splits.items())
    looked = "hashes and pictures" if report.read_data else "sizes"
    state = f"{len(report.faults)} faults" if report.faults else f"{looked} as written"
    say(f"{source}: {splits} rows, {report.bytes:,} bytes, {state}")


def _say_pictures(pictures: Pictures) -> None:
    duplicates = f"{pictures.duplicates:,} of them duplicates" if pictures.duplicates else ""
    say(f"pictures: {pictures.images:,}, {duplicates or 'no duplicates'}")
    for places in pictures.repeats:
        say(f"  {_equal_places(places)}")
    if not pictures.leaked:
        return
    say(f"leaks, pictures that stand in more than one split: {pictures.leaked:,}")
    for places in pictures.leaks:
        say(f"  {_equal_places(places)}")
    if (more := pictures.leaked - len(pictures.leaks)) > 0:
        say(f"  and {more:,} more")


def _equal_places(places: tuple[Place, ...]) -> str:
    """Return ``train row 3 (id a) = train row 9 (id b), 12 times in train``."""
    named = Counter(place.split for place in places)
    times = {place.split: place.times for place in places if place.times > named[place.split]}
    more = [f", {count:,} times in {split}" for split, count in times.items()]
    return " = ".join(map(_place_text, places)) + "".join(more)


def _place_text(place: Place) -> str:
    image = f" image {place.image}" if place.image else ""
    row_id = place.id if len(place.id) <= _ID_CHARS else f"{place.id[:_ID_CHARS]}..."
    return f"{place.split} row {place.row}{image} (id {row_id})"
