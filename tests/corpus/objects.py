"""What only Python callers have: bytes, structs, PIL images and arrays, through ``convert``.

All of them run in one process of their own: ``python -m tests.corpus.objects FOLDER``.
"""

from __future__ import annotations

import base64
import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import vlm_datakit

from . import arrays, pil_images, structs
from .cases import Accepted, Case
from .commands import run
from .trials import MAX_CASE_S, MAX_PEAK_MIB, Verdict, pixel_fault, slug

CASES: list[Case] = [*structs.CASES, *pil_images.CASES, *arrays.CASES]


def outcome(case: Case, folder: Path) -> str:
    """Return what becomes of a case; what convert raises beside refusals is an outcome too."""
    folder.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of bombs, while a case is built
        built = case.build(folder)
    parts = [{"type": "image", "image": built.value}, {"type": "text", "text": "What is it?"}]
    answer = {"role": "assistant", "content": "A slope."}
    row = {"messages": [{"role": "user", "content": parts}, answer]}
    refused: list[Any] = []
    try:
        rows = list(
            vlm_datakit.convert(
                [row],
                source="openai",
                target="simple",
                rejects=refused,
                image_roots=[str(folder.parent)],
            )
        )
    except Exception as error:
        return f"raised {type(error).__name__}: {error}"
    if refused:
        return str(refused[0].reason)
    data = base64.b64decode(rows[0]["image"].partition(",")[2])
    if data == built.data:
        return str(case.outcome) if isinstance(case.outcome, Accepted) else "byte for byte"
    size = (case.outcome.width_px, case.outcome.height_px) if _accepts(case) else (0, 0)
    return f"accepted {size[0]} x {size[1]}, rewritten{pixel_fault(data, size, built)}"


def _accepts(case: Case) -> bool:
    return isinstance(case.outcome, Accepted)


def outcomes(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the cases, each tried alone."""
    for case in CASES:
        yield case.name, outcome(case, folder / slug(case.name))


def judged(folder: Path) -> tuple[list[str], Verdict]:
    """Run all cases in a process; return what is not as it must be, and what it took."""
    place = folder / "python"
    place.mkdir(parents=True)
    ended = run(place, ["."], limit_s=MAX_CASE_S, module="tests.corpus.objects")
    if ended.code:
        return [f"exit code {ended.code}: {ended.err[-300:]}"], Verdict({}, [], ended.took_s)
    found: dict[str, str] = json.loads(ended.out)
    wrong = [
        f"{case.name}: {found.get(case.name, 'lost')}, and it must be {case.outcome}"
        for case in CASES
        if found.get(case.name) != str(case.outcome)
    ]
    if ended.peak_mib > MAX_PEAK_MIB:
        wrong.append(f"{ended.peak_mib:.0f} MiB")
    return wrong, Verdict(found, [], ended.took_s, ended.peak_mib)


if __name__ == "__main__":
    print(json.dumps(dict(outcomes(Path(sys.argv[1])))))  # noqa: T201
