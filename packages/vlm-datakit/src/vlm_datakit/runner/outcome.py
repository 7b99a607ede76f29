"""How a run ends: its counts, and what stands between all receipts and the commit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from vlm_datakit.errors import TooManyRejects
from vlm_datakit.events import Summary
from vlm_datakit.plan import RejectsAllowed, SourceFile
from vlm_datakit.runner.refusals import first_refusals
from vlm_datakit.shards.manifest import Receipt, read_manifest, summed


def summary_of(out: Path, receipts: Sequence[Receipt], resumed: int) -> Summary:
    """Return the counts of a run.

    Args:
        out: The output folder.
        receipts: Of all slices, in their order.
        resumed: How many of them were done before.
    """
    stats = summed(receipt.stats for receipt in receipts)
    splits = Counter[str]()
    for receipt in receipts:
        splits[receipt.split] += receipt.rows
    return Summary(
        output=str(out),
        rows=sum(receipt.rows_read for receipt in receipts),
        written=sum(splits.values()),
        by_reason=reasons_of(receipts),
        warnings=stats.warnings,
        splits=dict(splits),
        images=stats.images,
        image_bytes=stats.image_bytes,
        shard_bytes=sum(shard.bytes for receipt in receipts for shard in receipt.shards),
        rewritten=stats.rewritten,
        slices_resumed=resumed,
        slices=len(receipts),
    )


def reasons_of(receipts: Sequence[Receipt]) -> dict[str, int]:
    """Add up the refused rows by reason."""
    reasons = sum((Counter(dict(receipt.by_reason)) for receipt in receipts), Counter[str]())
    return dict(sorted(reasons.items()))


def finished_before(out: Path) -> Summary:
    """Return the counts of a finished set, as its manifest states them."""
    manifest = read_manifest(out)
    splits = {name: facts["rows"] for name, facts in manifest["splits"].items()}
    rejects = manifest["rejects"]
    return Summary(
        output=str(out),
        rows=sum(splits.values()) + rejects["total"],
        written=sum(splits.values()),
        by_reason=rejects["by_reason"],
        warnings=manifest["stats"]["warnings"],
        splits=splits,
        images=manifest["stats"]["images"],
        image_bytes=manifest["stats"]["image_bytes"],
        shard_bytes=sum(facts["bytes"] for facts in manifest["splits"].values()),
        rewritten=manifest["stats"]["rewritten"],
        finished_before=True,
    )


def check_consent(
    ledger: Path, files: Sequence[SourceFile], summary: Summary, allowed: RejectsAllowed
) -> None:
    """Hold the refused rows to what the caller consents to.

    Args:
        ledger: The folder of its files, for the first refused rows.
        files: The sources, for line numbers.
        summary: The counts.
        allowed: The consent.

    Raises:
        TooManyRejects: beyond it, or when no row is left.
    """
    if summary.written and allowed.admits(summary.rejected, summary.rows):
        return
    what = f"{summary.rejected:,} of {summary.rows:,} rows were refused"
    if not summary.written:
        what = f"all {summary.rows:,} rows were refused"
    first = first_refusals(ledger, files)
    raise TooManyRejects(f"{what}; nothing was committed", summary.rows, summary.by_reason, first)
