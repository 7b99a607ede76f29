"""Rows held out by what stands in them: equal pictures are never on both sides.

Rows that share a picture belong together, over any number of steps; such a group is held out as a
whole or not at all. A row without pictures is known by its texts. What is chosen depends on the
contents alone: it is the same in any order, and a row that comes later moves only rows that it
shares a picture with.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence

from vlm_trainer.conversation import Conversation

DIGEST_BYTES = 16


def contents_of(conversation: Conversation) -> tuple[bytes, ...]:
    """Return what a row is known by: digests of its pictures, or of its messages.

    Args:
        conversation: With its pictures, not only the header.
    """
    if conversation.images:
        return tuple([_digest(image) for image in conversation.images])
    texts = json.dumps(conversation.messages, sort_keys=True, ensure_ascii=False)
    return (_digest(texts.encode("utf-8", "surrogatepass")),)


def choose(rows: Iterable[Sequence[bytes]], share: float) -> list[bool]:
    """Choose rows to hold out, about a share of the groups that hang together.

    Args:
        rows: The digests of each row, at least one.
        share: 0 to 1.

    Returns:
        For each row, whether it is held out.

    Example:
        >>> a, b, c = (bytes([value]) * 16 for value in (0, 128, 255))
        >>> choose([[a, b], [b], [c]], 0.5)
        [True, True, False]
    """
    known: dict[bytes, int] = {}
    groups: list[int] = []  # union-find over digests
    least: list[bytes] = []  # of each group, at its root
    of_rows = []
    for digests in rows:
        numbers = []
        for digest in digests:
            number = known.setdefault(digest, len(groups))
            if number == len(groups):
                groups.append(number)
                least.append(digest)
            numbers.append(number)
        root = _root(groups, numbers[0])
        for number in numbers[1:]:
            other = _root(groups, number)
            groups[other] = root
            least[root] = min(least[root], least[other])
        of_rows.append(root)
    limit = int(share * 2 ** (8 * DIGEST_BYTES))
    return [int.from_bytes(least[_root(groups, row)]) < limit for row in of_rows]


def _root(groups: list[int], number: int) -> int:
    while groups[number] != number:
        groups[number] = groups[groups[number]]
        number = groups[number]
    return number


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()
