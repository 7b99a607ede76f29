"""What is odd about rows that are good each by itself: ids that stand twice, lengths far out.

Of each row only 16 bytes are kept, so that millions fit in memory: a hash of its id and where
it stands. Two of a million different ids are taken for equal once in 37 million such sets.
"""

from __future__ import annotations

import hashlib
from array import array
from dataclasses import dataclass
from heapq import heappush, heappushpop

from vlm_datakit.conversation import Conversation, Origin
from vlm_datakit.turns import spoken

_SHOWN = 3  # lengths of each kind
_REPEATS = 5
_HASH_BYTES = 8
_FAR, _LEAST_CHARS = 16, 256  # times the median and no less than this is far longer


@dataclass(frozen=True, slots=True)
class Length:
    """How many characters a row has, or one of its answers, and where it stands."""

    origin: str
    chars: int


@dataclass(frozen=True, slots=True)
class Oddities:
    """What is worth a look; none of it refuses a row.

    ``median_chars`` is that of all text of a row, and ``far_longer`` counts rows of 16 times that
    and more, none below 256 characters; both within an eighth.

    ``repeated_ids`` counts rows with an id that an earlier row has; ``repeats`` are the first
    of them, each with the row before it that has the same. ``longest`` are rows by all their
    text, ``shortest_answers`` answers, each the shortest of its row; the extreme first.
    """

    repeated_ids: int = 0
    repeats: tuple[tuple[str, str], ...] = ()
    longest: tuple[Length, ...] = ()
    shortest_answers: tuple[Length, ...] = ()
    median_chars: int = 0
    far_longer: int = 0


class Sizes:
    """Counts sizes in buckets an eighth of a power of two wide, exact below 16.

    Example:
        >>> sizes = Sizes()
        >>> for size in (100, 100, 5_000):
        ...     sizes.add(size)
        >>> sizes.median(), sizes.count_from(1_600)
        (96, 1)
    """

    def __init__(self) -> None:
        self._counts = [0] * (64 * 8)

    def add(self, size: int) -> None:
        """Count one."""
        shift = max(0, size.bit_length() - 4)
        self._counts[8 * shift + (size >> shift)] += 1

    def median(self) -> int:
        """Return the least size of the bucket that the middle one is in; 0 for none."""
        middle, seen = sum(self._counts) / 2, 0
        for bucket, count in enumerate(self._counts):
            seen += count
            if count and seen >= middle:
                return _least(bucket)
        return 0

    def count_from(self, size: int) -> int:
        """Count what is in buckets of at least this size."""
        return sum(n for bucket, n in enumerate(self._counts) if n and _least(bucket) >= size)


def _least(bucket: int) -> int:
    return bucket if bucket < 16 else (8 + bucket % 8) << (bucket // 8 - 1)


class OddityCounter:
    """Looks at good rows one by one, and says at the end what is odd."""

    def __init__(self) -> None:
        self._hashes, self._offsets = array("Q"), array("q")
        self._sources: list[tuple[int, str, bool]] = []  # first row, name, has lines
        self._longest: list[tuple[int, int, str]] = []
        self._shortest: list[tuple[int, int, str]] = []
        self._sizes = Sizes()
        self._rows = 0

    def add(self, origin: Origin, conversation: Conversation) -> None:
        """Look at one row."""
        self._rows += 1
        messages = conversation.messages + conversation.rejected
        lengths = [len(spoken(message)) for message in messages]
        self._keep(self._longest, sum(lengths), origin)
        self._sizes.add(sum(lengths))
        pairs = zip(messages, lengths, strict=True)
        if answers := [chars for message, chars in pairs if message.role == "assistant"]:
            self._keep(self._shortest, -min(answers), origin)
        if conversation.id is not None:
            self._add_id(origin, conversation.id)

    def _keep(self, heap: list[tuple[int, int, str]], size: int, origin: Origin) -> None:
        if len(heap) < _SHOWN:
            heappush(heap, (size, -self._rows, str(origin)))
        elif size > heap[0][0]:
            heappushpop(heap, (size, -self._rows, str(origin)))

    def _add_id(self, origin: Origin, row_id: str) -> None:
        data = row_id.encode(errors="surrogatepass")
        digest = hashlib.blake2b(data, digest_size=_HASH_BYTES).digest()
        has_line = origin.line is not None
        if not self._sources or self._sources[-1][1:] != (origin.source, has_line):
            self._sources.append((len(self._hashes), origin.source, has_line))
        self._hashes.append(int.from_bytes(digest))
        self._offsets.append(origin.offset if origin.line is None else origin.line)

    def found(self) -> Oddities:
        """Return what was odd about the rows so far."""
        count, repeats = self._repeated()
        median = self._sizes.median()
        return Oddities(
            count,
            tuple((self._place(row), self._place(before)) for row, before in repeats),
            tuple(Length(place, size) for size, _, place in sorted(self._longest, reverse=True)),
            tuple(Length(place, -size) for size, _, place in sorted(self._shortest, reverse=True)),
            median,
            self._sizes.count_from(max(_FAR * median, _LEAST_CHARS)),
        )

    def _repeated(self) -> tuple[int, list[tuple[int, int]]]:
        """Return how many rows have the id of an earlier one, and the first, each with that."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if len(self._hashes) < 2:
            return 0, []
        hashes = pa.Array.from_buffers(
            pa.uint64(), len(self._hashes), [None, pa.py_buffer(self._hashes)]
        )
        order = pc.array_sort_indices(hashes)  # stable: of equal ones, the earlier row first
        ordered = hashes.take(order)
        is_equal = pc.equal(ordered[1:], ordered[:-1])
        rows, before = order[1:].filter(is_equal), order[:-1].filter(is_equal)
        first = pc.array_sort_indices(rows)[:_REPEATS]
        pairs = zip(rows.take(first).to_pylist(), before.take(first).to_pylist(), strict=True)
        return len(rows), list(pairs)

    def _place(self, row: int) -> str:
        source, has_line = next(s[1:] for s in reversed(self._sources) if s[0] <= row)
        number = self._offsets[row]
        return str(Origin(source, number, number if has_line else None))
