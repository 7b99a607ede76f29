"""What is known of the hosts of a run: how many visits each has now, and which are dead."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

_UNANSWERED = 5  # visits in a row: then 100,000 rows of a dead host end


class Hosts:
    """Shared by all threads that fetch."""

    def __init__(self, most_visits: int) -> None:
        self._most = most_visits
        self._visits: Counter[str] = Counter()
        self._unanswered: Counter[str] = Counter()
        self._changed = threading.Condition()

    @contextmanager
    def visit(self, host: str) -> Iterator[None]:
        """Hold one of the places at a host; wait for it as long as others hold them all."""
        with self._changed:
            self._changed.wait_for(lambda: self._visits[host] < self._most)
            self._visits[host] += 1
        try:
            yield
        finally:
            with self._changed:
                self._visits[host] -= 1
                self._visits += Counter()  # forgets the hosts that nobody visits
                self._changed.notify_all()

    def count(self, host: str, *, is_answered: bool) -> None:
        """Remember whether a host answered: with a status, whatever it was."""
        with self._changed:
            if is_answered:
                self._unanswered.pop(host, None)
            else:
                self._unanswered[host] += 1

    def is_dead(self, host: str) -> bool:
        """Whether a host did not answer five times in a row."""
        with self._changed:
            return self._unanswered.get(host, 0) >= _UNANSWERED
