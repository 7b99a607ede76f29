"""What the commands say on standard error: summaries, refusals, progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from vlm_datakit.cli import printable
from vlm_datakit.errors import Reason
from vlm_datakit.events import Listener, Progress

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

_PLAIN_EVERY_S = 10.0
_BAR_EVERY_S = 0.1

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
    Reason.TARGET_CANNOT_HOLD: "--allow-loss leaves out what does not fit, and says so",
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


def say_refused(lines: Iterable[str]) -> None:
    """Write refused rows, one a line."""
    for line in lines:
        say(f"refused  {line}")


@contextmanager
def progress_listener(*, quiet: bool) -> Iterator[Listener | None]:
    """Yield a listener: a bar on a terminal, else a plain line about every 10 s."""
    if quiet:
        yield None
    elif sys.stderr.isatty():
        with _bar() as bar:
            yield _on_bar(bar, bar.add_task("rows", total=None, rows=0, refused=""))
    else:
        yield _plain()


def _bar() -> Bar:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    return Bar(
        TextColumn("{task.fields[rows]:,} rows", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}% {task.fields[refused]}", markup=False),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )


def _on_bar(bar: Bar, task: TaskID) -> Listener:
    last = 0.0

    def listen(progress: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < _BAR_EVERY_S:
            return
        last = now
        refused = f"{progress.rejected:,} refused" if progress.rejected else ""
        bar.update(
            task,
            completed=progress.done_bytes,
            total=progress.total_bytes,
            rows=progress.rows,
            refused=refused,
        )

    return listen


def _plain() -> Listener:
    last = time.monotonic()

    def listen(progress: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < _PLAIN_EVERY_S:
            return
        last = now
        share = ""
        if progress.total_bytes:
            share = f", {100 * progress.done_bytes // progress.total_bytes} % of the input"
        say(f"{progress.rows:,} rows{share}, {progress.rejected:,} refused")

    return listen
