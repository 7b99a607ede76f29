"""Files of the Hub downloaded while others are converted: several at once, begun in their order.

The first one may be begun before the plan is made, which the first rows of it decide.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from vlm_datakit.hub.arriving import Stated, arriving_of, open_arriving
from vlm_datakit.hub.lanes import LANES
from vlm_datakit.hub.names import Pinned, pinned
from vlm_datakit.plan import SourceFile
from vlm_datakit.runner.provisional import stated_of

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


class Coming:
    """A file that comes from before an import is planned until it has ended.

    Attributes:
        file: It; None: none has been begun.
        marks: Of the parts in which its first rows stand; see `vlm_datakit.hub.arriving.is_held`.
    """

    def __init__(self, told: Told | None) -> None:
        self.file: SourceFile | None = None
        self.marks: tuple[str, ...] = ()
        self._told, self._stop = told, threading.Event()

    def begin(self, file: SourceFile) -> None:
        """Begin with a file, and wait until its first bytes are here.

        Raises:
            RemoteError, SourceError, OutputError: as `vlm_datakit.hub.download.downloaded`.
        """
        self.file = file
        stated = stated_of(file)
        if stated is None:
            raise ValueError("a file of the Hub")
        threading.Thread(target=self._download, args=(stated,), daemon=True).start()
        with open_arriving(stated) as stream:
            if (arriving := arriving_of(stream)) is not None:
                self.marks = (arriving.mark,)

    def end(self) -> None:
        """End it, unless it is here."""
        self._stop.set()

    def _download(self, stated: Stated) -> None:
        from vlm_datakit.hub.download import downloaded

        with suppress(Exception):  # its reader meets the same
            downloaded(*stated, self._hear)

    def _hear(self, path: str, done: int, size: int) -> None:
        if self._stop.is_set():
            raise _Stopped
        if self._told is not None:
            self._told(path, done, size)


@contextmanager
def coming(told: Told | None) -> Iterator[Coming]:
    """Open what brings the first file while the block plans an import and runs it.

    Args:
        told: Hears how far it is, from a thread.
    """
    file = Coming(told)
    try:
        yield file
    finally:
        file.end()


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
