"""A row of the shards as the trainer reads it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from vlm_trainer.conversation import from_columns

TOOL = {"type": "function", "function": {"name": "look_up"}}


@pytest.mark.parametrize(
    ("tools", "read"),
    [
        pytest.param(None, (), id="none"),
        pytest.param("null", (), id="null"),
        pytest.param("[]", (), id="an empty list"),
        pytest.param(json.dumps([TOOL, TOOL]), (TOOL, TOOL), id="a list"),
        pytest.param(json.dumps(TOOL), (TOOL,), id="one alone"),
    ],
)
def test_schemas_of_tools_are_read_whole(rows: Any, tools: str | None, read: Any) -> None:
    row = {**rows.chat_row("a", rows.message("user", "?")), "tools": tools}

    assert from_columns(row).tools == read
