"""Suggestions for any rows: no crash, the same each time, and each of them makes good rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import hypothesis.strategies as st
from hypothesis import given

from vlm_datakit.checks import check
from vlm_datakit.conversation import Image
from vlm_datakit.errors import RowError
from vlm_datakit.mapping.apply import format_of
from vlm_datakit.mapping.fieldmap import field_map, parse_entry
from vlm_datakit.mapping.parser import parser_of
from vlm_datakit.mapping.suggest import GOALS, DoesNotFit, Suggestion, suggest

PIXEL = Image(b"", "image/png", 1, 1)
names = st.sampled_from(
    ["question", "answer", "chosen", "rejected", "image", "image_1", "messages", "a.b", "x[*]", "",
     "choices", "label", "response_a", "response_b", "winner", "scores", "system", "c1", "c2", "`",
     "caption", "bbox", "old_x", "new_x", "code", "title", "positive", "labels", "source"]
)  # fmt: skip
leaves = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 3), st.floats(), st.text(max_size=3),
    st.sampled_from(["What is it?", "A cat sits here.", "<image>\nWhat?", "a/b.png", "model_a",
                     "\n\nHuman: Hi\n\nAssistant: Ho", "['a', 'b']", "B", b"\xff\xd8\xff\xe0",
                     b"fLaC", "a.wav", "1", "@@ -1 +1 @@"]),
)  # fmt: skip
turns = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system", 7, [], None]), "content": leaves}
) | st.fixed_dictionaries({"from": st.sampled_from(["human", "gpt", "x", None]), "value": leaves})
values = st.recursive(
    leaves | turns | st.fixed_dictionaries({"bytes": leaves, "path": leaves}),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
rows = st.dictionaries(names, values, max_size=6)
features = st.none() | st.dictionaries(
    names,
    st.sampled_from(
        [{"_type": "Image"}, {"_type": "List", "feature": {"_type": "Image"}}, [{"_type": "Image"}],
         {"_type": "ClassLabel", "names": ["a"]}, {"_type": "Audio"}, {"_type": 7}, [], "text",
         None, {"a": []}]
    ),
)  # fmt: skip


def is_good(suggestion: Suggestion, row: Mapping[str, Any]) -> bool:
    mapping = suggestion.mapping
    name = suggestion.format if mapping is None else format_of(mapping)
    assert name is not None
    try:
        draft = parser_of(name, mapping)(row)
        check(draft.with_images((PIXEL,) * len(draft.images)))
    except RowError:
        return False
    return True


@given(features, st.lists(rows, max_size=3), st.sampled_from(GOALS))
def test_any_rows_are_looked_at_and_what_is_suggested_makes_good_rows(
    known: dict[str, Any] | None, given_rows: list[dict[str, Any]], goal: str
) -> None:
    found = suggest(known, given_rows, goal)

    assert repr(suggest(known, given_rows, goal)) == repr(found)
    if isinstance(found, DoesNotFit):
        assert found.reason
        return
    for suggestion in found:
        assert any(is_good(suggestion, row) for row in given_rows)


@given(st.lists(rows, min_size=1, max_size=2), st.sampled_from(GOALS))
def test_the_flags_are_the_mapping(given_rows: list[dict[str, Any]], goal: str) -> None:
    found = suggest(None, given_rows, goal)

    for suggestion in () if isinstance(found, DoesNotFit) else found:
        if suggestion.mapping is not None:
            flags = zip(suggestion.flags[::2], suggestion.flags[1::2], strict=True)
            entries = [parse_entry(value) for flag, value in flags if flag == "--map"]
            assert field_map(entries, suggestion.mapping.format) == suggestion.mapping
