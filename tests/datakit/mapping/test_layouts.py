"""Layouts of public data sets, each with an invented row: the mappings that an expert chose."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from vlm_datakit.checks import check
from vlm_datakit.conversation import Draft, Image, Message
from vlm_datakit.errors import UsageError
from vlm_datakit.mapping.apply import format_of
from vlm_datakit.mapping.fieldmap import FieldMap, field_map, parse_entry
from vlm_datakit.mapping.file import parse_mapping, yaml_text
from vlm_datakit.mapping.parser import parser_of
from vlm_datakit.turns import count_images, spoken

LAYOUTS = [
    json.loads(line)
    for line in Path(__file__).parents[2].joinpath("data/layouts.jsonl").read_bytes().splitlines()
]
CASES = [
    pytest.param(layout, task, id=f"{layout['id']}-{task}")
    for layout in LAYOUTS
    for task, case in layout["cases"].items()
    if case["map"] is not None
]
# Why no mapping of one row can do it.
UNFIT = {
    ("bigcode/the-stack", "sl"),  # no prompt, and a conversation begins with the user
    ("nielsr/funsd", "vlm"),  # labels of tokens are no answer in words
    ("OpenAssistant/oasst1", "sl"),  # a conversation is spread over rows
}
PIXEL = Image(b"", "image/png", 1, 1)


def mapping_for(layout: dict[str, Any], task: str) -> FieldMap:
    return field_map(map(parse_entry, layout["cases"][task]["map"]))


def row_of(layout: dict[str, Any]) -> dict[str, Any]:
    """Return the row as a source hands it in: bytes as bytes, classes by their names."""
    row = {name: with_bytes(value) for name, value in layout["row"].items()}
    for name, feature in layout["features"].items():
        if feature.get("_type") == "ClassLabel":
            row[name] = feature["names"][row[name]]
    return row


def with_bytes(value: Any) -> Any:
    if isinstance(value, list):
        return [with_bytes(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    if "$b64" in value:
        return base64.b64decode(value["$b64"])
    return {key: with_bytes(inner) for key, inner in value.items()}


def texts(messages: tuple[Message, ...]) -> list[dict[str, str]]:
    return [{"role": m.role, "content": spoken(m).strip()} for m in messages]


def stripped(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{"role": m["role"], "content": m["content"].strip()} for m in messages]


def is_said(text: str, expected: str | list[str] | None) -> bool:
    """Whether a question is the expected one: None is any, a list what it must contain."""
    if isinstance(expected, list):
        return all(part in text for part in expected)
    return expected is None or text.strip() == expected.strip()


def only_text(messages: tuple[Message, ...]) -> str:
    (message,) = messages
    assert message.role == "assistant"
    return spoken(message)


def hold_to_answers(draft: Draft, expect: dict[str, Any]) -> None:
    assert draft.prompt_messages is not None
    prompt = draft.messages[: draft.prompt_messages]
    if "prompt_messages" in expect:
        assert texts(prompt) == stripped(expect["prompt_messages"])
    for part in expect.get("prompt_contains", []):
        assert part in "".join(map(spoken, prompt))
    answer = only_text(draft.messages[draft.prompt_messages :])
    assert answer == expect.get("completion", expect.get("chosen"))
    if "rejected" in expect:
        assert only_text(draft.rejected) == expect["rejected"]


def hold_to_turns(draft: Draft, expect: dict[str, Any]) -> None:
    assert draft.prompt_messages is None
    messages = list(draft.messages)
    if "system" in expect:
        assert spoken(messages.pop(0)) == expect["system"]
    assert [m.role for m in messages] == ["user", "assistant"] * len(expect["turns"])
    for index, (question, answer) in enumerate(expect["turns"]):
        asked, said = map(spoken, messages[2 * index : 2 * index + 2])
        assert is_said(asked, question)
        assert said in expect.get("answer_forms", [answer])
        assert "<image" not in asked


@pytest.mark.parametrize(("layout", "task"), CASES)
def test_the_mapping_gives_what_an_expert_expects(layout: dict[str, Any], task: str) -> None:
    mapping, expect = mapping_for(layout, task), layout["cases"][task]["expect"]

    draft = parser_of(format_of(mapping), mapping)(row_of(layout))

    (hold_to_turns if task == "vlm" else hold_to_answers)(draft, expect)
    assert len(draft.images) == count_images(draft.messages) == expect.get("images", 0)
    check(draft.with_images((PIXEL,) * len(draft.images)))


@pytest.mark.parametrize(("layout", "task"), CASES)
def test_the_mapping_comes_back_from_its_flags_and_from_its_file(
    layout: dict[str, Any], task: str
) -> None:
    mapping = mapping_for(layout, task)

    assert field_map(parse_entry(str(entry)) for entry in mapping.entries) == mapping
    assert parse_mapping(yaml_text(mapping).encode(), "m.yaml") == mapping


def test_the_layouts_that_no_row_mapping_fits_are_known() -> None:
    unfit = {
        (layout["id"], task)
        for layout in LAYOUTS
        for task, case in layout["cases"].items()
        if case["map"] is None
    }

    assert unfit == UNFIT


def test_a_completion_without_a_prompt_is_said_before_anything_is_read() -> None:
    with pytest.raises(UsageError, match="completion without prompt"):
        format_of(field_map([parse_entry("completion=content")]))
