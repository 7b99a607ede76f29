"""From a work folder full of receipts to a finished data set, in renames.

Order: the old set aside, the card, the ledger, the data as one rename, the manifest last.
The card comes before the data so that at no instant a loader finds rows that it would
take for something else; a commit cut short is rolled back and done again.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlm_datakit.errors import OutputError
from vlm_datakit.plan import Plan
from vlm_datakit.runner.job import DATA, RECEIPTS, REJECTS, SPOOL, write_settled
from vlm_datakit.runner.output import CARD, PRIVATE, listed_files
from vlm_datakit.runner.stages import FETCHED
from vlm_datakit.shards.card import card
from vlm_datakit.shards.manifest import FILE_NAME, Receipt, manifest_of, to_json
from vlm_datakit.shards.writer import sync_folder

_REPLACED = "replaced"


@dataclass(frozen=True, slots=True)
class Place:
    """The output folder and the work folder of one plan inside it."""

    out: Path
    plan_id: str

    @property
    def private(self) -> Path:
        """Everything that is not the data set."""
        return self.out / PRIVATE

    @property
    def work(self) -> Path:
        """Where this plan's slices are made."""
        return self.private / "work" / self.plan_id


def prepare(place: Place) -> None:
    """Make the work folder, and take back what a commit cut short had moved.

    What killed writers left half-made is deleted: the caller holds the lock alone.

    Raises:
        OutputError: if a commit of another plan was cut short here.
    """
    for name in (DATA, REJECTS):
        standing, mine = place.out / name, place.work / name
        if (place.out / FILE_NAME).exists() or not standing.exists() or _is_of_old(place, name):
            continue
        if mine.exists() or not (place.work / RECEIPTS).exists():
            raise OutputError(
                f"{standing}: not of this import; one with other options may have been stopped "
                "while it finished: run that command again, or delete the folder"
            )
        standing.rename(mine)
    _make_folders(place)
    shutil.rmtree(place.work / SPOOL, ignore_errors=True)
    for leftover in (*place.work.glob(".*"), *place.work.glob("*/.*")):
        leftover.unlink(missing_ok=True)


def prepare_part(place: Place) -> None:
    """Make the work folder, beside others who may be making and using it.

    Raises:
        OutputError: if a commit was cut short here: nobody can take it back unlocked.
    """
    standing = [name for name in (DATA, REJECTS) if (place.out / name).exists()]
    if standing and not (place.out / FILE_NAME).exists():
        raise OutputError(
            f"{place.out / standing[0]}: a commit was cut short here; run it again before "
            "other slices are done"
        )
    _make_folders(place)


def _make_folders(place: Place) -> None:
    for name in (DATA, REJECTS, RECEIPTS):
        (place.work / name).mkdir(parents=True, exist_ok=True)


def is_being_committed(place: Place) -> bool:
    """Whether a commit of this plan was cut short after it had moved a folder."""
    return not all((place.work / name).exists() for name in (DATA, REJECTS))


def _is_of_old(place: Place, name: str) -> bool:
    """Whether a folder that stands is still the old set's: its manifest went aside first."""
    aside = place.private / _REPLACED
    has_mine = (place.work / name).exists()
    return has_mine and (aside / FILE_NAME).exists() and not (aside / name).exists()


def commit(place: Place, plan: Plan, receipts: Iterable[Receipt]) -> None:
    """Make the data set of all receipts; the manifest appears last."""
    manifest = manifest_of(plan, place.plan_id, receipts)
    _drop_unlisted(place, manifest)
    _set_aside_old(place)
    write_settled(place.out / CARD, card(manifest, place.out.resolve().name).encode())
    for name in (REJECTS, DATA):
        (place.work / name).rename(place.out / name)
    for name in (REJECTS, DATA):
        if not any((place.out / name).iterdir()):
            (place.out / name).rmdir()
    sync_folder(place.out)
    write_settled(place.out / FILE_NAME, to_json(manifest))
    for name in ("work", FETCHED, _REPLACED):
        shutil.rmtree(place.private / name, ignore_errors=True)


def _drop_unlisted(place: Place, manifest: Mapping[str, Any]) -> None:
    """Delete what earlier tries at a slice left and no receipt proves."""
    listed = {place.work / file["file"] for file in listed_files(manifest)}
    for name in (REJECTS, DATA):
        for path in (place.work / name).iterdir():
            if path not in listed:
                path.unlink(missing_ok=True)


def _set_aside_old(place: Place) -> None:
    """Move a finished set out of the way; its files are deleted when the new one stands."""
    aside = place.private / _REPLACED
    if (place.out / FILE_NAME).exists():
        shutil.rmtree(aside, ignore_errors=True)  # of a run killed while it cleaned up
    aside.mkdir(exist_ok=True)
    if (place.out / FILE_NAME).exists():
        (place.out / FILE_NAME).rename(aside / FILE_NAME)
    if (aside / FILE_NAME).exists():
        for name in (DATA, REJECTS):
            if (place.out / name).exists() and not (aside / name).exists():
                (place.out / name).rename(aside / name)
