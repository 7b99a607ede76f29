"""Pictures fetched ahead of the row that needs them, by a few threads, to the disk.

The threads are daemons and nobody waits for them long: Ctrl-C ends a run at once, even
while a server drips. What they fetch goes to the cache, so that memory stays bounded.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from vlm_datakit.conversation import Draft, ImageForm
from vlm_datakit.errors import Reason, RowError
from vlm_datakit.plan import FetchPolicy

if TYPE_CHECKING:
    from vlm_datakit.fetching.bodies import Write

_FAILURES = 4_096  # remembered, so that rows with the same URL fail alike and at once
_READS = 2
_FAREWELL_S = 0.5


class Fetches(Protocol):
    """Who fetches a picture: `vlm_datakit.fetching.fetch.Fetcher`, or one for the Hub."""

    def fetch(self, url: str, max_bytes: int, write: Write, /) -> None:
        """Fetch one picture."""

    def close(self) -> None:
        """Close all connections."""


class Keeps(Protocol):
    """Where pictures are kept, such as `vlm_datakit.fetching.cache.FetchCache`."""

    def has(self, url: str, /) -> bool:
        """Whether a picture seems to be there."""

    def read(self, url: str, max_bytes: int, /) -> bytes | None:
        """Return a picture, if it is there and whole."""

    def forget(self, url: str, /) -> None:
        """Let a picture be fetched anew."""

    def adding(self, url: str, /) -> AbstractContextManager[Write]:
        """Return what takes the bytes of a picture."""


class Prefetcher:
    """Reads pictures by URL, or by another key; `ahead` and `want` say which will be needed.

    Used by one thread, and closed by it.

    Args:
        policy: How many threads, and how long a picture may take.
        fetcher: Who fetches; closed with this.
        cache: Where pictures are kept.
        max_bytes: The largest picture.
    """

    def __init__(self, policy: FetchPolicy, fetcher: Fetches, cache: Keeps, max_bytes: int) -> None:
        self._policy, self._fetcher, self._cache = policy, fetcher, cache
        self._max_bytes = max_bytes
        self._queue: deque[str] = deque()
        self._wanted: set[str] = set()  # queued, or being fetched
        self._failures: dict[str, Exception] = {}
        self._threads: list[threading.Thread] = []
        self._working = 0
        self._is_closed = False
        self._changed = threading.Condition()

    def ahead(self, draft: Draft) -> int:
        """Begin to fetch the pictures that a draft names by URL; return how many there are."""
        urls = [image.value for image in draft.images if image.form is ImageForm.URL]
        for url in urls:
            self.want(url)
        return len(urls)

    def read(self, url: str, max_bytes: int, where: str) -> bytes:
        """Return the bytes of a picture; waits for them if need be.

        Raises:
            RowError: as `Fetcher.fetch`, and ``image-fetch-failed`` if a thread is lost.
            OSError: if the cache cannot be written.
        """
        for _ in range(_READS):
            self.want(url)
            self._wait_for(url, where)
            if (data := self._cache.read(url, max_bytes)) is not None:
                return data
            self._cache.forget(url)  # broken, or of a run with a larger limit
        raise RowError(Reason.IMAGE_FETCH_FAILED, where, "fetched, and gone from the cache")

    def close(self) -> None:
        """Stop the threads; those that wait for a server end by themselves, in silence."""
        with self._changed:
            self._is_closed = True
            self._queue.clear()
            self._changed.notify_all()
        end = time.monotonic() + _FAREWELL_S
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        if not self._threads:
            self._fetcher.close()

    def want(self, url: str) -> None:
        """Begin to fetch a picture, unless it is there, or has failed before."""
        with self._changed:
            if url in self._wanted or url in self._failures or self._cache.has(url):
                return
            self._wanted.add(url)
            self._queue.append(url)
            self._changed.notify_all()
            if len(self._wanted) > len(self._threads) < self._policy.connections:
                self._threads.append(threading.Thread(target=self._work, daemon=True))
                self._working += 1
                self._threads[-1].start()

    def _wait_for(self, url: str, where: str) -> None:
        with self._changed:
            while url in self._wanted:
                if not self._changed.wait(2 * self._policy.timeout_s):  # not one came or failed
                    raise RowError(Reason.IMAGE_FETCH_FAILED, where, "no thread answers")
            error = self._failures.get(url)
        if isinstance(error, RowError):
            raise RowError(error.reason, where, error.seen)
        if error is not None:
            raise error

    def _work(self) -> None:
        """Fetch what is queued, until closed; the last thread to leave closes the connections."""
        while (url := self._next()) is not None:
            error = self._fetched(url)
            with self._changed:
                self._wanted.discard(url)
                if error is not None:
                    self._failures[url] = error
                    if len(self._failures) > _FAILURES:
                        del self._failures[next(iter(self._failures))]
                self._changed.notify_all()
        with self._changed:
            self._working -= 1
            is_last = not self._working
        if is_last:
            self._fetcher.close()

    def _next(self) -> str | None:
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._is_closed)
            return self._queue.popleft() if self._queue else None

    def _fetched(self, url: str) -> Exception | None:
        try:
            with self._cache.adding(url) as write:
                self._fetcher.fetch(url, self._max_bytes, self._unless_closed(write))
        except Exception as error:  # raised where the picture is waited for
            return error
        return None

    def _unless_closed(self, write: Callable[[bytes], object]) -> Callable[[bytes], object]:
        def checked(piece: bytes) -> None:
            if self._is_closed:
                raise RuntimeError("closed while it was fetched")
            write(piece)

        return checked
