"""The order of training rows: a shuffle without a buffer that can be entered anywhere.

A Feistel network over the index, walked until it falls inside the length. Row n of any
epoch is computed in constant time and memory, so a resumed run continues exactly.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

ROUNDS = 6


def permutation(epoch: int, seed: int | str, length: int) -> np.ndarray[Any, Any]:
    """Return the whole order of an epoch.

    Args:
        epoch: From 0.
        seed: Any integer, or a text.
        length: Number of rows.

    Returns:
        int64 of shape (length,), every index once; the same on every machine.

    Example:
        >>> sorted(permutation(0, 42, 5).tolist())
        [0, 1, 2, 3, 4]
    """
    return permuted(slice(0, length), length, epoch, seed)


def permuted(places: slice, length: int, epoch: int, seed: int | str) -> np.ndarray[Any, Any]:
    """Return a stretch of an epoch's order, without computing what lies before it.

    Args:
        places: Start and stop within the epoch.
        length: Number of rows of the whole epoch.
        epoch: From 0.
        seed: Any integer.

    Source:
        Black and Rogaway, "Ciphers with arbitrary finite domains" (2002): cycle walking.
    """
    import numpy as np

    half_bits = max(1, ((length - 1).bit_length() + 1) // 2)
    keys = _round_keys(epoch, seed)
    walked = np.arange(*places.indices(length), dtype=np.uint64)
    outside = np.ones(len(walked), dtype=bool)
    while outside.any():  # the domain is under four times the length: a few rounds
        walked[outside] = _mixed(walked[outside], half_bits, keys)
        outside = walked >= length
    return walked.astype(np.int64)


def epoch_order(
    epoch: int, seed: int | str, kept: Collection[int] | np.ndarray[Any, Any], total_rows: int
) -> np.ndarray[Any, Any]:
    """Return the order of an epoch over the rows that are kept.

    The order is made over all rows and those left out are skipped, so leaving out one
    more row does not move the others: a run stopped by a bad picture goes on with the
    rows it has not seen.

    Args:
        epoch: From 0.
        seed: Any integer, or a text.
        kept: Row numbers in rising order.
        total_rows: Rows in the shards, kept or not.

    Returns:
        int64, positions *within kept*.
    """
    rows = permutation(epoch, seed, total_rows)
    return rows if len(kept) == total_rows else kept_order(rows, kept)


def kept_order(
    rows: np.ndarray[Any, Any], kept: Collection[int] | np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """Return an order without the rows that are not kept, as positions within kept, int64."""
    import numpy as np

    kept_rows = np.asarray(kept, dtype=np.int64)
    return np.searchsorted(kept_rows, rows[np.isin(rows, kept_rows)])


def _round_keys(epoch: int, seed: int | str) -> list[int]:
    digest = hashlib.blake2b(f"{seed}/{epoch}".encode(), digest_size=8 * ROUNDS).digest()
    return [int.from_bytes(digest[at : at + 8], "little") for at in range(0, 8 * ROUNDS, 8)]


def _mixed(values: np.ndarray[Any, Any], half_bits: int, keys: list[int]) -> np.ndarray[Any, Any]:
    import numpy as np

    mask, shift = np.uint64((1 << half_bits) - 1), np.uint64(half_bits)
    left, right = values >> shift, values & mask
    for key in keys:
        # splitmix64's finaliser (Steele, Lea, Flood 2014) as the round function
        mixed = (right + np.uint64(key)) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        left, right = right, left ^ ((mixed ^ (mixed >> np.uint64(31))) & mask)
    return (left << shift) | right
