"""A row fits the schema of its format exactly if it is read, but for what no schema can say."""

from __future__ import annotations

import functools
from copy import deepcopy
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import orjson
import pytest
from hypothesis import event, given, settings
from jsonschema import Draft202012Validator

from vlm_datakit.conversation import Conversation
from vlm_datakit.errors import RowError
from vlm_datakit.formats import FORMATS
from vlm_datakit.formats.format import row_of
from vlm_datakit.schemas import UNSAID, schema

OF_TURNS = ("sharegpt", "swift")  # with JSON and places in texts: test_schemas_of_turns.py
GOLDEN = Path(__file__).parents[1] / "golden"
VALUES: list[Any] = [
    *(None, True, False, 0, 7, 1.5, "", " ", "a", "a.png", "<image>", [], {}, [None], [""], ["a"]),
    *(
        {"url": "a"},
        {"path": "a"},
        {"bytes": None, "path": "a"},
        {"bytes": 7},
        {"url": {"path": "a"}},
    ),
    *([{}], {"type": "text", "text": "a"}, {"type": "image"}, {"type": "image", "image": "a"}),
    *({"type": "text", "content": "a"}, {"type": "image_path", "content": "a"}),
    *({"role": "user", "content": "a"}, {"role": "assistant", "content": None, "tool_calls": [7]}),
    *([{"role": "user", "content": "a"}], "user", "system", "tool", "image_url", "image_binary"),
    *("\n\nHuman: a\n\nAssistant: b", {"user": "a", "assistant": "b"}),
]


@functools.cache
def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(schema(name))


@functools.cache
def golden(name: str) -> list[str]:
    """Return the rows of a format's golden files, as texts so that none is changed."""
    lines = b"".join(path.read_bytes() for path in sorted(GOLDEN.glob(f"{name}/*/input.jsonl")))
    return [line.decode() for line in lines.splitlines() if is_row(line)]


def is_row(line: bytes) -> bool:
    try:
        return isinstance(orjson.loads(line), dict)
    except ValueError:
        return False


def holders(value: Any) -> list[Any]:
    """Return all that holds something, the outermost first."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    own = [value] if isinstance(value, (dict, list)) else []
    return own + [holder for child in inner for holder in holders(child)]


@st.composite
def changed_rows(draw: st.DrawFn, name: str) -> dict[str, Any]:
    """Draw a row of a format with a few values in it gone, replaced, or put in."""
    if draw(st.booleans()):
        row = orjson.loads(draw(st.sampled_from(golden(name))))
    else:
        rendered = row_of(draw(st.from_type(Conversation)), FORMATS[name])
        row = orjson.loads(orjson.dumps(rendered))
    keys = sorted(
        validator(name).schema.get("properties", {}).keys() | {"image", "images", "prompt"}
    )
    for _ in range(draw(st.integers(0, 3))):
        holder = draw(st.sampled_from(holders(row)))
        value = deepcopy(draw(st.sampled_from(VALUES)))
        if isinstance(holder, list):
            at = draw(st.integers(0, len(holder)))
            holder[at : at + draw(st.integers(0, 1))] = draw(st.sampled_from([[], [value]]))
        elif draw(st.integers(0, 4)) == 0:
            holder[draw(st.sampled_from(keys))] = value
        elif holder:
            key = draw(st.sampled_from(sorted(holder)))
            holder.pop(key) if draw(st.booleans()) else holder.update({key: value})
    return row


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in OF_TURNS])
@given(data=st.data())
@settings(max_examples=100)
def test_a_row_fits_exactly_if_it_is_read(name: str, data: st.DataObject) -> None:
    row = data.draw(changed_rows(name))
    try:
        FORMATS[name].parse(row)
    except RowError as error:
        event(f"{error.reason}")
        is_in_text = isinstance(row.get("tools"), str) and error.where.startswith("$.tools")
        if error.reason not in UNSAID and not is_in_text:
            assert not validator(name).is_valid(row)
    else:
        event("read")
        validator(name).validate(row)


@pytest.mark.parametrize("name", ["preference", "trl"])
@pytest.mark.parametrize("nothing", [None, "", [], {}, [{}], [[None, ""]], {"bytes": None}])
def test_a_column_of_nulls_holds_no_picture(name: str, nothing: Any) -> None:
    row = {"prompt": "2 + 2?", "completion": "4", "chosen": "4", "rejected": "5", "image": nothing}
    assert FORMATS[name].parse(row).images == ()
    validator(name).validate(row)
