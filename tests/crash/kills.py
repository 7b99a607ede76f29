"""Imports killed at random moments, by the hundred: what is left is always finished to the byte.

    python tests/crash/kills.py --kills 500 --seed 1

Each import is killed once to four times (SIGKILL of the whole run or of one worker, SIGTERM,
SIGINT), and then left to finish; the folder must equal that of an undisturbed import, file by
file. After each kill nothing may be loadable unless it is whole, and no process may live on.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import PIL.Image
import psutil

FILES, ROWS = 6, 60
LONGEST_S = 60.0
GONE_S = 5.0
BLOWS = ("SIGKILL", "SIGKILL", "SIGKILL", "worker", "SIGTERM", "SIGINT")


def write_sources(folder: Path) -> list[str]:
    """Write files of chat rows with noisy pictures, some rows broken; return their names."""
    names = []
    for number in range(FILES):
        path = folder / f"part{number}.jsonl"
        path.write_bytes(b"".join(rows(number)))
        names.append(path.name)
    return names


def rows(number: int) -> Iterator[bytes]:
    for index in range(ROWS):
        file = io.BytesIO()
        PIL.Image.effect_noise((160 + index, 120 + number), 80).save(file, "PNG")
        image = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
        row = {"text": f"{number} {index}?", "image": image, "response": f"{index}"}
        if index == 7:
            del row["response"]
        yield json.dumps(row).encode() + b"\n"


def started(folder: Path, names: list[str], workers: int) -> subprocess.Popen[bytes]:
    """Start the import; the same command every time."""
    command = [sys.executable, "-m", "vlm_datakit", "import", *names, "-o", "out", "-q"]
    options = ["--workers", str(workers), "--max-rejects", "100"]
    return subprocess.Popen(command + options, cwd=folder, stderr=subprocess.PIPE)


def tree(out: Path) -> dict[str, str]:
    """Return the digest of every file that is not hidden."""
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and ".vlm" not in path.parts
    }


def strike(run: subprocess.Popen[bytes], blow: str, chance: random.Random) -> str:
    """Kill a run, or one of its workers; return what was done."""
    try:
        children = psutil.Process(run.pid).children()
    except psutil.NoSuchProcess:
        return "too late"
    if blow == "worker":
        if not children:
            return "no worker yet"
        chance.choice(children).kill()
        return "worker"
    if run.poll() is not None:
        return "too late"
    run.send_signal(signal.Signals[blow])
    run.wait(LONGEST_S)
    _, alive = psutil.wait_procs(children, GONE_S)
    if alive:
        raise AssertionError(f"{len(alive)} workers live on after {blow}")
    return blow


def tortured(folder: Path, names: list[str], chance: random.Random, whole_s: float) -> Counter[str]:
    """Run one import to its end through some kills; return what was done to it."""
    done = Counter[str]()
    workers = chance.choice((1, 2, 3))
    for _ in range(chance.randint(1, 4)):
        run = started(folder, names, workers)
        time.sleep(chance.uniform(0.15, whole_s))
        done[strike(run, chance.choice(BLOWS), chance)] += 1
        run.communicate(timeout=LONGEST_S)
    run = started(folder, names, workers)
    _, said = run.communicate(timeout=LONGEST_S)
    if run.returncode:
        raise AssertionError(f"the last run ended with {run.returncode}: {said.decode()}")
    return done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    chance, done, imports = random.Random(arguments.seed), Counter[str](), 0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        names = write_sources(folder)
        begin = time.monotonic()
        started(folder, names, 1).communicate(timeout=LONGEST_S)
        whole_s = time.monotonic() - begin
        expected = tree(folder / "out")
        while sum(done[blow] for blow in {*BLOWS}) < arguments.kills:
            shutil.rmtree(folder / "out")
            done += tortured(folder, names, chance, whole_s)
            imports += 1
            if tree(folder / "out") != expected:
                sys.exit(f"import {imports} differs; seed {arguments.seed}, so far {dict(done)}")
    seconds = time.monotonic() - begin
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(done.items()))
    sys.stdout.write(f"{imports} imports, {seconds:.0f} s, all of equal bytes; {kinds}\n")


if __name__ == "__main__":
    main()
