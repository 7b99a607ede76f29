"""The other end of the pool: a process that does slices until its parent is gone.

It holds one end of a socket whose other end only the parent holds. When the parent dies,
however it dies, the socket ends, and so does this process, in the middle of a slice.
"""

from __future__ import annotations

import os
import pickle
import threading
import traceback
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import NoReturn

from vlm_datakit.errors import VlmDataKitError
from vlm_datakit.plan import Slice
from vlm_datakit.runner.progress import Pulse
from vlm_datakit.runner.work import NO_EDGES, Job, run_slice
from vlm_datakit.shards.manifest import Receipt


def serve(line: Connection) -> NoReturn:
    """Do the slices that come over the line; answer each with its receipt, or an error.

    Args:
        line: Brings a job with the seconds between reports, and then slices.
    """
    job, every_s = line.recv()
    slices = SimpleQueue[Slice]()
    threading.Thread(target=_listen, args=(line, slices), daemon=True).start()
    try:
        while True:
            line.send(_outcome(job, slices.get(), Pulse(line.send, every_s)))
    except OSError:  # the parent is gone
        os._exit(1)


def _listen(line: Connection, slices: SimpleQueue[Slice]) -> None:
    """Wait for slices; end the process at once when the parent is gone."""
    try:
        while True:
            slices.put(line.recv())
    except (EOFError, OSError):
        os._exit(1)


def _outcome(job: Job, slice_: Slice, pulse: Pulse) -> Receipt | Exception:
    try:
        return run_slice(job, slice_, NO_EDGES, pulse)
    except Exception as error:  # raised by the parent
        return portable(error)


def portable(error: Exception) -> Exception:
    """Return an error that pickles; a bug gets a note with its traceback, which does not."""
    if not isinstance(error, (VlmDataKitError, OSError)):
        error.add_note(f"in a worker: {''.join(traceback.format_exception(error))}")
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    except Exception:
        bare = RuntimeError(f"{type(error).__name__}: {error}")
        for note in getattr(error, "__notes__", []):
            bare.add_note(note)
        return bare
    return error
