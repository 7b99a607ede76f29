"""Files of the Hub downloaded while others are converted: several at once, begun in their order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

from vlm_datakit.hub.lanes import LANES
from vlm_datakit.hub.names import Pinned, pinned
from vlm_datakit.plan import SourceFile

if TYPE_CHECKING:
    from vlm_datakit.hub.download import Told


_FAREWELL_S = 1.0


class _Stopped(Exception):  # noqa: N818 - no error
    """The run has ended; what comes is not wanted any more."""


@contextmanager
def downloading(files: Sequence[SourceFile], told: Told | None) -> Iterator[None]:
    """Download the files of a plan that lie on the Hub, in threads, while the block runs.

    Whoever reads a file waits for it, or downloads it itself: what fails here fails there, and
    is said by that.

    Args:
        files: Of the plan, in the order in which they are read.
        told: Hears how far each file is, from several threads.
    """
    wanted = deque((on_hub, file) for file in files if (on_hub := pinned(file.path)) is not None)
    stop = threading.Event()
    threads = [
        threading.Thread(target=_download, args=(wanted, told, stop), daemon=True)
        for _ in range(min(LANES, len(wanted)))
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        end = monotonic() + _FAREWELL_S
        for thread in threads:  # a slow line holds up nobody; it ends with its next bytes
            thread.join(max(0, end - monotonic()))


def _download(
    wanted: deque[tuple[Pinned, SourceFile]], told: Told | None, stop: threading.Event
) -> None:
    from vlm_datakit.hub.download import downloaded

    def heard(path: str, done: int, size: int) -> None:
        if stop.is_set():
            raise _Stopped
        if told is not None:
            told(path, done, size)

    while not stop.is_set():
        try:
            on_hub, file = wanted.popleft()
            downloaded(on_hub, file.size_bytes or 0, file.etag or "", heard)
        except Exception:  # none is left; or its reader meets the same, in its own thread
            return
