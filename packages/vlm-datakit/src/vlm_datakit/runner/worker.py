"""The other end of a crew: a process that does tasks until its parent is gone.

It holds one end of a socket whose other end only the parent holds. When the parent dies,
however it dies, the socket ends, and so does this process, in the middle of a task.
"""

from __future__ import annotations

import os
import pickle
import socket
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from queue import SimpleQueue
from typing import Any, NoReturn

from vlm_datakit.errors import VlmDataKitError
from vlm_datakit.lean import import_arrow
from vlm_datakit.runner.line import Line


@dataclass(frozen=True, slots=True)
class Ready:
    """The first that a worker says: it has started, and takes a task."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a task came to."""

    value: Any


def begin(descriptor: int, module: str, *, is_lean: bool) -> NoReturn:
    """Be the process of a crew: run what a module serves over a socket.

    Args:
        descriptor: Of the socket.
        module: Has ``serve``.
        is_lean: Whether to do without NumPy, as the parent does.
    """
    if is_lean:
        import_arrow()
    import_module(module).serve(Line(socket.socket(fileno=descriptor)))
    raise SystemExit(f"{module}.serve came back")


def attend(line: Line, do: Callable[[Any], object]) -> NoReturn:
    """Do the tasks that come over the line; answer each with its `Answer`, or an error."""
    tasks = SimpleQueue[Any]()
    threading.Thread(target=_listen, args=(line, tasks), daemon=True).start()
    try:
        line.send(Ready())
        while True:
            line.send(_outcome(do, tasks.get()))
    except OSError:  # the parent is gone
        os._exit(1)


def _listen(line: Line, tasks: SimpleQueue[Any]) -> None:
    """Wait for tasks; end the process at once when the parent is gone."""
    try:
        while True:
            tasks.put(line.recv())
    except (EOFError, OSError):
        os._exit(1)


def _outcome(do: Callable[[Any], object], task: object) -> Answer | Exception:
    try:
        return Answer(do(task))
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
