"""Which slices are done: a receipt whose files stand is the only proof.

One of a file that was still coming is none until that was held to its digest.
"""

from __future__ import annotations

from pathlib import Path

from vlm_datakit.errors import OUTSIDE_REASONS
from vlm_datakit.hub.arriving import is_held
from vlm_datakit.plan import Slice
from vlm_datakit.runner.job import RECEIPTS, Job, receipt_path
from vlm_datakit.runner.provisional import is_lost
from vlm_datakit.shards.manifest import Receipt, has_its_files, parse_receipt


def proven(folder: Path, plan_id: str, number: int) -> Receipt | None:
    """Return the receipt of a slice if it proves the slice done.

    Args:
        folder: The work folder.
        plan_id: Of the plan the slice belongs to.
        number: Of the slice.
    """
    receipt = _standing(folder, plan_id, number)
    return None if receipt and receipt.arrived and not is_held(receipt.arrived) else receipt


def _standing(folder: Path, plan_id: str, number: int) -> Receipt | None:
    try:
        receipt = parse_receipt(receipt_path(folder, number).read_bytes())
    except FileNotFoundError:
        return None
    is_of_plan = receipt is not None and (receipt.plan_id, receipt.slice) == (plan_id, number)
    return receipt if receipt and is_of_plan and has_its_files(receipt, folder) else None


def resumable(job: Job, slice_: Slice) -> Receipt | None:
    """Return the receipt of a slice that need not be done again.

    What came from standard input cannot be compared, and a missing or unfetched picture may
    be there now. Of a file that still comes, it is one of the parts that are here. A look may have
    shown another end of a line when the slice was cut before.
    """
    if slice_.file.is_pipe:
        return None
    if job.arrives:
        receipt = _standing(job.folder, job.plan_id, slice_.number)
        receipt = None if receipt and is_lost(receipt, slice_.file) else receipt
    else:
        receipt = proven(job.folder, job.plan_id, slice_.number)
    if receipt is None or (receipt.start, receipt.end) != (slice_.start, slice_.end):
        return None
    return None if OUTSIDE_REASONS & receipt.by_reason.keys() else receipt


def count_receipts(folder: Path) -> int:
    """Return how many slices have a receipt, unread."""
    return sum(1 for _ in (folder / RECEIPTS).glob("[0-9]*.json"))
