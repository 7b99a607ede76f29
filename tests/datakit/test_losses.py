"""Losses by name: each is consented to alone, and told in the docs."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlm_datakit.errors import UsageError
from vlm_datakit.formats import FORMATS
from vlm_datakit.losses import NEVER, Loss, parse_losses

DOCS = Path(__file__).parents[2] / "docs" / "formats.md"


def test_all_are_all_that_anybody_can_consent_to() -> None:
    assert parse_losses(["all"]) == set(Loss) - NEVER


def test_a_wrong_name_is_told_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"^--lossy tool: no such loss: .*; did you mean tools\?$"):
        parse_losses(["detail", "tool"])


def test_a_rejected_answer_is_never_made_up() -> None:
    with pytest.raises(UsageError, match=r"^--lossy unpaired: no such loss"):
        parse_losses(["unpaired"])


@pytest.mark.parametrize("loss", Loss)
def test_the_docs_say_which_targets_have_no_place_for_it(loss: Loss) -> None:
    lines = [line for line in DOCS.read_text().splitlines() if line.startswith(f"| `{loss}` |")]
    targets = [name for name, format_ in FORMATS.items() if loss in format_.cannot_hold]

    assert [line.split("|")[3].strip() for line in lines] == [", ".join(targets)]
