"""Cases as rows of one file, put through the command line, and what became of each."""

from __future__ import annotations

import io
import json
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pyarrow.parquet as pq

from .cases import Accepted, Built, Case, picture
from .commands import Ended, run
from .drawings import rgb, saved

MAX_PEAK_MIB = 450
MAX_CASE_S = 30
FIRST, LAST = "anchor first", "anchor last"
_ROWS = "rows.jsonl"


@dataclass(frozen=True, slots=True)
class Trial:
    """Cases in a folder of their own: one row each, an ordinary one before and behind."""

    folder: Path
    cases: tuple[Case, ...]
    built: Mapping[str, Built]
    format: str
    args: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of the cases of a trial: by case, in the order of the rows, and the costs."""

    outcomes: dict[str, str]
    faults: list[str] = field(default_factory=list)
    took_s: float = 0.0
    peak_mib: float = 0.0


def slug(name: str) -> str:
    """Return the folder name of a case."""
    return name.replace(" ", "-")


def prepared(
    folder: Path,
    cases: Sequence[Case],
    format_: str,
    args: Sequence[str] = (),
    spelled: Callable[[Any], Any] = lambda value: value,
) -> Trial:
    """Build the cases in a folder and write their rows.

    ``spelled`` puts into values and arguments what is known only now.
    """
    anchors = [
        picture(name, lambda side=side: saved(rgb(side, 4), "PNG"), (side, 4))
        for side, name in ((5, FIRST), (6, LAST))
    ]
    rowed, built = (anchors[0], *cases, anchors[1]), {}
    folder.mkdir(parents=True)
    with (folder / _ROWS).open("w") as lines:
        for number, case in enumerate(rowed):
            place = folder / slug(case.name)
            place.mkdir()
            built[case.name] = case.build(place)
            row = _row(format_, case.name, spelled(built[case.name].value), number)
            lines.write(json.dumps(row) + "\n")
    return Trial(folder, rowed, built, format_, tuple(map(spelled, args)))


def _row(format_: str, name: str, value: Any, number: int) -> dict[str, Any]:
    if format_ == "simple":
        return {"id": name, "text": "What is it?", "image": value, "response": "A slope."}
    part = {"type": "image_url", "image_url": {"url": value}}
    if number % 3 == 1:
        part = {"type": "image_url", "image_url": value}
    elif number % 3 == 2:
        part = {"type": "image", "image": value}
    question = {"role": "user", "content": [part, {"type": "text", "text": "What is it?"}]}
    return {"id": name, "messages": [question, {"role": "assistant", "content": "A slope."}]}


def imported(trial: Trial, limit_s: float) -> Verdict:
    """Import the rows and compare what was written, and what was refused, with the cases."""
    args = [_ROWS, "-o", "out", "--from", trial.format, "--with-images", "--rejects-raw"]
    ended = run(
        trial.folder,
        ["import", *args, "--max-rejects", "100%", "--quiet", *trial.args],
        limit_s=limit_s,
    )
    if ended.code:
        return Verdict({}, [_ending(ended)], ended.took_s, ended.peak_mib)
    written, refused = _written(trial), _refused(trial)
    found = {**written, **refused}
    names = [case.name for case in trial.cases]
    faults = [
        *(f"{name}: in the shards and in the ledger" for name in written if name in refused),
        *_order_faults(names, written, "the shards"),
        *_order_faults(names, refused, "the ledger"),
        *_manifest_faults(trial, written, refused),
        *_leaks(trial, ended),
    ]
    outcomes = {name: found.get(name, "lost") for name in names}
    return Verdict(outcomes, faults, ended.took_s, ended.peak_mib)


def _ending(ended: Ended) -> str:
    if ended.code == -9:
        return f"killed after {ended.took_s:.0f} s"
    return f"exit code {ended.code}: {ended.err.strip()[-300:]}"


def _order_faults(names: list[str], found: Mapping[str, str], where: str) -> list[str]:
    expected = [name for name in names if name in found]
    return [] if list(found) == expected else [f"{where} are out of order: {list(found)}"]


def _written(trial: Trial) -> dict[str, str]:
    found = {}
    by_name = {case.name: case for case in trial.cases}
    for path in sorted((trial.folder / "out" / "data").iterdir()):
        for batch in pq.ParquetFile(path).iter_batches(8, columns=["id", "images", "image_sizes"]):
            for row in batch.to_pylist():
                assert row["id"] not in found, f"{row['id']} stands twice in the shards"
                found[row["id"]] = _described(trial, by_name[row["id"]], row)
    return found


def _described(trial: Trial, case: Case, row: Mapping[str, Any]) -> str:
    (image,), (size,) = row["images"], row["image_sizes"]
    built = trial.built[case.name]
    accepted = f"accepted {size['width']} x {size['height']}"
    if image["bytes"] == built.data:
        return f"{accepted}, byte for byte"
    fault = ""
    if built.pixels is not None or not isinstance(case.outcome, Accepted):
        fault = pixel_fault(image["bytes"], (size["width"], size["height"]), built)
    return f"{accepted}, rewritten{fault}"


def pixel_fault(data: bytes, size: tuple[int, int], built: Built) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with PIL.Image.open(io.BytesIO(data), formats=["PNG", "JPEG"]) as image:
                is_plain = image.mode in ("L", "RGB") and not image.getexif()
                seen = np.asarray(image.convert("RGB"))
        except (OSError, SyntaxError) as error:
            return f", but it does not decode: {error}"
    if not is_plain or seen.shape[1::-1] != size:
        return f", but {image.mode} of {image.size}"
    if built.pixels is None:
        return ""
    meant = np.asarray(built.pixels)
    if meant.ndim == 2:
        meant = np.repeat(meant[:, :, None], 3, axis=2)
    if meant.shape != seen.shape:
        return f", but not {meant.shape[1]} x {meant.shape[0]}"
    off = np.abs(seen.astype(int) - meant).max(axis=2)
    wrong = int((off > built.off_by).sum())
    return f", but {wrong} of {off.size} pixels wrong, by up to {off.max()}" if wrong else ""


def _refused(trial: Trial) -> dict[str, str]:
    """Return the reasons by case: the ledger names rows by the byte they begin at."""
    offsets, at = {}, 0
    with (trial.folder / _ROWS).open("rb") as lines:
        for case, line in zip(trial.cases, lines, strict=True):
            offsets[at], at = (case, line), at + len(line)
    found = {}
    for path in sorted((trial.folder / "out" / "rejects").glob("*")):
        for text in path.read_bytes().splitlines():
            entry = json.loads(text)
            case, line = offsets[entry["offset"]]
            assert case.name not in found, f"{case.name} stands twice in the ledger"
            found[case.name] = entry["reason"]
            if "row" in entry and entry["row"] != json.loads(line):
                found[case.name] += ", with another row"
            if len(entry["seen"]) > 200 or any(text in entry["seen"] for text in case.hidden):
                found[case.name] += f", and too much is seen: {entry['seen'][:80]}"
    return found


def _manifest_faults(
    trial: Trial, written: Mapping[str, str], refused: Mapping[str, str]
) -> list[str]:
    """Hold the counts of causes and reasons to what the cases say."""
    manifest = json.loads((trial.folder / "out" / "manifest.json").read_text())
    causes = Counter(
        cause
        for case in trial.cases
        if case.name in written and isinstance(case.outcome, Accepted)
        for cause in case.outcome.causes
    )
    counted = Counter(reason.partition(",")[0] for reason in refused.values())
    found = {
        "causes": (Counter(manifest["stats"]["rewritten"]), causes),
        "reasons": (Counter(manifest["rejects"]["by_reason"]), counted),
        "rows": (manifest["splits"]["train"]["rows"], len(written)),
    }
    return [
        f"the manifest counts other {what}: {dict(ours) if isinstance(ours, Counter) else ours}"
        f" for {dict(theirs) if isinstance(theirs, Counter) else theirs}"
        for what, (ours, theirs) in found.items()
        if ours != theirs
    ]


def _leaks(trial: Trial, ended: Ended) -> list[str]:
    """Look for hidden texts where anybody reads them."""
    public = ended.out + ended.err
    out = trial.folder / "out"
    for path in sorted(out.rglob("*")):
        if path.is_file() and not {"data", "rejects"} & set(path.relative_to(out).parts):
            public += path.read_text(errors="replace")
    if any(case.hidden for case in trial.cases):
        for path in sorted((out / "data").iterdir()):
            public += str(pq.read_table(path).to_pylist())
    return [
        f"{case.name}: {text} is shown"
        for case in trial.cases
        for text in case.hidden
        if text in public
    ]


def validated(trial: Trial, limit_s: float) -> Verdict:
    """Let ``validate`` count the same rows; its counts stand under the names of outcomes."""
    args = ["validate", _ROWS, "--from", trial.format, "--json", *trial.args]
    ended = run(trial.folder, args, limit_s=limit_s)
    if ended.code not in (0, 6):
        return Verdict({}, [_ending(ended)], ended.took_s, ended.peak_mib)
    report = json.loads(ended.out)
    expected = Counter(
        "good" if isinstance(case.outcome, Accepted) else str(case.outcome) for case in trial.cases
    )
    found = Counter({"good": report["good"], **report["by_reason"]})
    faults = [] if found == expected else [f"counts {dict(found - expected)} too many"]
    return Verdict({}, faults, ended.took_s, ended.peak_mib)


def expected_outcomes(trial: Trial) -> dict[str, str]:
    """Return what must become of each case."""
    return {case.name: str(case.outcome) for case in trial.cases}
