"""Commits what others have done: all slices of a stored plan, wherever they were made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vlm_datakit.errors import OutputError, SourceError
from vlm_datakit.events import Summary
from vlm_datakit.plan import RejectsAllowed, plan_differences, plan_facts
from vlm_datakit.runner.commit import Place, commit, is_being_committed, prepare
from vlm_datakit.runner.job import REJECTS
from vlm_datakit.runner.outcome import check_consent, finished_before, summary_of
from vlm_datakit.runner.output import State, changed_files, locked, state_of
from vlm_datakit.runner.plans import StoredPlan, read_plan
from vlm_datakit.runner.receipts import proven
from vlm_datakit.runner.work import check_unchanged
from vlm_datakit.shards.manifest import Receipt, read_manifest
from vlm_datakit.sources.opening import is_in_sight

_SHOWN = 8
_AGAIN = "run the import again without --slices: it does only what is missing, and commits"


def finish(out: Path, allowed: RejectsAllowed) -> Summary:
    """Commit the one plan of a folder whose slices are all done.

    Sources are compared with the plan where they stand at their path; they may be out of
    sight here, and every slice was compared when it was made.

    Raises:
        SourceError: if no import was begun here, it has no rows, or a source has changed.
        OutputError: if slices are missing, several plans might be meant, or others work here.
        TooManyRejects: beyond the consent.
    """
    if _is_finished(out):
        return finished_before(out)
    with locked(out):
        if _is_finished(out):
            return finished_before(out)
        stored = _chosen(out)
        place = Place(out, stored.plan_id)
        prepare(place)
        progress = _looked_at(place, stored)
        if progress.missing:
            raise OutputError(f"{out}: {progress}; {_AGAIN}")
        summary = summary_of(out, progress.receipts, len(progress.receipts))
        if not summary.rows:
            raise SourceError(f"{stored.plan.files[0].name}: no rows; nothing was written")
        check_consent(place.work / REJECTS, stored.plan.files, summary, allowed)
        for file in stored.plan.files:
            if is_in_sight(file):
                check_unchanged(file)
        commit(place, stored.plan, progress.receipts)
    return summary


def _is_finished(out: Path) -> bool:
    state = state_of(out)
    if state is State.NEW:
        raise SourceError(f"{out}: no import was begun here")
    if state is State.FINISHED and (changed := changed_files(out, read_manifest(out))):
        raise OutputError(
            f"{out}: finished before, but {changed[0]} is not as written; "
            "import with --overwrite makes the set again"
        )
    return state is State.FINISHED


@dataclass(frozen=True, slots=True)
class _Done:
    """What of a stored plan is done."""

    receipts: Sequence[Receipt]
    missing: Sequence[int]

    def __str__(self) -> str:
        total = len(self.receipts) + len(self.missing)
        shown = ", ".join(map(str, self.missing[:_SHOWN]))
        more = ", ..." if len(self.missing) > _SHOWN else ""
        return f"{len(self.missing)} of {total} slices are not done ({shown}{more})"


def _looked_at(place: Place, stored: StoredPlan) -> _Done:
    found = {number: proven(place.work, stored.plan_id, number) for number in range(stored.slices)}
    receipts = [receipt for receipt in found.values() if receipt is not None]
    return _Done(receipts, [number for number, receipt in found.items() if receipt is None])


def _chosen(out: Path) -> StoredPlan:
    """Return the plan to commit: the only one, the one cut short, or the only whole one."""
    work = Place(out, "").work
    read = [read_plan(folder) for folder in sorted(work.glob("*")) if folder.is_dir()]
    stored = [plan for plan in read if plan is not None]
    if not stored:
        raise SourceError(f"{out}: no import that could be finished; {_AGAIN}")
    if len(stored) == 1:
        return stored[0]
    for plan in stored:
        if is_being_committed(Place(out, plan.plan_id)):
            return plan
    states = [(plan, _looked_at(Place(out, plan.plan_id), plan)) for plan in stored]
    whole = [plan for plan, done in states if not done.missing]
    if len(whole) == 1:
        return whole[0]
    raise OutputError(f"{out}: {len(stored)} plans were begun here ({_told(states)}); {_AGAIN}")


def _told(states: Sequence[tuple[StoredPlan, _Done]]) -> str:
    """Name plans by how far they are, and by what sets each apart from the first."""
    first = plan_facts(states[0][0].plan)
    texts = []
    for stored, done in states:
        differs = "; ".join(plan_differences(first, plan_facts(stored.plan)))
        how_far = f"{done}" if done.missing else "all slices done"
        texts.append(f"{stored.plan_id[:8]}: {how_far}" + (f", {differs}" if differs else ""))
    return " | ".join(texts)
