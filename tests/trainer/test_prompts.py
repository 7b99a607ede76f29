"""Lines that ask: what is read of them, and what never is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from vlm_trainer.errors import RowError
from vlm_trainer.prompts import Prompt, answered_row, read_prompt

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "secret.png").write_bytes(b"secret")
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "a.png").write_bytes(b"a")
    return tmp_path / "rows"


@pytest.mark.parametrize(
    ("row", "prompt"),
    [
        ({"text": "?"}, Prompt("?")),
        ({"prompt": "?", "system": "s"}, Prompt("?", (), "s")),
        ({"text": "?", "image": "a.png"}, Prompt("?", (b"a",))),
        (
            {"text": "?", "images": ["a.png", "data:image/gif;base64,R0lG"]},
            Prompt("?", (b"a", b"GIF")),
        ),
        ({"text": "", "image": None, "response": "7"}, Prompt("")),
    ],
)
def test_a_line_is_a_question(row: dict[str, Any], prompt: Prompt, root: Path) -> None:
    assert read_prompt(json.dumps(row), root) == prompt


@pytest.mark.parametrize(
    ("row", "reason", "where"),
    [
        ("{", "prompt-invalid", "$"),
        ("[1]", "prompt-invalid", "$"),
        ("[" * 100_000, "prompt-invalid", "$"),
        ("{}", "prompt-invalid", "$.text"),
        ('{"text": 7}', "prompt-invalid", "$.text"),
        ('{"text": "?", "system": 7}', "prompt-invalid", "$.system"),
        ('{"text": "?", "image": 7}', "prompt-invalid", "$.images[0]"),
        ('{"text": "?", "image": "b.png"}', "image-unreadable", "$.images[0]"),
        ('{"text": "?", "image": "../secret.png"}', "image-unreadable", "$.images[0]"),
        ('{"text": "?", "image": "/etc/hostname"}', "image-unreadable", "$.images[0]"),
        ('{"text": "?", "image": "a\\u0000"}', "image-unreadable", "$.images[0]"),
        ('{"text": "?", "image": "data:image/gif;base64,R0l"}', "image-unreadable", "$.images[0]"),
    ],
)
def test_what_cannot_be_asked_is_refused(row: str, reason: str, where: str, root: Path) -> None:
    with pytest.raises(RowError) as caught:
        read_prompt(row, root)

    assert (caught.value.reason, caught.value.where) == (reason, where)


@given(
    st.text()
    | VALUES.map(json.dumps)
    | st.dictionaries(st.sampled_from(["text", "prompt", "image", "images", "system"]), VALUES).map(
        json.dumps
    )
)
def test_any_line_is_read_or_refused(line: str) -> None:
    try:
        read_prompt(line, Path("no such folder"))
    except RowError as error:
        assert len(str(error)) < 400


def test_a_link_out_of_the_folder_is_not_followed(root: Path) -> None:
    (root / "link.png").symlink_to(root.parent / "secret.png")

    with pytest.raises(RowError, match="is not below"):
        read_prompt('{"text": "?", "image": "link.png"}', root)


def test_the_row_comes_back_as_it_was() -> None:
    row = {"id": 7, "text": "?", "note": {"a": [1.5]}}

    assert answered_row(row, "!") == {**row, "response": "!"}
    assert answered_row(row, None, "why") == {**row, "response": None, "error": "why"}
