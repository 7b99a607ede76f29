"""Files of the Hub downloaded while others are converted: one after the other, in their order."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vlm_datakit.hub.names import Pinned, pinned
from vlm_datakit.plan import SourceFile

if TYPE_CHECKING:
    from vlm_datakit.hub.download import Told


_FAREWELL_S = 1.0


class _Stopped(Exception):  # noqa: N818 - no error
    """The run has ended; what comes is not wanted any more."""


@contextmanager
def downloading(files: Sequence[SourceFile], told: Told | None) -> Iterator[None]:
    """Download the files of a plan that lie on the Hub, in a thread, while the block runs.

    Whoever reads a file waits for it, or downloads it itself: what fails here fails there, and
    is said by that.

    Args:
        files: Of the plan, in the order in which they are read.
        told: Hears how far each file is.
    """
    wanted = [(hub_file, file) for file in files if (hub_file := pinned(file.path)) is not None]
    if not wanted:
        yield
        return
    stop = threading.Event()
    thread = threading.Thread(target=_download, args=(wanted, told, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(_FAREWELL_S)  # a slow line holds up nobody; it ends with its next bytes


def _download(
    wanted: Sequence[tuple[Pinned, SourceFile]], told: Told | None, stop: threading.Event
) -> None:
    from vlm_datakit.hub.download import downloaded

    def heard(path: str, done: int, size: int) -> None:
        if stop.is_set():
            raise _Stopped
        if told is not None:
            told(path, done, size)

    for hub_file, file in wanted:
        if stop.is_set():
            return
        try:
            downloaded(hub_file, file.size_bytes or 0, file.etag or "", heard)
        except Exception:  # its reader meets the same, in its own thread
            return
