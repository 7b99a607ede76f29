"""A file of the Hub fetched as ranges, several at once; after a kill, those that are missing.

The Hub is asked once where a large file lies; its parts are asked for there, without the token.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from queue import SimpleQueue
from typing import Any

from vlm_datakit.hub.lanes import LANES, lanes, turns
from vlm_datakit.hub.names import Pinned
from vlm_datakit.hub.partial import Partial
from vlm_datakit.hub.trouble import endpoint, is_of_the_line, token, tried

_OK, _PARTIAL, _RATE_LIMITED = 200, 206, 429
_SERVER_FAULT, _CLIENT_FAULT = 500, 400
#: At once.
ASKED_BYTES = 8 * 1024 * 1024
_Run = tuple[int, int]
_RANGE = re.compile(r"bytes (\d+)-")
#: Of such a file the last parts are fetched first: they say where everything is.
_READ_FROM_ITS_END, _LAST_PARTS = ".parquet", 2


class NoRangesError(Exception):
    """What holds the file gives no ranges of it, or packs them."""


class _StoppedError(Exception):
    """The other parts are not wanted any more."""


def fetch(file: Pinned, partial: Partial, told: Callable[[int], object]) -> str:
    """Fetch the parts of a file that are missing, and return the sha256 of the whole.

    Args:
        file: What to fetch.
        partial: Where to put it.
        told: Hears how many bytes are here, from this thread; what it raises ends the download.

    Raises:
        NoRangesError: if it cannot be had in parts.
        Exception: whatever huggingface_hub or the disk raises; whole parts are kept.
    """
    missing = partial.begin()
    done = partial.size - sum(end - start for start, end in map(partial.span, missing))
    told(done)
    fetching = _Fetching(file, partial, missing)
    sums = _Sums(partial, missing)
    with fetching.going():
        while not sums.are_whole:
            heard = fetching.heard.get()
            if isinstance(heard, Exception):
                raise heard
            if isinstance(heard, _Whole):
                sums.add(heard)
            else:
                done += heard
                told(done)
    return sums.sha256


class _Whole(int):
    """The number of a part that is here."""


class _Sums:
    """The sha256 of a file whose parts come in any order; each is read when those before are in."""

    def __init__(self, partial: Partial, missing: list[int]) -> None:
        self._partial, self._missing = partial, set(missing)
        self._next, self._sum = 0, hashlib.sha256()

    @property
    def are_whole(self) -> bool:
        """Whether all parts are in; adds those that are here."""
        while self._next < self._partial.count and self._next not in self._missing:
            for data in self._partial.read(self._next):
                self._sum.update(data)
            self._next += 1
        return self._next == self._partial.count

    @property
    def sha256(self) -> str:
        return self._sum.hexdigest()

    def add(self, part: int) -> None:
        self._missing.discard(part)


class _Fetching:
    """Threads that fetch the parts of a file; `heard` gives bytes, whole parts and errors."""

    def __init__(self, file: Pinned, partial: Partial, missing: list[int]) -> None:
        self._file, self._partial = file, partial
        runs = [*_runs(partial, missing)]
        is_from_end = file.path.lower().endswith(_READ_FROM_ITS_END)
        self._todo = deque(_last_first(runs, partial) if is_from_end else runs)
        self._turn = next(turns)
        self._place: str | None = None
        self._asking, self._stop = threading.Lock(), threading.Event()
        self.heard: SimpleQueue[int | _Whole | Exception] = SimpleQueue()

    @contextmanager
    def going(self) -> Iterator[None]:
        """Fetch while the block runs; when it ends, no thread begins another part."""
        for _ in range(min(LANES, len(self._todo))):
            # Nobody waits for them at the end: one that is stalled holds up nobody.
            threading.Thread(target=self._work, daemon=True).start()
        try:
            yield
        finally:
            self._stop.set()

    def _work(self) -> None:
        try:
            with self._partial.path.open("r+b", buffering=0) as stream:
                for run in iter(self._next, None):
                    self._fetch(stream.fileno(), *run)
        except Exception as error:
            self.heard.put(error)

    def _next(self) -> _Run | None:
        with suppress(IndexError):
            return None if self._stop.is_set() else self._todo.popleft()
        return None

    def _fetch(self, descriptor: int, at: int, end: int) -> None:
        while at < end:
            with lanes.taken(self._turn):
                at = tried(partial(self._some, descriptor, at, end))

    def _some(self, descriptor: int, start: int, end: int) -> int:
        """Write what one answer brings from a byte on; return where it ended.

        An answer that is cut short has brought something; one that brings nothing is a fault.
        """
        at = start
        try:
            for data in self._answer(start, end):
                if self._stop.is_set():
                    raise _StoppedError
                reached = _write(descriptor, data[: end - at], at)
                self.heard.put(reached - at)
                for part in self._partial.whole(at, reached):
                    self._partial.note(part, descriptor)
                    self.heard.put(_Whole(part))
                at = reached
        except Exception as error:
            if at == start or not is_of_the_line(error):
                raise
        if at == start:
            raise ConnectionError("an answer without its bytes")
        return at

    def _answer(self, start: int, end: int) -> Iterator[bytes]:
        with ExitStack() as stack:
            yield from self._found(stack, start, end).iter_raw()

    def _found(self, stack: ExitStack, start: int, end: int) -> Any:
        """Return the answer to a range: one thread asks the Hub, the others go where it was led.

        An address of a store runs out after a while; then the Hub is asked again.
        """
        with self._asking:
            place = self._place
            if place is None:
                answer = stack.enter_context(self._asked(None, start, end))
                self._check(answer, start, end)
                self._place = str(answer.url) if _is_elsewhere(answer) else None
                return answer
        answer = stack.enter_context(self._asked(place, start, end))
        if _has_moved(answer.status_code):
            with self._asking:
                self._place = None if self._place == place else self._place
            return self._found(stack, start, end)
        self._check(answer, start, end)
        return answer

    @contextmanager
    def _asked(self, place: str | None, start: int, end: int) -> Iterator[Any]:
        import huggingface_hub

        utils: Any = huggingface_hub.utils  # its stubs name no function as public
        name, commit = (self._file.repo, self._file.path), self._file.commit
        url = place or huggingface_hub.hf_hub_url(*name, repo_type="dataset", revision=commit)
        headers = utils.build_hf_headers(token=(place is None and token()) or False)
        headers["Accept-Encoding"] = "identity"
        if (start, end) != (0, self._partial.size):
            headers["Range"] = f"bytes={start}-{end - 1}"
        once = {"retry_on_exceptions": (), "retry_on_status_codes": ()}
        timeout = huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT
        # Redirects are followed by httpx2, which takes the token out where the host is another.
        with utils.http_stream_backoff(
            "GET", url, headers=headers, follow_redirects=True, timeout=timeout, **once
        ) as answer:
            yield answer

    def _check(self, answer: Any, start: int, end: int) -> None:
        import huggingface_hub

        utils: Any = huggingface_hub.utils
        utils.hf_raise_for_status(answer)
        _check_range(answer, start, is_all=(start, end) == (0, self._partial.size))


def _runs(partial: Partial, missing: Iterable[int]) -> Iterator[_Run]:
    """Yield where to begin and end asking: parts that lie side by side are asked for together."""
    start = end = 0
    for first, last in map(partial.span, missing):
        if first != end or last - start > ASKED_BYTES:
            if end > start:
                yield start, end
            start = first
        end = last
    if end > start:
        yield start, end


def _last_first(runs: Sequence[_Run], partial: Partial) -> list[_Run]:
    """Put the last parts of a file in front, if they are missing."""
    if not runs or runs[-1][1] < partial.size:
        return [*runs]
    *others, (start, end) = runs
    at = max(start, partial.span(max(0, partial.count - _LAST_PARTS))[0])
    return [(at, end), *others, *([(start, at)] if start < at else [])]


def _write(descriptor: int, data: bytes, at: int) -> int:
    """Write bytes at a place; return where they end."""
    left = memoryview(data)
    while left:
        written = os.pwrite(descriptor, left, at)
        left, at = left[written:], at + written
    return at


def _has_moved(status: int) -> bool:
    """Whether a store says that its address has run out."""
    return _CLIENT_FAULT <= status < _SERVER_FAULT and status != _RATE_LIMITED


def _check_range(answer: Any, start: int, *, is_all: bool) -> None:
    found = _RANGE.match(answer.headers.get("Content-Range", ""))
    is_range = answer.status_code == _PARTIAL and found is not None and int(found[1]) == start
    is_packed = answer.headers.get("Content-Encoding", "identity") != "identity"
    if is_packed or not (is_range or (is_all and answer.status_code == _OK)):
        raise NoRangesError


def _is_elsewhere(answer: Any) -> bool:
    """Whether an answer came from another host than the Hub."""
    import httpx2

    hub, url = httpx2.URL(endpoint()), answer.url
    return (hub.scheme, hub.host, hub.port) != (url.scheme, url.host, url.port)
