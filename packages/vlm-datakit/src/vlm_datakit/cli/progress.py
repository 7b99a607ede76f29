"""How far an import is, on standard error: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vlm_datakit.cli.talk import say
from vlm_datakit.events import Listener, Progress
from vlm_datakit.plan import MIB

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

_PLAIN_EVERY_S = 10.0
_MINUTE_S = 60
_shown = list["Bar"]()


def shown_bar() -> Bar | None:
    """Return the bar of the import that runs, if it is on the screen."""
    return _shown[-1] if _shown else None


@contextmanager
def progress_listener(*, quiet: bool) -> Iterator[Listener | None]:
    """Yield a listener: a bar on a terminal, else a plain line about every 10 s."""
    if quiet:
        yield None
    elif sys.stderr.isatty():
        with new_bar() as bar:
            _shown.append(bar)
            try:
                yield _on_bar(bar, bar.add_task("rows", total=None, words="", pace=""))
            finally:
                _shown.remove(bar)
    else:
        yield plain_listener(_PLAIN_EVERY_S)


def words_of(progress: Progress) -> str:
    """Return rows and refusals.

    Example:
        >>> words_of(Progress(1200, {"json-invalid": 3}, 0, None))
        '1,200 rows, 3 refused'
    """
    refused = f", {progress.rejected:,} refused" if progress.by_reason else ""
    return f"{progress.rows:,} rows{refused}"


def pace_of(progress: Progress, seconds: float) -> str:
    """Return input done per second and, if the end is known, the time that is left.

    Args:
        progress: How far it is.
        seconds: Since this run began; what was done before does not count.

    Example:
        >>> pace_of(Progress(9, {}, 30 * MIB, 120 * MIB, resumed_bytes=10 * MIB), 10.0)
        '2.0 MiB/s, 0:45 left'
    """
    done_bytes = progress.done_bytes - progress.resumed_bytes
    if done_bytes <= 0 or seconds <= 0:
        return ""
    rate = done_bytes / seconds
    text = f"{rate / MIB:,.1f} MiB/s"
    if progress.total_bytes is None:
        return text
    return f"{text}, {clock((progress.total_bytes - progress.done_bytes) / rate)} left"


def clock(seconds: float) -> str:
    """Return a time as minutes and seconds, with hours if there are any.

    Example:
        >>> clock(45.2), clock(3_725)
        ('0:45', '1:02:05')
    """
    minutes, left_s = divmod(round(seconds), _MINUTE_S)
    hours, minutes = divmod(minutes, _MINUTE_S)
    return f"{f'{hours}:{minutes:02}' if hours else minutes}:{left_s:02}"


def new_bar() -> Bar:
    """Return a bar on standard error, of which nothing is left when it ends."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    return Bar(
        TextColumn("{task.fields[words]}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%", markup=False),
        TextColumn("{task.fields[pace]}", markup=False),
        console=Console(stderr=True),
        transient=True,
    )


def _on_bar(bar: Bar, task: TaskID) -> Listener:
    begun, losses = time.monotonic(), _Losses()

    def listen(progress: Progress) -> None:
        losses.tell(progress)
        bar.update(
            task,
            completed=progress.done_bytes,
            total=progress.total_bytes,
            words=words_of(progress),
            pace=pace_of(progress, time.monotonic() - begun),
        )

    return listen


def plain_listener(every_s: float) -> Listener:
    """Return a listener that writes a line at most every so many seconds."""
    begun = last = time.monotonic()
    losses = _Losses()

    def listen(progress: Progress) -> None:
        nonlocal last
        losses.tell(progress)
        now = time.monotonic()
        if now - last < every_s:
            return
        last = now
        share = ""
        if progress.total_bytes:
            share = f"{100 * progress.done_bytes // progress.total_bytes} % of the input"
        say(", ".join(filter(None, [words_of(progress), share, pace_of(progress, now - begun)])))

    return listen


class _Losses:
    """Tells of killed workers as they are lost; a bar makes room for the line."""

    def __init__(self) -> None:
        self._told = 0

    def tell(self, progress: Progress) -> None:
        if progress.workers_lost > self._told:
            self._told = progress.workers_lost
            say("a worker was killed; another does its slice again")
