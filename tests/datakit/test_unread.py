"""Columns that no format may pass over: pictures, sounds, and marks of bad answers."""

from __future__ import annotations

from typing import Any

import pytest

from vlm_datakit import Rejected, convert
from vlm_datakit.errors import Reason

TURNS = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "!"}]
SAID = {"from": "human", "value": "?"}, {"from": "gpt", "value": "!"}
STRUCT = {"bytes": None, "path": None}


def outcome(row: Any, source: str) -> Any:
    rejects: list[Rejected] = []
    rows = list(convert([row], source=source, target="openai", rejects=rejects))
    return rejects[0].reason if rejects else rows[0]["messages"][-1]["role"]


@pytest.mark.parametrize(
    ("row", "source", "reason"),
    [
        pytest.param(
            {"messages": TURNS, "image": "a.png"}, "openai", Reason.IMAGE_COUNT_DIFFERS, id="image"
        ),
        pytest.param(
            {"question": "?", "answer": "!", "img": "a.JPG"},
            "qa",
            Reason.IMAGE_COUNT_DIFFERS,
            id="img",
        ),
        pytest.param(
            {"messages": TURNS, "videos": ["a.mp4"]}, "openai", Reason.PART_UNKNOWN, id="videos"
        ),
        pytest.param(
            {"messages": TURNS, "kto_tag": 0}, "openai", Reason.LAYOUT_DIFFERS, id="kto_tag 0"
        ),
        pytest.param(
            {"messages": TURNS, "label": False}, "openai", Reason.LAYOUT_DIFFERS, id="label false"
        ),
        pytest.param(
            {"question": "?", "answer": "!", "kto_tag": "False"},
            "qa",
            Reason.LAYOUT_DIFFERS,
            id="a mark in CSV",
        ),
        pytest.param(
            {"messages": [TURNS[0], {**TURNS[1], "weight": 0}]},
            "trl",
            Reason.LAYOUT_DIFFERS,
            id="an answer not to be learnt",
        ),
        pytest.param(
            {"question": "?", "answer": "!", "system": "s"},
            "qa",
            Reason.LAYOUT_DIFFERS,
            id="a system prompt",
        ),
        pytest.param(7, "openai", Reason.ROW_NOT_OBJECT, id="no row"),
    ],
)
def test_what_would_teach_something_else_is_refused(row: Any, source: str, reason: Reason) -> None:
    assert outcome(row, source) == reason


@pytest.mark.parametrize(
    "beside",
    [
        pytest.param({"image": None, "videos": []}, id="nulls"),
        pytest.param({"image": STRUCT, "images": [STRUCT]}, id="nulls of Arrow"),
        pytest.param({"kto_tag": True, "label": 1}, id="good marks"),
        pytest.param({"label": 0}, id="a class"),
        pytest.param({"label": "False"}, id="a class called False"),
        pytest.param({"picture": "a red house", "img": " ", "audio": False}, id="descriptions"),
        pytest.param({"source": "web"}, id="anything else"),
    ],
)
def test_what_says_nothing_is_passed_over(beside: dict[str, Any]) -> None:
    assert outcome({"messages": TURNS, **beside}, "openai") == "assistant"


def test_one_text_is_one_folder_and_one_loss(tmp_path) -> None:
    row = {"text": "?", "image": "etc/hostname", "response": "!"}
    rejects: list[Rejected] = []

    options: Any = {"image_roots": str(tmp_path), "lossy": "all", "rejects": rejects}
    rows = list(convert([row], source="simple", target="simple", **options))

    assert (rows, rejects[0].reason) == ([], Reason.IMAGE_FILE_MISSING)
