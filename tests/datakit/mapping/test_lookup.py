"""Which value a path leads to, and which rows show that it leads nowhere."""

from __future__ import annotations

import pytest

from vlm_datakit.errors import RowError
from vlm_datakit.mapping.lookup import column_of, leads_nowhere, look

ROW = {
    "answers": ["3 May", "May 3"],
    "a.b": 1,
    "a": {"b": 2, "c.d": 3, "c": {"d": 4}, "[0]": 5},
    "x[0]": 6,
    "x": [7],
    "[0]": 8,
    "none": None,
    "texts": [{"user": "1?"}, {"user": "2?"}, {}, None],
    "": 9,
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("answers[0]", "3 May"),
        ("answers[-2]", "3 May"),
        ("answers[2]", None),
        ("answers[-3]", None),
        ("a.b", 1),
        ("a.c.d", 3),
        ("a[0]", 5),
        ("x[0]", 6),
        ("x[-1]", 7),
        ("[0]", 8),
        ("", 9),
        ("none.deep[3]", None),
        ("texts[*].user", ["1?", "2?", None, None]),
        ("texts[1].user", "2?"),
        ("no", None),
        ("a.no", None),
    ],
)
def test_a_path_leads_to(path, value):
    assert look(ROW, path) == value


@pytest.mark.parametrize(
    ("path", "where", "seen"),
    [
        ("answers[0].text", "$.answers[0]", '"3 May"'),
        ("answers.text", "$.answers", "a list of 2"),
        ("answers[x]", "$.answers", "a list of 2"),
        ("answers[1", "$.answers", "a list of 2"),
        ("answers[0]x", "$.answers", "a list of 2"),
        ("answers[99999999999]", "$.answers", "a list of 2"),
        ("a.c[0]", "$.a.c", "an object with d"),
        ("texts[*].user.name", "$.texts[*].user", '"1?"'),
    ],
)
def test_a_path_through_the_wrong_kind_of_value_is_refused(path, where, seen):
    with pytest.raises(RowError) as caught:
        look(ROW, path)

    assert (caught.value.reason, caught.value.where, caught.value.seen) == (
        "field-wrong-type",
        where,
        seen,
    )
    assert leads_nowhere(ROW, path)


@pytest.mark.parametrize(
    ("path", "is_wrong"),
    [
        *[("no", True), ("a.no", True), ("texts[*].no", True), ("texts[2].user", True)],
        *[("none.no", False), ("answers[9].no", False), ("texts[3].user", False), ("a.b", False)],
    ],
)
def test_null_and_short_lists_show_nothing(path, is_wrong):
    assert leads_nowhere(ROW, path) is is_wrong


def test_the_longest_column_is_the_one():
    assert column_of(ROW, "a.b") == "a.b"
    assert column_of(ROW, "a.c.d") == "a"
    assert column_of(ROW, "b.c") is None
