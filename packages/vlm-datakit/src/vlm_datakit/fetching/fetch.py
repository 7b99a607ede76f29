"""One picture over HTTP: redirects, retries and the time that all of it may take.

On httpcore2, which knows no environment, cookies, redirects, credentials or decoding and
logs no URL: what is not there need not be switched off. docs/safety.md is the promise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime

import httpcore2

from vlm_datakit.errors import Reason, RowError
from vlm_datakit.fetching.addresses import allowed_hosts
from vlm_datakit.fetching.bodies import Body, Write, failed, header
from vlm_datakit.fetching.connections import (
    IS_READ,
    Deadline,
    JudgingBackend,
    Machine,
    NoConnection,
)
from vlm_datakit.fetching.hosts import Hosts
from vlm_datakit.fetching.targets import Target, parse_target, shown
from vlm_datakit.plan import FetchPolicy

_TRIES = 3
_IDLE_S = 2.0  # how long an idle connection is kept: servers close theirs after 5 s and more
_OK, _REDIRECTS, _ASK_AGAIN = {200, 203}, {301, 302, 303, 307, 308}, {429, 503}
_NO_CONNECTION = (httpcore2.ConnectError, httpcore2.ConnectTimeout)


class Fetcher:
    """Fetches pictures; shared by threads, one for a run."""

    def __init__(self, policy: FetchPolicy, machine: Machine | None = None) -> None:
        self._policy = policy
        self._machine = machine or Machine()
        self._hosts = Hosts(policy.connections_per_host)
        self._pool = httpcore2.ConnectionPool(
            ssl_context=self._machine.ssl_context(),
            max_connections=policy.connections,
            keepalive_expiry=_IDLE_S,
            network_backend=JudgingBackend(
                allowed_hosts(policy), self._machine, policy.timeout_s / _TRIES
            ),
        )

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()

    def fetch(self, url: str, max_bytes: int, write: Write) -> None:
        """Fetch one picture, redirects and retries included.

        Args:
            url: As the row has it.
            max_bytes: Largest picture, unpacked.
            write: Takes the bytes, piece by piece; what it raises comes out.

        Raises:
            RowError: ``image-url-refused`` (no rerun cures it), ``image-fetch-failed`` (a
                rerun may), ``image-too-large``. Its place in the row is for the caller to say.
        """
        deadline = Deadline(self._machine.now, self._policy.timeout_s)
        body = Body(max_bytes, self._policy.max_body_bytes, write)
        passed: list[Target] = []
        try:
            self._follow(url, body, deadline, passed)
        except RowError as error:
            reason, why = error.reason, error.seen
        except httpcore2.TimeoutException:
            reason = Reason.IMAGE_FETCH_FAILED
            why = f"not there within {self._policy.timeout_s:g} s"
        except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            reason, why = Reason.IMAGE_FETCH_FAILED, _words(error)
        else:
            return
        redirected = "redirected, " if passed else ""
        raise RowError(reason, "$", f"{redirected}{why}{shown(url)}") from None

    def _follow(self, url: str, body: Body, deadline: Deadline, passed: list[Target]) -> None:
        here, most = parse_target(url), self._policy.max_redirects
        while (location := self._visit(here, body, deadline)) is not None:
            passed.append(here)
            if len(passed) > most:
                raise failed(f"over {most} times")
            here = parse_target(location, here)

    def _visit(self, target: Target, body: Body, deadline: Deadline) -> str | None:
        """Ask until there is an answer; take the picture, or return where to go instead."""
        with self._counted(target.host) as statuses:
            return self._asked(target, body, deadline, statuses)

    def _asked(
        self, target: Target, body: Body, deadline: Deadline, statuses: list[int]
    ) -> str | None:
        number = 0
        while True:
            number += 1
            with self._place(target.host, deadline):
                try:
                    with self._answer(target, deadline) as response:
                        statuses.append(response.status)
                        if response.status not in _ASK_AGAIN:
                            return _taken(response, body)
                        asked_s = self._retry_after_s(response)
                        why = f"status {response.status}"
                except _NO_CONNECTION as error:
                    asked_s, why = None, _words(error)
                    if number == _TRIES or isinstance(error, NoConnection):
                        raise failed(why) from error
            self._pause(number, asked_s, why, deadline)

    @contextmanager
    def _counted(self, host: str) -> Iterator[list[int]]:
        """Count whether a host answers, all tries together; one that is refused was not asked."""
        statuses: list[int] = []
        is_refused = False
        try:
            yield statuses
        except RowError as error:
            is_refused = error.reason is Reason.IMAGE_URL_REFUSED
            raise
        finally:
            if not is_refused:
                self._hosts.count(host, is_answered=bool(statuses))

    @contextmanager
    def _place(self, host: str, deadline: Deadline) -> Iterator[None]:
        """Hold a place at a host; waiting for our own others costs the picture no time."""
        before = self._machine.now()
        with self._hosts.visit(host):
            deadline.put_off(self._machine.now() - before)
            if self._hosts.is_dead(host):
                raise failed("a host that did not answer five times in a row, asked no more")
            yield

    @contextmanager
    def _answer(self, target: Target, deadline: Deadline) -> Iterator[httpcore2.Response]:
        events: list[str] = []
        extensions = {
            "timeout": {
                "pool": deadline.left_s(),
                **dict.fromkeys(("connect", "read", "write"), deadline),
            },
            "trace": lambda event, _: events.append(event),
        }
        try:
            response = self._pool.handle_request(target.request(extensions))
        except (httpcore2.ReadError, httpcore2.ProtocolError) as error:
            if "connection.connect_tcp.started" in events:
                raise
            raise httpcore2.ConnectError("the kept connection was closed") from error
        try:
            if not response.extensions["network_stream"].get_extra_info(IS_READ):
                raise httpcore2.ConnectError("more answers than questions")
            yield response
        finally:
            response.close()

    def _retry_after_s(self, response: httpcore2.Response) -> float | None:
        """Return how long the server asks to wait: seconds or a date (RFC 9110, 10.2.3)."""
        text = header(response, b"retry-after")
        if re.fullmatch(r"[0-9]+", text):
            return float(text[:9])
        try:
            return max(0.0, parsedate_to_datetime(text).timestamp() - self._machine.unix_time())
        except (ValueError, OverflowError, OSError):
            return None

    def _pause(self, number: int, asked_s: float | None, why: str, deadline: Deadline) -> None:
        if number == _TRIES:
            raise failed(f"{why}, {_TRIES} times")
        pause_s = float(number) if asked_s is None else asked_s
        if pause_s >= deadline.left_s():
            raise failed(f"{why}, and to wait {pause_s:.0f} s is beyond the time of a picture")
        self._machine.sleep(pause_s)


def _words(error: Exception) -> str:
    """Say what happened to a connection in the system's words; a server's may hold anything."""
    if isinstance(error, httpcore2.ProtocolError):
        return "cut short, or no valid HTTP"
    cause = error.args[0] if error.args else ""
    if isinstance(cause, OSError) and cause.strerror:
        cause = cause.strerror
    kind = "no connection" if isinstance(error, _NO_CONNECTION) else "connection lost"
    return f"{kind} ({cause})"[:100]


def _taken(response: httpcore2.Response, body: Body) -> str | None:
    """Take a picture, or return where a redirect leads."""
    if response.status in _REDIRECTS:
        location = [value for key, value in response.headers if key.lower() == b"location"]
        try:
            return location[0].decode()
        except (IndexError, UnicodeDecodeError):
            raise failed(f"status {response.status} that leads nowhere") from None
    if response.status not in _OK:
        raise failed(f"status {response.status}")
    body.receive(response)
    return None
