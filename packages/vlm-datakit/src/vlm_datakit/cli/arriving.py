"""How far downloads from the Hub are, on standard error: a bar on a terminal, else lines."""

from __future__ import annotations

import atexit
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlm_datakit.cli import progress
from vlm_datakit.cli.talk import say, size_words

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

_MB = 1_000_000


@dataclass(slots=True)
class _Coming:
    """A download, and how it was when it was first heard of."""

    begun: float
    begun_bytes: int
    said: float
    task: tuple[Bar, TaskID] | None = None


class Arrivals:
    """Hears how far downloads are, from any thread; see `vlm_datakit.hub.download.Told`.

    Args:
        every_s: The least time between two lines of one download.
    """

    def __init__(self, every_s: float = 10.0) -> None:
        self._every_s, self._lock = every_s, threading.RLock()
        self._coming: dict[str, _Coming] = {}

    def __call__(self, name: str, done: int, size: int) -> None:
        """Hear how many bytes of a file, or of several, are here."""
        with self._lock:
            now = time.monotonic()
            if name not in self._coming:
                self._coming[name] = _Coming(now, done, now)
                if progress.shown_bar() is None:  # which would paint over it
                    here = f", {size_words(done)} of it are here" if done else ""
                    say(f"downloading {name} ({size_words(size)}{here})")
            coming = self._coming[name]
            if not self._is_on_bar(coming, name) and now - coming.said >= self._every_s:
                coming.said = now
                say(f"{name}: {_words(coming, done, size, now)}")
            if coming.task is not None:
                _paint(*coming.task, done, size, pace=_words(coming, done, size, now))
            if done >= size:
                coming.task = None

    def _is_on_bar(self, coming: _Coming, name: str) -> bool:
        """Whether a bar shows it: that of the run; or one of its own, if nothing else is done."""
        if coming.task is None and (bar := progress.shown_bar()) is not None:
            coming.task = bar, bar.add_task(name, words=f"downloading {name}", pace="")
        is_waited_for = threading.current_thread() is threading.main_thread()
        if coming.task is None and is_waited_for and sys.stderr.isatty():
            bar = progress.new_bar()
            bar.start()
            atexit.register(bar.stop)  # gives the cursor back, whatever ends the download
            coming.task = bar, bar.add_task(name, words=f"downloading {name}", pace="")
        return coming.task is not None


def _paint(bar: Bar, task: TaskID, done: int, size: int, *, pace: str) -> None:
    bar.update(task, completed=done, total=size, pace=pace)
    if done >= size:
        bar.remove_task(task)
        if bar is not progress.shown_bar():
            bar.stop()


def _words(coming: _Coming, done: int, size: int, now: float) -> str:
    """Return bytes, the rate of what came in this run, and the time that is left at that.

    Example:
        >>> _words(_Coming(0.0, 20_000_000, 0.0), 50_000_000, 110_000_000, 10.0)
        '50.0 of 110.0 MB, 3.0 MB/s, 0:20 left'
    """
    text = f"{done / _MB:,.1f} of {size / _MB:,.1f} MB"
    come, seconds = done - coming.begun_bytes, now - coming.begun
    if come <= 0 or seconds <= 0:
        return text
    rate = come / seconds
    return f"{text}, {rate / _MB:,.1f} MB/s, {progress.clock((size - done) / rate)} left"
