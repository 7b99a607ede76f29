"""Paths and steps meet any JSON without a crash; a mapping comes back from all its spellings."""

from __future__ import annotations

import json
from typing import Any

import hypothesis.strategies as st
import orjson
from hypothesis import given

from vlm_datakit.checks import plain_checker
from vlm_datakit.errors import RowError, UsageError
from vlm_datakit.formats import FORMATS, plain_of
from vlm_datakit.mapping.apply import format_of
from vlm_datakit.mapping.fieldmap import Entry, FieldMap, field_map, parse_entry, value_entry
from vlm_datakit.mapping.file import parse_mapping, yaml_text
from vlm_datakit.mapping.lookup import Found, column_of, leads_nowhere, look
from vlm_datakit.mapping.parser import mapped_plain, parser_of
from vlm_datakit.mapping.steps import STEPS
from vlm_datakit.plain import PlainRow, conversation_of

keys = st.one_of(st.sampled_from(["a", "b", "a.b", "a[0]", "[0]", "", ".", "role", "content"]))
leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4),
    st.sampled_from(["<image>\n?", "<image 1>", "Human: a\n\nAssistant: b", "[USER] a", "['a']"]),
)  # fmt: skip
messages = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(["user", "assistant", 7]),
        "content": leaves | st.lists(st.fixed_dictionaries({"type": leaves, "index": leaves})),
        "from": st.sampled_from(["human", "gpt", "x", None]),
        "value": leaves,
    },
)
values = st.recursive(
    leaves | messages,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)
rows = st.dictionaries(keys, values, max_size=4)
segments = st.sampled_from(
    ["a", "b", ".a", ".b", "[0]", "[-1]", "[*]", "[", "]", "[x]", ".", "[9]"]
)
paths = st.lists(segments, max_size=5).map("".join)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
roles = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6).filter(
    lambda role: role.isprintable() and not any(c.isspace() or c == "=" for c in role)
)
columns = texts | st.lists(texts, min_size=1, max_size=3).map(tuple)
steps = st.from_regex(r"[a-z][a-z0-9-]{0,6}", fullmatch=True).filter(
    lambda name: name not in ("column", "constant", "template")
)
templates = st.lists(
    st.sampled_from(["a", " ", "{b}", "{c.d[0]}", "{{", "}}", '"', "`", "(", ")", "[", ",", "\n"])
).map("".join)

PLAIN_MAPS = [
    ("conversation", ("prompt=a", "response=b")),
    ("answer", ("prompt=a", "completion=b", "id=a.b")),
    ("pair", ("prompt=a", "chosen=b", "rejected=a.b")),
    ("conversation", ("prompt=a", "response=b", "system=a.b")),
    ("conversation", ("messages=a",)),
    ("conversation", ('prompt="?"', "response={a}!")),
]


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    role = draw(roles)
    how = draw(st.sampled_from(["column", "constant", "template", "step"]))
    if how == "column":
        return Entry(role, (draw(columns),))
    if how == "step":
        taken = draw(st.lists(columns, min_size=1, max_size=3).map(tuple))
        return Entry(role, taken, draw(steps), draw(st.none() | texts))
    return Entry(role, (), how, draw(texts if how == "constant" else templates))


@given(rows, paths)
def test_a_path_never_crashes(row: dict[str, Any], path: str) -> None:
    column_of(row, path)
    nowhere = leads_nowhere(row, path)
    try:
        found = look(row, path)
    except RowError as error:
        assert error.where.startswith("$")
        return
    assert not nowhere or found is None or "[*]" in path


@given(rows, st.sampled_from(["a", "b", "a.b", "a[0]", "", "."]))
def test_a_key_that_is_spelled_as_the_path_wins(row: dict[str, Any], key: str) -> None:
    assert look({**row, key: "it"}, key) == "it"


@given(st.data(), st.sampled_from(sorted(STEPS)))
def test_a_step_refuses_or_returns_whatever_it_meets(data: st.DataObject, name: str) -> None:
    step = STEPS[name]
    count = data.draw(st.integers(step.least, min(step.most, 3)))
    found = [Found(data.draw(values), f"$.{n}") for n in "abc"[:count]]
    more: dict[str, Any] = {"places": data.draw(st.booleans())} if step.places else {}
    if step.text[0]:
        more["text"] = data.draw(paths)
    try:
        step.apply(*found, **more)
    except RowError as error:
        assert error.where.startswith("$.")
        assert orjson.dumps([error.where, error.seen])


@given(entries())
def test_an_entry_comes_back_from_its_flag(entry: Entry) -> None:
    assert parse_entry(str(entry)) == entry


@given(roles, st.text(max_size=20))
def test_a_flag_is_an_entry_or_a_usage_error(role: str, value: str) -> None:
    try:
        entry = value_entry(role, value)
    except UsageError:
        return
    assert parse_entry(str(entry)) == entry


@given(st.lists(entries(), min_size=1, max_size=4, unique_by=lambda e: e.role), st.none() | texts)
def test_a_mapping_comes_back_from_its_file(made: list[Entry], format_: str | None) -> None:
    mapping = field_map(made, format_ or None)

    assert parse_mapping(yaml_text(mapping).encode(), "m.yaml") == mapping


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda t: t.encode(errors="ignore")))
def test_any_file_is_a_mapping_or_a_usage_error(data: bytes) -> None:
    try:
        assert isinstance(parse_mapping(b"mapping: 1\nfields:\n  a: " + data, "m"), FieldMap)
    except UsageError as error:
        assert json.dumps(str(error))


@given(rows, st.sampled_from(PLAIN_MAPS))
def test_a_plain_row_is_what_its_parsing_gives(
    row: dict[str, Any], given_: tuple[str, tuple[str, ...]]
) -> None:
    layout, flags = given_
    mapping = field_map(map(parse_entry, flags))
    name = format_of(mapping)

    plain = mapped_plain(plain_of(FORMATS[name]), mapping)
    found = plain_checker(plain, layout, with_images=False)(row)

    if found is not None:
        draft = parser_of(name, mapping)(row)
        assert conversation_of(PlainRow(found.shape, found.texts, (), found.id)) == (
            draft.with_images(())
        )
        assert draft.images == draft.warnings == ()
