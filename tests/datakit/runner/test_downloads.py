"""How far several downloads are together."""

from __future__ import annotations

import threading

import pytest

from vlm_datakit.hub.names import Pinned
from vlm_datakit.plan import SourceFile
from vlm_datakit.runner.downloads import _Stopped, _Sums


def wanted(*names: str) -> list[tuple[Pinned, SourceFile]]:
    pins = [Pinned("owner/set", "0" * 40, name) for name in names]
    return [(pin, SourceFile("train", pin.path, pin.address, 100, None)) for pin in pins]


def test_several_files_are_one_sum_without_what_was_here():
    told: list[tuple[str, int, int]] = []
    sums = _Sums(wanted("a", "b"), lambda *what: told.append(what), threading.Event())

    sums("a", 40, 100)
    sums("b", 0, 100)
    sums("b", 100, 100)
    sums("a", 100, 100)
    sums("a", 0, 100)  # it was not what the Hub states: once more

    assert told == [
        ("2 files", 0, 160),
        ("2 files", 0, 160),
        ("2 files", 100, 160),
        ("2 files", 160, 160),
        ("2 files", 100, 200),
    ]


def test_a_run_that_has_ended_ends_its_downloads():
    stop = threading.Event()
    stop.set()

    with pytest.raises(_Stopped):
        _Sums(wanted("a"), None, stop)("a", 1, 100)
