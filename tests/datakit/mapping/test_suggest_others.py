"""What is suggested for further layouts of public data sets, with invented rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vlm_datakit import DoesNotFit, suggest_mapping
from vlm_datakit.mapping.suggest import clear_choice

from .test_layouts import with_bytes

OTHERS = [
    json.loads(line)
    for line in Path(__file__)
    .parents[2]
    .joinpath("data/other_layouts.jsonl")
    .read_bytes()
    .splitlines()
]


def outcome(goal: str, rows: Any, features: Any = None) -> list[str] | str:
    """Return the flags of the clear choice, or that it is open, or that nothing fits."""
    found = suggest_mapping(rows, goal=goal, features=features)
    if isinstance(found, DoesNotFit):
        return "does not fit"
    best = clear_choice(found)
    return "open" if best is None else [flag for flag in best.flags if flag != "--map"]


@pytest.mark.parametrize("layout", OTHERS, ids=lambda layout: f"{layout['name']}-{layout['goal']}")
def test_a_layout_comes_to_the_outcome_that_an_expert_expects(layout: dict[str, Any]) -> None:
    found = outcome(layout["goal"], with_bytes(layout["rows"]), layout.get("features"))

    assert found == layout["outcome"]


@pytest.mark.parametrize("negation", ["non_preferred", "not_chosen", "dis_preferred"])
def test_a_negated_name_is_that_of_the_rejected_answer(negation: str) -> None:
    row = {"prompt": "A tree?", "preferred": "Oak it is.", negation: "Salt it is."}

    found = outcome("dpo", [row])

    assert found == ["chosen=preferred", "prompt=prompt", f"rejected={negation}"]


def test_labels_beside_choices_are_no_answers_to_them_whatever_the_column_is_called() -> None:
    choices = {"text": ["ice", "steam"], "label": ["A", "B"]}

    found = outcome("sl", [{"c1": "Which is solid?", "c2": choices, "c3": "A"}])

    assert found == [
        "completion=choice-by-label(c2.text, c2.label, c3)",
        "prompt=question-with-choices(c1, c2.text)",
    ]


def test_letters_say_nothing_of_a_picture() -> None:
    rows = [{"image": "1.jpg", "answer": letter} for letter in "ABCA"]

    assert outcome("vlm", rows) == "does not fit"
