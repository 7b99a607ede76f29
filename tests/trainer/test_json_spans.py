"""What is form in a JSON text and what says something, for any JSON and any way to write it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlm_trainer.json_spans import structure_spans

words = st.text(max_size=8) | st.sampled_from(['"', "\\", '": ', "{[,:]}", " ", "\u2028", "é\n"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
documents = values.filter(lambda value: isinstance(value, (dict, list)))
layouts = st.fixed_dictionaries(
    {
        "indent": st.sampled_from([None, 0, 2, "\t"]),
        "separators": st.sampled_from([None, (",", ":"), (" , ", " : ")]),
        "ensure_ascii": st.booleans(),
    }
)


def said(value: Any, *, keys: bool, ascii_only: bool) -> Iterator[str]:
    """Yield what a document says, in order, as JSON spells it but without quotes."""
    if value in ({}, [], ""):
        yield {dict: "{}", list: "[]", str: '""'}[type(value)]
    elif isinstance(value, dict):
        for key, inner in value.items():
            if keys:
                yield json.dumps(key, ensure_ascii=ascii_only)[1:-1]
            yield from said(inner, keys=keys, ascii_only=ascii_only)
    elif isinstance(value, list):
        for inner in value:
            yield from said(inner, keys=keys, ascii_only=ascii_only)
    else:
        text = json.dumps(value, ensure_ascii=ascii_only)
        yield text[1:-1] if isinstance(value, str) else text


@given(documents, layouts, st.booleans(), st.sampled_from(["", " ", "\n\t"]))
def test_what_is_left_is_what_the_document_says(
    document: Any, layout: dict[str, Any], keys: bool, around: str
) -> None:
    text = around + json.dumps(document, **layout) + around

    spans = structure_spans(text, keys=keys)

    assert spans is not None
    borders = [0, *(place for span in spans for place in span), len(text)]
    assert borders == sorted(borders)
    left = "".join(text[a:b] for a, b in zip(borders[::2], borders[1::2], strict=True))
    assert left == "".join(said(document, keys=not keys, ascii_only=layout["ensure_ascii"]))
    form = "".join(text[start:stop] for start, stop in spans)
    assert keys or not set(form) - set('{}[]",: \n\t')


@given(st.text() | st.text('{}[]",:\\ 1a\n', max_size=12))
def test_any_text_is_json_or_left_alone(text: str) -> None:
    spans = structure_spans(text)

    try:
        is_json = isinstance(json.loads(text), (dict, list)) and "NaN" not in text
    except ValueError:
        is_json = False
    assert (spans is not None) == is_json


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("7", id="a number"),
        pytest.param('"seven"', id="a quoted word"),
        pytest.param('Here: {"a": 1}', id="words before"),
        pytest.param('```json\n{"a": 1}\n```', id="a code fence"),
        pytest.param('{"a": 1} {"b": 2}', id="two documents"),
        pytest.param('{"a": 1', id="cut short"),
        pytest.param('{"a": NaN}', id="NaN"),
        pytest.param("{'a': 1}", id="Python"),
        pytest.param("[" * 100_000 + "]" * 100_000, id="very deep"),
    ],
)
def test_what_is_no_json_document_has_no_form(text: str) -> None:
    assert structure_spans(text) is None


def test_a_number_of_any_length_is_a_number() -> None:
    assert structure_spans("[" + "7" * 10_000 + "]") == [(0, 1), (10_001, 10_002)]


def test_names_of_fields_are_form_when_asked() -> None:
    text = '{"a": "b", "": ""}'

    plain, with_keys = (structure_spans(text, keys=keys) for keys in (False, True))

    assert [text[a:b] for a, b in plain or ()] == ['{"', '": "', '", "": ', "}"]
    assert [text[a:b] for a, b in with_keys or ()] == ['{"a": "', '", "": ', "}"]
