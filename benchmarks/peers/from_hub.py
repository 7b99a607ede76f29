"""A data set on the Hub, in the ways people have.

    python from_hub.py NAME FIRST full|streamed|snapshot

full: `load_dataset`, into its Arrow cache. streamed: its rows without one, to the last.
snapshot: the files alone, as the library of the Hub fetches them; no row is read.
FIRST gets the seconds from the start of this process to its first row.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"


def age_s() -> float:
    """Return how long this process has been running."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def main() -> None:
    name, first, how = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    if how == "snapshot":
        from huggingface_hub import snapshot_download

        snapshot_download(name, repo_type="dataset")
        return
    from datasets import load_dataset

    rows = iter(load_dataset(name, split="train", streaming=how == "streamed"))
    next(rows)
    first.write_text(str(age_s()))
    if how == "streamed":
        for _ in rows:
            pass


if __name__ == "__main__":
    main()
