"""All cases in groups: a group is one file of rows, one import, and one validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import (
    base64_texts,
    bmps,
    bombs,
    cuts,
    fetched,
    jpegs,
    lies,
    names,
    newer,
    objects,
    photos,
    pngs,
    spellings,
    strangers,
    tiffs,
    urls,
    webps,
)
from .cases import Case
from .trials import MAX_CASE_S, MAX_PEAK_MIB, Trial, Verdict, expected_outcomes, imported, prepared
from .trials import validated as validated_trial


@dataclass(frozen=True, slots=True)
class Group:
    """Cases of a kind, the format of their rows, and what the command line is told."""

    cases: Sequence[Case]
    format: str = "openai"
    args: tuple[str, ...] = ()
    is_fetched: bool = False
    is_validated: bool = True
    limit_s: float = MAX_CASE_S


GROUPS = {
    "jpeg": Group(jpegs.CASES),
    "png": Group(pngs.CASES),
    "webp, gif": Group(webps.CASES, "simple"),
    "bmp": Group(bmps.CASES),
    "tiff": Group(tiffs.CASES),
    "avif, heic, jpeg 2000": Group(newer.CASES, "simple"),
    "real photos": Group(photos.CASES),
    "huge, not decoded": Group([*jpegs.HUGE, *pngs.HUGE, *webps.HUGE], "simple"),
    "no picture": Group(strangers.CASES),
    "cut short": Group(cuts.CASES, "simple"),
    "cut and mended": Group(cuts.MENDED, args=("--check-images", "decode")),
    "cut and mended jpeg": Group(cuts.MENDED_JPEGS, "simple"),
    "lies": Group(lies.CASES),
    "claims": Group(bombs.CLAIMS, "simple"),
    "files too large": Group(bombs.FILES),
    "many parts": Group(bombs.PARTS),
    "decoded too large": Group(bombs.DECODED),
    "run lengths": Group(bombs.RUNS, "simple"),
    "base64": Group(base64_texts.CASES, "simple"),
    "base64 of 20 MiB": Group(base64_texts.FULL, "simple"),
    "base64 over 20 MiB": Group(base64_texts.LARGE, "simple"),
    "base64 bombs": Group(base64_texts.CODED, "simple"),
    "paths": Group(names.CASES, args=names.ARGS),
    "paths of 40 MiB": Group(names.LONG, "simple"),
    "paths anywhere": Group(names.EVERYWHERE, args=names.EVERYWHERE_ARGS),
    "urls": Group(urls.CASES, "simple"),
    "urls fetched": Group(fetched.CASES, args=fetched.ARGS, is_fetched=True),
    "urls of busy servers": Group(
        fetched.BUSY, args=fetched.ARGS, is_fetched=True, is_validated=False
    ),
    "urls of broken servers": Group(
        fetched.BREAKING, "simple", fetched.ARGS, is_fetched=True, is_validated=False
    ),
    "urls that drip": Group(
        fetched.DRIPPING,
        "simple",
        fetched.ARGS,
        is_fetched=True,
        is_validated=False,
        limit_s=2 * MAX_CASE_S,
    ),
    "urls that redirect": Group(fetched.REDIRECTED, args=fetched.ARGS, is_fetched=True),
    "urls not to be reached": Group(spellings.CASES, args=fetched.ARGS, is_fetched=True),
    "urls allowed in vain": Group(
        spellings.ALLOWED_IN_VAIN, "simple", spellings.VAIN_ARGS, is_fetched=True
    ),
    "urls of another port": Group(fetched.NOT_THERE, "simple", fetched.OTHER_PORT, is_fetched=True),
    "urls without leave": Group(fetched.NOT_ALLOWED, "simple", ("--fetch",), is_fetched=True),
    "urls alike": Group(fetched.EQUALS, args=fetched.ARGS, is_fetched=True),
    "python": Group(objects.CASES),
}


def judged(group: Group, folder: Path) -> tuple[list[str], Verdict]:
    """Run a group; return what is not as it must be, and what it took.

    When the group as a whole fails (an exit code, too long, too much memory), every case
    is run alone, so that the one to blame is named.
    """
    if group.cases is objects.CASES:
        return objects.judged(folder)
    with fetched.opened(group.cases) if group.is_fetched else nullcontext() as web:
        spelled = web.spelled if web else lambda value: value
        trial = prepared(folder / "all", group.cases, group.format, group.args, spelled)
        most = _both(group, trial)
        if not most.outcomes or most.peak_mib > MAX_PEAK_MIB:
            blamed = blamed_alone(group, folder, spelled)
            return [*most.faults, *blamed], most
        asked = web.faults(1 + group.is_validated) if web else []
    expected = expected_outcomes(trial)
    wrong = [
        f"{name}: {outcome}, and it must be {expected[name]}"
        for name, outcome in most.outcomes.items()
        if outcome != expected[name]
    ]
    return [*wrong, *most.faults, *asked], most


def _both(group: Group, trial: Trial) -> Verdict:
    """Import and validate; return the outcomes, and the more that either took."""
    found = imported(trial, group.limit_s)
    if not group.is_validated:
        return found
    counted = validated_trial(trial, group.limit_s)
    return Verdict(
        found.outcomes,
        [*found.faults, *counted.faults],
        max(found.took_s, counted.took_s),
        max(found.peak_mib, counted.peak_mib),
    )


def blamed_alone(group: Group, folder: Path, spelled: Callable[[Any], Any]) -> list[str]:
    """Run each case alone; none of them if a run without any fails as well."""
    bare = imported(prepared(folder / "none", [], group.format), group.limit_s)
    cases = group.cases if bare.outcomes else []
    return [fault for case in cases for fault in alone(group, case, folder, spelled)]


def alone(
    group: Group, case: Case, folder: Path, spelled: Callable[[Any], Any] = lambda value: value
) -> list[str]:
    """Run one case; return what is not as it must be."""
    place = folder / "alone" / f"{len(list((folder / 'alone').glob('*')))}"
    trial = prepared(place / "one", [case], group.format, group.args, spelled)
    found = imported(trial, group.limit_s)
    outcome, expected = found.outcomes.get(case.name), str(case.outcome)
    faults = [f"{case.name}: {fault}" for fault in found.faults]
    if outcome is not None and outcome != expected:
        faults.append(f"{case.name}: {outcome}, and it must be {expected}")
    if found.peak_mib > MAX_PEAK_MIB:
        faults.append(f"{case.name}: {found.peak_mib:.0f} MiB in {found.took_s:.1f} s")
    return faults
