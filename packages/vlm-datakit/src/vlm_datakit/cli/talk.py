"""What the commands say on standard error: lines, counts, refusals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import click

from vlm_datakit.cli import printable
from vlm_datakit.errors import Reason

if TYPE_CHECKING:
    from vlm_datakit.plan import SourceFile

#: What to do about a reason, for people who meet it for the first time.
HINTS = {
    Reason.IMAGE_FILE_MISSING: "neither base64 of a picture nor a file below the data file's "
    "folder or an --image-root",
    Reason.IMAGE_OUTSIDE_ROOT: "allow the folder with --image-root FOLDER",
    Reason.IMAGE_URL_NOT_FETCHED: "--fetch fetches pictures named by URL",
    Reason.IMAGE_URL_REFUSED: "--fetch-allow HOST admits a private image server of your own",
    Reason.IMAGE_FETCH_FAILED: "a rerun asks again",
    Reason.IMAGE_NOT_IN_PLAN: "the first rows have no pictures: say --with-images",
    Reason.LAYOUT_DIFFERS: "conversations and prompt/completion rows go into separate imports",
    Reason.DOES_NOT_FIT_FORMAT: "--lossy NAME leaves out what does not fit, and counts it",
    Reason.LINE_TOO_LONG: "one row is one line",
}


def say(text: str) -> None:
    """Write one line for a person; control characters are escaped, markup means nothing."""
    click.echo(printable(text), err=True)


def say_counts(title: str, counts: Mapping[str, int], *, hints: bool = True) -> None:
    """Write a small table of reason codes, most frequent first."""
    if not counts:
        return
    say(title)
    width = max(map(len, counts))
    for reason, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])):
        hint = HINTS.get(Reason(reason)) if hints and reason in set(Reason) else None
        say(f"  {reason:<{width}}  {count:>8,}" + (f"  ({hint})" if hint else ""))


def say_left_out(files: Iterable[SourceFile]) -> None:
    """Write a line for each source of which parts are not read."""
    from vlm_datakit.sources.left_out import left_out

    for file in files:
        if (words := left_out(file)) is not None:
            say(words)


def say_refused(lines: Iterable[str]) -> None:
    """Write refused rows, one a line."""
    for line in lines:
        say(f"refused  {line}")
