"""What a parent and its workers talk over: whole values, through a socket.

`multiprocessing.connection.Connection` does the same, and reads a value of 4 MiB in pieces,
each into a buffer of its own: nine times the CPU (docs/log.md).
"""

from __future__ import annotations

import pickle
import socket
import struct
from typing import Any

_SIZE = struct.Struct("!Q")


class Line:
    """One end of a socket that carries pickled values."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def send(self, value: object) -> None:
        """Send a value.

        Raises:
            OSError: if the other end is gone.
        """
        data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        self._end.sendall(_SIZE.pack(len(data)))
        self._end.sendall(data)

    def recv(self) -> Any:
        """Wait for a value.

        Raises:
            EOFError, OSError: if the other end is gone.
        """
        (size,) = _SIZE.unpack(self._read(_SIZE.size))
        return pickle.loads(self._read(size))  # noqa: S301 - our own bytes

    def fileno(self) -> int:
        """Return the descriptor, to wait for."""
        return self._end.fileno()

    def close(self) -> None:
        """Close this end, which ends the line."""
        self._end.close()

    def _read(self, size: int) -> bytearray:
        data = bytearray(size)
        rest = memoryview(data)
        while rest:
            count = self._end.recv_into(rest, 0, socket.MSG_WAITALL)
            if not count:
                raise EOFError
            rest = rest[count:]
        return data
