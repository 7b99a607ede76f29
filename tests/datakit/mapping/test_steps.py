"""What steps refuse: nothing is guessed, and what was seen is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlm_datakit.errors import Reason, RowError
from vlm_datakit.mapping.lookup import Found
from vlm_datakit.mapping.steps import STEPS

CHAT = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}]
HH = "\n\nHuman: Hi\n\nAssistant: Yes?"


def step(name, *values, **more):
    places = [f"$.{letter}" for letter in "abcde"]
    found = [Found(value, place) for value, place in zip(values, places, strict=False)]
    return STEPS[name].apply(*found, **more)


def refusal(name, *values, **more) -> tuple[str, str, str]:
    with pytest.raises(RowError) as caught:
        step(name, *values, **more)
    return str(caught.value.reason), caught.value.where, caught.value.seen


def test_every_step_is_documented():
    page = Path(__file__).parents[3].joinpath("docs/mapping.md").read_text()

    assert [name for name in STEPS if f"`{name}(" not in page] == []


@pytest.mark.parametrize(
    ("name", "values", "where", "seen"),
    [
        ("majority-vote", [["a", "b", "b", "a"]], "$.a", '"a" 2 times, and so another'),
        ("choice-by-index", [["a", "b"], 2], "$.b", "2, of 2 choices"),
        ("choice-by-index", [["a", "b"], -1], "$.b", "-1, of 2 choices"),
        ("choice-by-index", [["a", "b"], True], "$.b", "true, of 2 choices"),
        ("choice-by-index", [["a", "b"], "2"], "$.b", '"2", of 2 choices'),
        ("choice-by-index", [["a", "b"], "1.0"], "$.b", '"1.0", of 2 choices'),
        ("choice-by-index", [["a", "b"], "\u0661"], "$.b", '"\u0661", of 2 choices'),
        ("choice-by-index", [["a", "b"], None], "$.b", "null, of 2 choices"),
        ("other-than-choice", [["a", "b", "c"], 1], "$.a", "a list of 3, where two are needed"),
        ("choice-by-label", [["a", "b"], ["A", "A"], "A"], "$.c", '"A", which 2 labels are'),
        ("choice-by-label", [["a", "b"], ["A", "B"], "C"], "$.c", '"C", which 0 labels are'),
        ("winner", [["a", "b"], "tie"], "$.b", '"tie"'),
        ("loser", [["a", "b"], "model_c"], "$.b", '"model_c"'),
        ("winner", [["a"], "A"], "$.a", "a list of 1, where two are needed"),
        ("preferred-by-sign", [["a", "b"], 0], "$.b", "0, neither answer"),
        ("other-by-sign", [["a", "b"], None], "$.b", "null, no number"),
        ("best-by-rating", [["a", "b"], [2, 2.0]], "$.b", "2 2 times"),
        ("best-by-rating", [["a", "b"], [2, "N/A"]], "$.b[1]", '"N/A", no number'),
        ("worst-by-rating", [["a", "b"], [2, "nan"]], "$.b[1]", '"nan", no number'),
        ("best-by-rank", [["a", "b", "c"], [1, 2, 1]], "$.b", "1 2 times"),
        ("worst-by-rank", [["a", "b"], [1, None]], "$.b[1]", "null, no number"),
    ],
)
def test_what_decides_nothing_is_refused(name, values, where, seen):
    assert refusal(name, *values) == (Reason.CHOICE_UNDECIDED, where, seen)


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("majority-vote", [[]], ("field-missing", "$.a", "a list of 0")),
        ("majority-vote", [["a", 7]], ("field-not-text", "$.a[1]", "7")),
        ("first-of-list", [None], ("field-missing", "$.a", "null")),
        ("first-of-list", ["abc"], ("field-wrong-type", "$.a", '"abc"')),
        ("class-name", [3], ("field-not-text", "$.a", "3")),
        (
            "best-by-rating",
            [["a"], [1, 2]],
            ("field-wrong-type", "$.b", "a list of 2 beside a list of 1"),
        ),
        ("join-nonempty", ["", None], ("field-missing", "$.a", "no text that is not empty")),
        ("join-nonempty", ["a", 7], ("field-not-text", "$.b", "7")),
        (
            "question-with-choices",
            ["?", "ice, steam"],
            ("field-wrong-type", "$.b", '"ice, steam", no list'),
        ),
        ("question-with-choices", ["?", [1]], ("field-not-text", "$.b[0]", "1")),
        ("question-with-choices", ["?", ["a"] * 27], ("field-wrong-type", "$.b", "a list of 27")),
        ("json-text", ["{}"], ("field-wrong-type", "$.a", '"{}"')),
        ("json-text", [None], ("field-missing", "$.a", "null")),
        ("json-text", [{"n": float("nan")}], ("number-not-exact", "$.a.n", "NaN")),
        ("turns", [["?"], []], ("field-missing", "$.b", "a list of 0")),
        (
            "turns",
            [["?"], ["a", "b"]],
            ("field-wrong-type", "$.b", "a list of 2 beside a list of 1"),
        ),
        ("turns", [["?", None], ["a", "b"]], ("field-missing", "$.a[1]", "null")),
        ("sharegpt", [[{"from": "bard", "value": "-"}]], ("role-unknown", "$.a[0].from", '"bard"')),
        ("sharegpt", [[{"from": "gpt"}]], ("field-missing", "$.a[0].value", "null")),
        ("transcript", ["Hi"], ("role-unknown", "$.a", '"Hi", no transcript')),
        (
            "transcript",
            ["Say Human: Hi"],
            ("role-unknown", "$.a", '"Say Human: Hi", no transcript'),
        ),
        (
            "transcript",
            [HH + "\n\nAssistant: No"],
            ("roles-out-of-order", "$.a", 'assistant before "No"'),
        ),
        (
            "transcript",
            ["Human:\n\nAssistant: No"],
            ("field-missing", "$.a", "an empty turn of the user"),
        ),
        ("transcript", [None], ("field-missing", "$.a", "null")),
        ("before-last-assistant", [CHAT[:1]], ("answer-missing", "$.a[0]", '"user" speaks last')),
        (
            "before-last-assistant",
            [CHAT[1:]],
            ("field-missing", "$.a", "an answer, and nothing before"),
        ),
        (
            "last-assistant",
            [HH + "\n\nHuman: And?"],
            ("answer-missing", "$.a[2]", '"user" speaks last'),
        ),
        ("last-assistant", [[7]], ("field-wrong-type", "$.a[0]", "7")),
        ("common-prefix", [CHAT, CHAT], ("pair-equal", "$.b", "a list of 2")),
        (
            "common-prefix",
            [CHAT, CHAT[1:]],
            ("field-missing", "$.b", "no message that both begin with"),
        ),
        (
            "messages-with-context",
            [CHAT[1:], "By Ida."],
            ("roles-out-of-order", "$.a", "no message of the user"),
        ),
        ("messages-with-context", [CHAT, 7], ("field-not-text", "$.b", "7")),
        ("image-places", [7], ("field-not-text", "$.a", "7")),
        (
            "image-places",
            ["<image 2> <image 1>"],
            ("image-count-differs", "$.a", "places numbered 2, 1"),
        ),
        (
            "image-places",
            ["<image> <image 1>"],
            ("image-count-differs", "$.a", "places numbered not, 1"),
        ),
        ("interleaved", [["a"], ["b.png"]], ("field-wrong-type", "$.a[0]", "a text and a picture")),
        (
            "interleaved",
            [[None], [None]],
            ("field-wrong-type", "$.a[0]", "neither text nor picture"),
        ),
        (
            "interleaved",
            [["a"], [None, "b"]],
            ("field-wrong-type", "$.b", "a list of 2 beside a list of 1"),
        ),
        ("without-nulls", [[]], ("field-missing", "$.a", "a list of 0")),
    ],
)
def test_what_does_not_fit_is_refused(name, values, expected):
    assert refusal(name, *values) == expected


class TestPicturesByIndex:
    def messages(self, *indexes):
        return [{"role": "user", "content": [{"type": "image", "index": n} for n in indexes]}]

    def test_one_picture_may_stand_twice(self):
        assert step("images-by-index", ["a"], self.messages(0, 0)) == ["a", "a"]

    def test_a_picture_that_no_part_names_would_be_lost(self):
        assert refusal("images-by-index", ["a", "b"], self.messages(1)) == (
            ("image-count-differs", "$.a", "2 pictures, 1 of them named")
        )

    def test_an_index_must_be_there(self):
        assert refusal("images-by-index", ["a"], self.messages(1)) == (
            ("image-count-differs", "$.b[0].content[0].index", "1, of 1 pictures")
        )


class TestPlaces:
    @pytest.mark.parametrize(
        ("text", "parts"),
        [
            ("<image>\n<image>\nCompare.", ["-", "-", "Compare."]),
            ("Compare.\n<image>", ["Compare.", "-"]),
            ("See <image>\nand say.", ["See ", "-", "\nand say."]),
            ("<image>\n\n Say.", ["-", "\n Say."]),
            ("<image>", ["-"]),
            ("<image>\n<image>", ["-", "-"]),
            ("A <image 1>, B <image 2>?", ["A ", "-", ", B ", "-", "?"]),
        ],
    )
    def test_only_line_breaks_beside_leading_and_ending_places_go(self, text, parts):
        content = step("image-places", text)[0]["content"]

        assert [part.get("text", "-") for part in content] == parts

    def test_messages_keep_what_they_have(self):
        given = [{"role": "user", "content": "<image>Who?", "name": "Ida"}, CHAT[1]]

        assert step("image-places", given) == [
            {
                "role": "user",
                "content": [{"type": "image"}, {"type": "text", "text": "Who?"}],
                "name": "Ida",
            },
            CHAT[1],
        ]

    def test_steps_read_places_only_where_a_mapping_names_pictures(self):
        turn = [{"from": "human", "value": "<image>Who?"}]

        assert step("sharegpt", turn)[0]["content"] == "<image>Who?"
        assert len(step("sharegpt", turn, places=True)[0]["content"]) == 2


class TestConversations:
    def test_a_transcript_a_list_of_messages_and_turns_are_read_alike(self):
        shared = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Yes?"}]
        guanaco = "### Human: Hi### Assistant: Yes?"

        for spelled in (CHAT, HH, shared, guanaco, "[USER] Hi [ASSISTANT] Yes?"):
            assert step("before-last-assistant", spelled) == CHAT[:1]
            assert step("last-assistant", spelled) == CHAT[1:]

    def test_pairs_that_part_early_keep_all_their_messages(self):
        more = [{"role": "user", "content": "And?"}, {"role": "assistant", "content": "No."}]
        other = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]

        assert step("common-prefix", CHAT + more, CHAT + other) == CHAT
        assert step("after-common-prefix", CHAT + more, CHAT + other) == more
        assert step("after-common-prefix", CHAT + other, CHAT + more) == other

    def test_a_tag_inside_a_line_is_no_turn(self):
        text = "\n\nHuman: Say Assistant: please\n\nAssistant: Assistant:"

        assert [m["content"] for m in step("transcript", text)] == [
            "Say Assistant: please",
            "Assistant:",
        ]

    def test_what_turns_say_beside_stays(self):
        turn = [{"from": "gpt", "value": "4", "weight": 1.0}]

        assert step("sharegpt", turn) == [{"role": "assistant", "content": "4", "weight": 1.0}]


class TestTexts:
    def test_choices_may_be_spelled_as_json_or_as_python_does(self):
        for spelled in ('["10", "20"]', "['10', '20']", "('10', '20')"):
            assert step("question-with-choices", "?", spelled) == "?\nA. 10\nB. 20"

    def test_an_escape_that_python_has_not_is_no_list(self):
        assert refusal("question-with-choices", "?", r"['\d']")[0] == "field-wrong-type"

    def test_a_hint_stands_above(self):
        assert step("question-with-choices", "?", ["a"], "Think.") == "Think.\n\n?\nA. a"
        assert step("question-with-choices", "?", ["a"], "") == "?\nA. a"

    def test_a_field_of_json_text(self):
        text = '{"gt": {"n": 1.5, "rows": ["a", "b"]}, "s": " x "}'

        assert step("json-sub-field", text, text="gt") == '{"n":1.5,"rows":["a","b"]}'
        assert step("json-sub-field", text, text="gt.rows[-1]") == "b"
        assert step("json-sub-field", text, text="s") == " x "
        assert refusal("json-sub-field", text, text="gt.n") == ("field-not-text", "$.a.gt.n", "1.5")
        assert refusal("json-sub-field", text, text="s.t") == ("field-wrong-type", "$.a.s", '" x "')
        assert refusal("json-sub-field", text, text="no") == ("field-missing", "$.a.no", "null")
        assert refusal("json-sub-field", "{", text="a") == ("field-not-json", "$.a", '"{"')
