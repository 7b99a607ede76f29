"""The folders of a run: one, or a mix of several, found and counted alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from vlm_trainer.addresses import is_address, place_of
from vlm_trainer.config import DataOptions
from vlm_trainer.data import ShardSet, Split, find_split
from vlm_trainer.errors import RowsRefused, UsageError
from vlm_trainer.lengths import Lengths, Measure, joined, measure
from vlm_trainer.mixing import parse_mix
from vlm_trainer.plan import check_trainable
from vlm_trainer.windows import MIB, Windows, check_fits, windows_of


def find_splits(data: DataOptions, method: str) -> list[Split]:
    """Find the split to train on in every folder, that of ``--data`` first.

    Raises:
        SourceError: As `find_split`, for any of them.
        UsageError: A folder that is named twice, or an address with what needs all rows at once.
    """
    folders = _weighted_folders(data)
    places = [place_of(folder) for folder, _ in folders]
    if any(is_address(folder) for folder, _ in folders):
        _check_streamed(data)
    known = [place.resolve() if isinstance(place, Path) else place for place in places]
    for number, path in enumerate(known):
        if path in known[:number]:
            raise UsageError(f"{folders[number][0]}: named twice; --mix FOLDER=2 shows it twice")
    return [find_split(place, data.train_split, method) for place in places]


def count_rows(
    splits: Sequence[Split],
    how: Measure,
    data: DataOptions,
    wanted: Callable[[int], bool] | None = None,
) -> Lengths:
    """Count the rows of all folders, as `vlm_trainer.lengths.measure` does those of one.

    Args:
        splits: Of ``--data`` first.
        how: Words, pixels and limit.
        data: Folders, weights, ids to leave out.
        wanted: Says of a row, by its number over all folders, whether to count it; None for all.
    """
    counts, first = [], 0
    for split in splits:
        here = wanted and partial(_wanted_of, wanted, first)
        found = measure(ShardSet(split).headers(), how, data.exclude_ids, here, data.limit)
        first += split.rows
        windows = _windows(split, data, found.total_rows)
        total_rows = split.rows if data.limit else found.total_rows
        counts.append(replace(found, total_rows=total_rows, windows=windows))
    return joined(counts, _weighted_folders(data), data.limit) if data.mix else counts[0]


def check_rows(lengths: Lengths, data: DataOptions) -> None:
    """Refuse to train on rows as `check_trainable` does, or on a mix with an empty folder.

    Raises:
        RowsRefused: Rows that cannot be trained, or a folder without one that can.
    """
    where = " and ".join([data.data, *(part.folder for part in lengths.parts[1:])])
    check_trainable(lengths, data.on_refused, where, on_too_long=data.on_too_long)
    for part in lengths.parts:
        if not len(part.kept):
            raise RowsRefused(f"{part.folder}: no row to train on")


def _wanted_of(wanted: Callable[[int], bool], first: int, row: int) -> bool:
    return wanted(first + row)


def _weighted_folders(data: DataOptions) -> list[tuple[str, float]]:
    return [(data.data, 1.0), *map(parse_mix, data.mix)]


def _windows(split: Split, data: DataOptions, rows: int) -> Windows | None:
    """Return the windows of a folder that is streamed: half of the cache, less what others have.

    The other half is for the windows that come next.
    """
    if not split.blocks:
        return None
    streamed = sum(is_address(folder) for folder, _ in _weighted_folders(data))
    most_bytes = max(1, data.stream_cache_mib * MIB // (2 * streamed))
    windows = windows_of(list(split.blocks.values()), most_bytes, rows)
    check_fits(windows, str(split.folder), data.stream_cache_mib)
    return windows


def _check_streamed(data: DataOptions) -> None:
    if data.eval_share is not None:
        raise UsageError(
            "eval_share and an address: to choose by contents every picture would be read, and "
            "to measure nearly every row group; give --eval-split"
        )
    if data.packing:
        raise UsageError("packing and an address: packed rows are held in memory; copy the folder")
