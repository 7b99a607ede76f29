"""``vlm-datakit suggest-mapping``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vlm_datakit.cli.ending import print_json
from vlm_datakit.cli.options import on_disk
from vlm_datakit.cli.talk import say
from vlm_datakit.errors import UsageError

if TYPE_CHECKING:
    from vlm_datakit.mapping.suggest import Suggestion
    from vlm_datakit.suggesting import Suggested

_UNDECIDED = 3
_SHOWN, _TEXT_CHARS = 3, 200


@click.command("suggest-mapping")
@click.argument("source", metavar="FILE|FOLDER|-")
@click.option(
    "--goal",
    type=click.Choice(["vlm", "sl", "dpo", "sft"]),
    default="sft",
    show_default=True,
    help="vlm: conversations about pictures; sl: answers to prompts; dpo: preference pairs; "
    "sft: vlm for rows with pictures, else sl.",
)
@click.option(
    "--save-mapping", metavar="FILE", callback=on_disk, help="Write the mapping to a YAML file."
)
@click.option("--json", "as_json", is_flag=True, help="Print all candidates as JSON.")
def command(source: str, *, goal: str, save_mapping: str | None, as_json: bool) -> int:
    """Say how the columns of rows map, told by types and contents of the first rows.

    Each candidate was tried on the rows. Standard output gets the flags of the best, for
    `import`, `convert` and `validate`, if it is clear; what speaks for it is said beside.

    Exit code 3 if nothing fits, or several candidates are as likely; they are named.
    """
    from vlm_datakit.importing import find_files
    from vlm_datakit.lean import import_arrow
    from vlm_datakit.mapping.suggest import DoesNotFit, clear_choice
    from vlm_datakit.sources.pipe import standard_input
    from vlm_datakit.suggesting import suggest_for

    import_arrow()
    pipe = standard_input() if source == "-" else None
    file = find_files([source], pipe=pipe)[0]
    suggested = suggest_for(file, pipe, goal)
    found = suggested.found
    if isinstance(found, DoesNotFit):
        if as_json:
            print_json({"goal": goal, "fits": False, "reason": found.reason, "candidates": []})
        say(f"{file.name}: {found}")
        return _UNDECIDED
    clear = clear_choice(found)
    if as_json:
        candidates = [_plain(one) for one in found]
        print_json(
            {"goal": goal, "fits": True, "clear": clear is not None, "candidates": candidates}
        )
    _say(file.name, suggested, found, is_clear=clear is not None)
    if clear is None:
        return _UNDECIDED
    if not as_json:
        click.echo(shlex.join(clear.flags))
    _save(clear, save_mapping)
    return 0


def _plain(one: Suggestion) -> dict[str, Any]:
    from vlm_datakit.mapping.file import to_plain

    mapping = None if one.mapping is None else to_plain(one.mapping)
    return {
        "score": one.score,
        "good": one.good,
        "format": one.format,
        "mapping": mapping,
        "flags": list(one.flags),
        "evidence": list(one.evidence),
    }


def _say(name: str, suggested: Suggested, found: tuple[Suggestion, ...], *, is_clear: bool) -> None:
    shown = found[: 1 if is_clear else _SHOWN]
    if not is_clear:
        say(f"{name}: it is open which of these is meant; choose one, or map the columns yourself")
    for one in shown:
        say(f"{name}: {shlex.join(one.flags)}")
        say(f"  {', '.join(one.evidence)}; good for {one.good:.0%} of the rows looked at")
    if suggested.first:
        say("the first row becomes:" if is_clear else "by the first of them a row becomes:")
    for role, text in suggested.first:
        cut = text if len(text) <= _TEXT_CHARS else f"{text[:_TEXT_CHARS]}..."
        say(f"  {role}: {cut}")


def _save(clear: Suggestion, path: str | None) -> None:
    from vlm_datakit.mapping.file import save_mapping

    if path is None:
        return
    if clear.mapping is None:
        raise UsageError(f"--save-mapping: rows are {clear.format} already; no mapping is needed")
    save_mapping(clear.mapping, Path(path))
