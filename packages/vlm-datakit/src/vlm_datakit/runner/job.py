"""What any process needs to do slices of a plan, and where their files stand."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path

from vlm_datakit.plan import Plan
from vlm_datakit.shards.writer import settle, temporary_path

DATA, REJECTS, RECEIPTS = "data", "rejects", "receipts"
SPOOL = "spool"  # slices of standard input, until they are done


@dataclass(frozen=True, slots=True)
class Job:
    """A plan and its work folder: plain values, which pickle.

    ``token`` is in the temporary names of one run, so that two runs never share a file.
    ``arrives`` says that slices may be made of files that still come; who commits them has to
    hold them to their digests (`vlm_datakit.runner.provisional`).
    """

    plan: Plan
    plan_id: str
    folder: Path
    token: str = field(default_factory=lambda: secrets.token_hex(4))
    arrives: bool = False


def receipt_path(folder: Path, number: int) -> Path:
    """Return where in a work folder the receipt of a slice stands."""
    return folder / RECEIPTS / f"{number:05d}.json"


def write_settled(path: Path, data: bytes, token: str = "") -> None:
    """Write a small file so that it is there whole or not at all.

    Args:
        path: Its final name.
        data: All of it.
        token: Needed where others may write the same file at the same time.
    """
    temporary = temporary_path(path, token)
    temporary.write_bytes(data)
    settle(temporary, path)
