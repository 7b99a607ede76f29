"""Files of the Hub downloaded while others are converted: several at once, begun in their order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from vlm_datakit.hub.lanes import LANES
from vlm_datakit.hub.names import Pinned, pinned
from vlm_datakit.plan import SourceFile

if TYPE_CHECKING:
    from vlm_datakit.hub.download import Told

_FAREWELL_S = 1.0
_Wanted = tuple[Pinned, SourceFile]


class _Stopped(Exception):  # noqa: N818 - no error
    """The run has ended; what comes is not wanted any more."""


@contextmanager
def downloading(files: Sequence[SourceFile], told: Told | None) -> Iterator[None]:
    """Download the files of a plan that lie on the Hub, in threads, while the block runs.

    Whoever reads a file waits for it, or downloads it itself: what fails here fails there, and
    is said by that.

    Args:
        files: Of the plan, in the order in which they are read.
        told: Hears how far all of them are together, from several threads, one at a time.
    """
    wanted = [(on_hub, file) for file in files if (on_hub := pinned(file.path)) is not None]
    if not wanted:
        yield
        return
    stop = threading.Event()
    thread = threading.Thread(target=_download_all, args=(wanted, told, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(_FAREWELL_S)  # a slow line holds up nobody; it ends with its next bytes


def _download_all(wanted: Sequence[_Wanted], told: Told | None, stop: threading.Event) -> None:
    from vlm_datakit.hub.download import cached

    with suppress(Exception):  # of the disk: whoever reads the file meets it
        wanted = [(at, file) for at, file in wanted if cached(at, *_stated(file)) is None]
        left, sums = deque(wanted), _Sums(wanted, told, stop)
        threads = [
            threading.Thread(target=_download, args=(left, sums, stop), daemon=True)
            for _ in range(min(LANES, len(left)))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _download(left: deque[_Wanted], sums: Told, stop: threading.Event) -> None:
    from vlm_datakit.hub.download import downloaded

    while not stop.is_set():
        try:
            on_hub, file = left.popleft()
            downloaded(on_hub, *_stated(file), sums)
        except Exception:  # none is left; or its reader meets the same, in its own thread
            return


def _stated(file: SourceFile) -> tuple[int, str]:
    return file.size_bytes or 0, file.etag or ""


class _Sums:
    """How far files are together: what was here before they were begun is not counted."""

    def __init__(self, wanted: Sequence[_Wanted], told: Told | None, stop: threading.Event) -> None:
        self._told, self._stop, self._lock = told, stop, threading.Lock()
        self._name = wanted[0][0].path if len(wanted) == 1 else f"{len(wanted)} files"
        self._size = sum(file.size_bytes or 0 for _, file in wanted)
        self._here, self._come = dict[str, int](), dict[str, int]()

    def __call__(self, path: str, done: int, size: int) -> None:
        """Hear of one of them; end it if the run has ended."""
        if self._stop.is_set():
            raise _Stopped
        with self._lock:
            self._here[path] = min(done, self._here.get(path, done))
            self._come[path] = done - self._here[path]
            if self._told is not None:
                size = self._size - sum(self._here.values())
                self._told(self._name, sum(self._come.values()), size)
