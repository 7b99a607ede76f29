"""Connections that go only where they may: the address judged is the address connected to.

A name is resolved once for a connection, its addresses are judged, and the socket gets one
of them as a number. Whatever a name server says later, or a URL spells, reaches no other.
TLS still verifies the name, because httpcore2 hands it to `start_tls` apart.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from queue import Empty, SimpleQueue
from typing import Any, cast

import httpcore2
import httpx2

from vlm_datakit.errors import Reason, RowError
from vlm_datakit.fetching.addresses import AllowedHost, why_not

_NO_SUCH_NAME = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))

#: Asked of a connection: whether anything came since the last request was written. An answer
#: without lay behind the one before, and is nobody's (RFC 9112, 6.3).
IS_READ = "is_read"


class NoConnection(httpcore2.ConnectError):
    """No connection, and asking again gives none either: no such name, a wrong certificate."""


def resolve_host(host: str, port: int) -> list[str]:
    """Return the addresses of a host; blocks for as long as the system's resolver does."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


def trusted_authorities() -> ssl.SSLContext:
    """Return the system's trusted authorities; no environment variable adds one."""
    return httpx2.create_ssl_context(trust_env=False)


@dataclass(frozen=True, slots=True)
class Machine:
    """What fetching asks of the machine it runs on; a test brings its own."""

    resolve: Callable[[str, int], Sequence[str]] = resolve_host
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    unix_time: Callable[[], float] = time.time
    ssl_context: Callable[[], ssl.SSLContext] = trusted_authorities


class Deadline:
    """When a picture has to be there.

    httpcore2 renews its timeouts with every read, so that a byte a second goes on for ever.
    It passes them through untouched, though: connections here are given a deadline in place
    of a number of seconds.
    """

    def __init__(self, now: Callable[[], float], timeout_s: float) -> None:
        self._now = now
        self._at = now() + timeout_s

    def left_s(self) -> float:
        """Return the seconds left, more than 0.

        Raises:
            httpcore2.TimeoutException: if none are.
        """
        left_s = self._at - self._now()
        if left_s <= 0:
            raise httpcore2.TimeoutException
        return left_s

    def put_off(self, seconds: float) -> None:
        """Leave out a wait for which the server is not to blame."""
        self._at += seconds


class JudgingBackend(httpcore2.NetworkBackend):
    """Resolves, judges and connects; for `httpcore2.ConnectionPool`."""

    def __init__(self, allowed: Iterable[AllowedHost], machine: Machine, connect_s: float) -> None:
        self._allowed = tuple(allowed)
        self._machine = machine
        self._connect_s = connect_s
        self._tcp = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        """Connect to the first address of a host that may be reached and answers.

        Raises:
            RowError: ``image-url-refused`` if no address may be connected to.
            httpcore2.ConnectError, httpcore2.ConnectTimeout: if none answers.
        """
        deadline = cast("Deadline", timeout)
        addresses = self._judged(host, port, self._addresses(host, port, deadline))
        for index, address in enumerate(addresses, start=1):
            share_s = min(self._connect_s, deadline.left_s() / (len(addresses) - index + 1))
            try:
                return _TimedStream(
                    self._tcp.connect_tcp(address, port, share_s, local_address, socket_options)
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                if index == len(addresses):
                    raise
        raise NoConnection("no address")

    def _addresses(self, host: str, port: int, deadline: Deadline) -> list[str]:
        """Resolve a name in a thread of its own: resolvers know no deadline."""
        answers: SimpleQueue[list[str] | Exception] = SimpleQueue()

        def resolve() -> None:
            try:
                answers.put(list(self._machine.resolve(host, port)))
            except Exception as error:
                answers.put(error)

        threading.Thread(target=resolve, daemon=True, name=f"resolve {host}").start()
        try:
            answer = answers.get(timeout=deadline.left_s())
        except Empty:
            raise httpcore2.TimeoutException from None
        if isinstance(answer, UnicodeError) or _is_unknown(answer):
            raise NoConnection("no such host")
        if isinstance(answer, OSError):
            raise httpcore2.ConnectError(answer)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _judged(self, host: str, port: int, addresses: Sequence[str]) -> list[str]:
        is_allowed = any(allowed.admits(host, port) for allowed in self._allowed)
        refusals = {text: why_not(ip_address(text), is_allowed=is_allowed) for text in addresses}
        admitted = [text for text, why in refusals.items() if why is None]
        for text, why in () if admitted else refusals.items():
            raise RowError(Reason.IMAGE_URL_REFUSED, "$", f"the address {text} is {why}")
        return admitted


def _is_unknown(answer: object) -> bool:
    return isinstance(answer, socket.gaierror) and answer.errno in _NO_SUCH_NAME


class _TimedStream(httpcore2.NetworkStream):
    """A connection whose every wait ends at the deadline of the picture it is used for."""

    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream
        self._is_read = False

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self._is_read = True
        return self._stream.read(max_bytes, cast("Deadline", timeout).left_s())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._is_read = False
        self._stream.write(buffer, cast("Deadline", timeout).left_s())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        try:
            left_s = cast("Deadline", timeout).left_s()
            return _TimedStream(self._stream.start_tls(ssl_context, server_hostname, left_s))
        except BaseException as error:
            self.close()
            cause = error.args[0] if error.args else None
            if isinstance(cause, ssl.SSLCertVerificationError):
                raise NoConnection(f"its certificate: {cause.verify_message}") from error
            raise

    def get_extra_info(self, info: str) -> Any:
        if info == IS_READ:
            return self._is_read
        return self._stream.get_extra_info(info)
