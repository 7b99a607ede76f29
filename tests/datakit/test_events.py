"""How a run ended, in counts."""

from __future__ import annotations

from vlm_datakit.events import Summary


def test_refused_rows_are_the_sum_over_reasons() -> None:
    summary = Summary("out", 9, 4, {"json-invalid": 2, "field-missing": 3})

    assert summary.rejected == 5
