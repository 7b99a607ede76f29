"""``vlm-datakit validate``."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from vlm_datakit.cli.options import format_option, image_root_option
from vlm_datakit.cli.talk import say, say_counts, say_refused

if TYPE_CHECKING:
    from vlm_datakit.validation import ImportReport, RowsReport

_REFUSED, _FAULTY = 6, 3


@click.command("validate")
@click.argument("source", metavar="FILE|OUT|-")
@format_option
@image_root_option
@click.option(
    "--read-data", is_flag=True, help="Of an import: hash every file, decode every picture."
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(source: str, **given: Any) -> int:
    """Count what is wrong with rows, or check a finished import.

    Exit code 6 if a row would be refused, 3 if an import is not what was written.
    """
    from vlm_datakit.importing import is_folder

    if source != "-" and is_folder(source):
        from vlm_datakit.validation import validate_import

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
    from vlm_datakit.importing import ImportRequest, plan_import
    from vlm_datakit.sources.pipe import Pipe
    from vlm_datakit.validation import validate_source

    pipe = Pipe(sys.stdin.buffer) if source == "-" else None
    request = ImportRequest((source,), given["format_"], image_roots=given["image_root"])
    plan, found = plan_import(request, pipe)
    if not given["as_json"]:
        say(f"{plan.files[0].name}: read as {found.format} ({found.evidence})")
    return validate_source(plan, pipe)


def _print(report: RowsReport | ImportReport) -> None:
    import orjson

    click.echo(orjson.dumps(asdict(report)).decode())


def _say_rows(source: str, report: RowsReport) -> None:
    say_refused(report.first)
    say_counts("refused, by reason:", report.by_reason)
    say_counts("warned, rows by reason:", report.warnings, hints=False)
    say(f"{source}: {report.good:,} of {report.rows:,} rows are good, {report.images:,} pictures")


def _say_import(source: str, report: ImportReport) -> None:
    for fault in report.faults:
        say(f"fault  {fault}")
    say_counts("refused at the import, by reason:", report.rejects, hints=False)
    say_counts("warned, rows by reason:", report.warnings, hints=False)
    splits = ", ".join(f"{name} {rows:,}" for name, rows in report.splits.items())
    looked = "hashes and pictures" if report.read_data else "sizes"
    state = f"{len(report.faults)} faults" if report.faults else f"{looked} as written"
    say(f"{source}: {splits} rows, {report.bytes:,} bytes, {state}")
