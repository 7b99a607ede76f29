"""Damaged pictures and rows through the walk, by the million: refused or converted, no third.

    python tests/fuzz/pictures.py --cases 1000000 --seed 1 --jobs 2

Anything else is a finding: an exception, a warning, a crash, a hang, more than 5 s or more
memory than the limits promise, or an accepted picture that a reader finds to be another.
Findings are printed and lie in .nox/fuzz; ``--only 4711`` runs one case again.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import random
import resource
import sys
import time
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cases import LIMITS, Case, case, outcomes
from fleet import Task, run_tasks
from oracle import fault_of, hold_to_promise

from vlm_datakit.conversation import Converted

FOLDER = Path(__file__).resolve().parents[2] / ".nox" / "fuzz"
BATCH = 5_000
MAX_CPU_S = 5.0
DECODED_EVERY = 16  # accepted pictures of which one is decoded to its end
MIB = 1024 * 1024
# Beside what decoding may take: the interpreter's own, and what the row is.
MAX_PEAK_BYTES = LIMITS.max_decoded_bytes + 64 * MIB
MAX_GROWTH_BYTES = 64 * MIB  # of a batch, after its first cases
WARM_UP = 200
SHOWN = 5  # findings of one kind printed and written in full


@dataclass(frozen=True, slots=True)
class Finding:
    """What should not have happened, in which case, and all that is known of it."""

    number: int
    kind: str  # findings of one kind have probably one cause
    words: str


@dataclass(slots=True)
class Report:
    """What a batch gave: outcomes by reason, accepted pictures that do not decode, findings."""

    outcomes: Counter[str] = field(default_factory=Counter)
    decoded: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    slowest: list[tuple[float, int]] = field(default_factory=list)

    def add(self, other: Report) -> None:
        self.outcomes += other.outcomes
        self.decoded += other.decoded
        self.findings += other.findings
        self.slowest = sorted(self.slowest + other.slowest, reverse=True)[:5]


def run_case(chosen: Case, number: int, report: Report) -> None:
    """Run one case and note what came of it."""
    try:
        for found in outcomes(chosen):
            if not isinstance(found, Converted):
                report.outcomes[found.reason.value] += 1
                continue
            report.outcomes["converted"] += 1
            hold_to_promise(chosen, found)
            if number % DECODED_EVERY == 0:
                for image in found.conversation.images:
                    report.decoded[f"{image.media_type} {fault_of(image) or 'decodes'}"] += 1
    except Exception as error:
        report.outcomes["finding"] += 1
        kind = f"{type(error).__name__} at {place_of(error)}"
        report.findings.append(Finding(number, kind, traceback.format_exc()))


def place_of(error: Exception) -> str:
    """Name the innermost line of ours that an exception passed, or where it began."""
    frames = traceback.extract_tb(error.__traceback__)[::-1]
    ours = [frame for frame in frames if "vlm_datakit" in frame.filename]
    place = (ours or frames)[0]
    return f"{Path(place.filename).name}:{place.lineno}"


def run_batch(seed: int, start: int, stop: int, progress: Any) -> Report:
    """Run cases one after the other; ``progress`` tells those outside which one it is."""
    warnings.simplefilter("error")
    report, dice, warm = Report(), random.Random(), 0
    for number in range(start, stop):
        progress.value = number
        chosen = case(seed, number, dice)
        began, peak = time.process_time(), peak_bytes()
        run_case(chosen, number, report)
        note_time(time.process_time() - began, number, report)
        if (more := peak_bytes() - peak) > MAX_PEAK_BYTES:
            report.findings.append(Finding(number, "memory", f"{more / MIB:.0f} MiB more"))
        if number == start + WARM_UP:
            warm = held_bytes()
    if warm and (growth := held_bytes() - warm) > MAX_GROWTH_BYTES:
        words = f"{growth / MIB:.0f} MiB kept after cases {start} to {stop}"
        report.findings.append(Finding(start, "growth", words))
    return report


def note_time(took_s: float, number: int, report: Report) -> None:
    if took_s > MAX_CPU_S:
        report.findings.append(Finding(number, "slow", f"{took_s:.1f} s of CPU"))
    report.slowest.append((round(took_s, 3), number))
    if len(report.slowest) > 100:
        report.slowest = sorted(report.slowest, reverse=True)[:5]


def peak_bytes() -> int:
    """Return the most memory this process has had (Linux counts in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def held_bytes() -> int:
    """Return the memory this process has now; 0 where /proc does not tell."""
    gc.collect()
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * resource.getpagesize()


def write_findings(seed: int, findings: list[Finding]) -> None:
    """Print findings and write their cases, the first few of each kind."""
    seen: Counter[str] = Counter()
    for finding in sorted(findings, key=lambda found: found.number):
        seen[finding.kind] += 1
        if seen[finding.kind] > SHOWN:
            continue
        chosen = case(seed, finding.number, random.Random())
        sha = hashlib.sha256(chosen.picture).hexdigest()
        FOLDER.mkdir(parents=True, exist_ok=True)
        (FOLDER / f"{sha}.picture").write_bytes(chosen.picture)
        (FOLDER / f"{sha}.row").write_text(f"{described(chosen)}\n{finding.words}")
        say(f"\nFINDING, case {finding.number} ({finding.kind}): .nox/fuzz/{sha}.picture")
        say(f"{described(chosen)}\n{finding.words}")
    for kind, count in seen.most_common():
        say(f"finding: {count} x {kind}")


def described(chosen: Case) -> str:
    """Say under which plan a case runs, and how its row looks when that is not all bytes."""
    return f"{chosen.format} {chosen.policy} {chosen.limits}\n{chosen.content!r:.4000}"


def say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def parsed_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="processes (default: 2)")
    parser.add_argument("--only", type=int, help="run this case alone")
    return parser.parse_args()


def main() -> int:
    """Run the cases; 1 if there is a finding."""
    arguments = parsed_arguments()
    began = time.perf_counter()
    first, cases = (0, arguments.cases) if arguments.only is None else (arguments.only, 1)
    tasks = [
        Task(start, min(start + BATCH, first + cases))
        for start in range(first, first + cases, BATCH)
    ]
    total = Report()
    for result in run_tasks(run_batch, arguments.seed, tasks, arguments.jobs):
        if isinstance(result, Report):
            total.add(result)
        else:
            total.findings.append(Finding(result.number, result.kind, result.words))
    took_s = time.perf_counter() - began
    write_findings(arguments.seed, total.findings)
    say(f"\n{cases} cases in {took_s:.1f} s: {cases / took_s:.0f}/s with {arguments.jobs} jobs")
    for name, count in total.outcomes.most_common():
        say(f"{count:>10}  {name}")
    say(f"accepted and decoded to the end, one in {DECODED_EVERY}:")
    for name, count in sorted(total.decoded.items()):
        say(f"{count:>10}  {name}")
    say(f"slowest, in s of CPU: {total.slowest}")
    say(f"{len(total.findings)} findings")
    return 1 if total.findings else 0


if __name__ == "__main__":
    sys.exit(main())
