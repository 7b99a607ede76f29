"""What became of all cases, as a table: ``python -m tests.corpus.table`` in the root.

A class has a line: its cases, those accepted, those refused by reason, and the seconds and
most memory of the slowest and the largest of its groups' runs.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from .groups import GROUPS, judged

REASONS = 3
#: Classes, and the kinds of cases in them: the first word of a case's name.
CLASSES = {
    "JPEG": ("jpeg",),
    "PNG": ("png",),
    "WebP and GIF": ("webp", "gif"),
    "BMP and TIFF": ("bmp", "tiff"),
    "AVIF, HEIC, JPEG 2000": ("avif", "heic", "jp2"),
    "real photos": ("photo",),
    "huge, not decoded": ("huge",),
    "cut, damaged, mended": ("cut", "damaged", "mended"),
    "no picture at all": ("stranger",),
    "lies in headers": ("lie",),
    "bombs": ("bomb",),
    "base64 and data URIs": ("base64",),
    "paths": ("name",),
    "URLs, not fetched": ("url",),
    "URLs, fetched": ("fetched",),
    "redirects": ("redirect",),
    "addresses never to be reached": ("row",),
    "Python: bytes, structs, values": ("bytes", "struct", "value"),
    "Python: PIL images": ("pil",),
    "Python: arrays": ("array",),
}


@dataclass(slots=True)
class Line:
    """What became of a class."""

    outcomes: Counter[str] = field(default_factory=Counter)
    took_s: float = 0.0
    peak_mib: float = 0.0

    def __str__(self) -> str:
        accepted = self.outcomes["accepted"]
        reasons = Counter({n: c for n, c in self.outcomes.items() if n != "accepted"})
        words = [f"{name} {count}" for name, count in reasons.most_common(REASONS)]
        others = reasons.total() - sum(count for _, count in reasons.most_common(REASONS))
        words += [f"others {others}"] if others else []
        return (
            f"{self.outcomes.total()} | {accepted} | {', '.join(words) or '-'} | "
            f"{self.took_s:.1f} | {self.peak_mib:.0f}"
        )


def class_of(kind: str) -> str:
    """Return the class of a kind of cases."""
    return next(name for name, kinds in CLASSES.items() if kind in kinds)


def lines() -> tuple[dict[str, Line], list[str]]:
    """Run all groups; return a line for each class, and what is not as it must be."""
    found: dict[str, Line] = {name: Line() for name in CLASSES}
    wrong: list[str] = []
    for name, group in GROUPS.items():
        with tempfile.TemporaryDirectory() as folder:
            faults, verdict = judged(group, Path(folder))
        wrong += [f"{name}: {fault}" for fault in faults]
        for case in group.cases:
            line = found[class_of(case.kind)]
            line.outcomes[verdict.outcomes.get(case.name, "lost").split()[0].rstrip(",")] += 1
            line.took_s = max(line.took_s, verdict.took_s)
            line.peak_mib = max(line.peak_mib, verdict.peak_mib)
    return found, wrong


def main() -> int:
    """Print the table on stdout and faults on stderr."""
    found, wrong = lines()
    heads = ["cases of", "number", "accepted", "refused", "seconds", "MiB"]
    sys.stdout.write(f"| {' | '.join(heads)} |\n|---|--:|--:|---|--:|--:|\n")
    for name, line in found.items():
        sys.stdout.write(f"| {name} | {line} |\n")
    total = sum(line.outcomes.total() for line in found.values())
    accepted = sum(line.outcomes["accepted"] for line in found.values())
    sys.stdout.write(f"| all | {total} | {accepted} | {total - accepted} refused | | |\n")
    sys.stderr.write("".join(f"{fault}\n" for fault in wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
