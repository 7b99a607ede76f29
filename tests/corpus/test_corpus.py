"""Every row of the corpus has its one outcome: the picture as it must be, or one reason."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .cases import Accepted
from .groups import GROUPS, judged
from .trials import MAX_PEAK_MIB

CASES = [case for group in GROUPS.values() for case in group.cases]


#: A picture may take 30 s to come: meanwhile these, which take longest, are run.
SLOW, MEANWHILE = "urls that drip", ("base64 bombs", "many parts")


@pytest.mark.parametrize("name", [name for name in GROUPS if name not in (SLOW, *MEANWHILE)])
def test_every_case_has_its_one_outcome(name: str, tmp_path: Path) -> None:
    faults, verdict = judged(GROUPS[name], tmp_path)

    assert faults == [], "\n".join(faults)
    assert verdict.peak_mib < MAX_PEAK_MIB


def test_every_case_has_its_one_outcome_while_a_server_drips(tmp_path: Path) -> None:
    with ThreadPoolExecutor() as threads:
        dripping = threads.submit(judged, GROUPS[SLOW], tmp_path / SLOW)
        found = [judged(GROUPS[name], tmp_path / name) for name in MEANWHILE]

    faults = [fault for one in (*found, dripping.result()) for fault in one[0]]
    assert faults == [], "\n".join(faults)
    assert max(verdict.peak_mib for _, verdict in found) < MAX_PEAK_MIB


def test_no_two_cases_have_one_name() -> None:
    assert [name for name, count in Counter(c.name for c in CASES).items() if count > 1] == []


def test_the_corpus_is_large_and_holds_good_pictures_too() -> None:
    accepted = [case for case in CASES if isinstance(case.outcome, Accepted)]

    assert len(CASES) > 1200
    assert len(accepted) > 350
