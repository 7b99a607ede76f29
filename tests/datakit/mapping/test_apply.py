"""Which roles make a row, what is built of them, and where an error says it stands."""

from __future__ import annotations

import pytest

from vlm_datakit.conversation import ImageRef, Text
from vlm_datakit.errors import RowError, UsageError
from vlm_datakit.mapping.apply import format_of
from vlm_datakit.mapping.fieldmap import Entry, FieldMap, field_map, parse_entry, with_entries
from vlm_datakit.mapping.parser import parser_of, settled
from vlm_datakit.turns import spoken

PICTURE = "data:image/png;base64,iVBORw0KGgo="


def mapping(*flags: str, format_: str | None = None) -> FieldMap:
    return field_map(map(parse_entry, flags), format_)


def parsed(row, *flags: str, format_: str | None = None):
    made = mapping(*flags, format_=format_)
    return parser_of(format_of(made), made)(row)


def refusal(row, *flags: str, format_: str | None = None) -> tuple[str, str, str]:
    with pytest.raises(RowError) as caught:
        parsed(row, *flags, format_=format_)
    return str(caught.value.reason), caught.value.where, caught.value.seen


def said(draft) -> list[tuple[str, str]]:
    return [(message.role, spoken(message)) for message in draft.messages]


class TestRoles:
    @pytest.mark.parametrize(
        ("flags", "format_"),
        [
            (["prompt=a", "response=b"], "trl"),
            (["text=a", "response=b", "image=c"], "trl"),
            (["question=a", "completion=b"], "trl"),
            (["prompt=a", "chosen=b", "rejected=c", "id=d", "tools=e"], "preference"),
            (["messages=a", "system=b"], "openai"),
            (["messages=a", "images=b"], "trl"),
        ],
    )
    def test_the_roles_decide_what_is_built(self, flags, format_):
        assert format_of(mapping(*flags)) == format_

    @pytest.mark.parametrize(
        ("flags", "words"),
        [
            (["prompt=a"], "prompt without response; a row is made of prompt + response; "),
            (["prompt=a", "chosen=b"], "chosen and prompt without rejected; "),
            (["images=a"], "nothing that is said makes no row"),
            (
                ["prompt=a", "response=b", "completion=c"],
                "completion and prompt and response makes",
            ),
            (["messages=a", "prompt=b"], "messages and prompt makes no row"),
            (["prompt=a", "text=b", "response=c"], "prompt is the same role, given already"),
            (["promt=a", "response=b"], "no such role; did you mean prompt?"),
            (["prompt=[a, b]", "response=c"], "only images takes several columns"),
            (["prompt=frist-of-list(a)", "response=c"], "did you mean first-of-list?"),
            (["prompt=first-of-list(a, b)", "response=c"], "first-of-list takes 1 column"),
            (["prompt=question-with-choices(a)", "response=c"], "takes 2 to 3 columns"),
            (['prompt=first-of-list(a, "b")', "response=c"], "takes no quoted text"),
            (
                ["prompt=common-prefix(a, b)", "chosen=last-assistant(a)", "rejected=b"],
                "after-common-prefix gives all that follow",
            ),
            (["prompt=json-sub-field(a)", "response=c"], "takes a quoted text behind its column"),
        ],
    )
    def test_what_makes_no_row_is_said(self, flags, words):
        with pytest.raises(UsageError) as caught:
            format_of(mapping(*flags))

        assert words in str(caught.value)

    @pytest.mark.parametrize(
        "entry",
        [
            Entry("prompt"),
            Entry("prompt", ("a", "b")),
            Entry("prompt", how="constant"),
            Entry("prompt", how="template"),
            Entry("prompt", how="template", text="{"),
            Entry("prompt", ((),)),
            Entry("prompt", ((), "a"), "turns"),
            Entry("a b", ("c",)),
            Entry("a=b", ("c",)),
            Entry("", ("c",)),
        ],
    )
    def test_an_entry_made_by_hand_is_held_to_the_same(self, entry):
        with pytest.raises(UsageError):
            format_of(FieldMap((entry,), "openai"))

    def test_a_role_stands_once_and_an_override_replaces_it(self):
        with pytest.raises(UsageError, match="mapped already, as prompt=a"):
            mapping("prompt=a", "prompt=b")

        changed = with_entries(mapping("prompt=a", "response=b"), [parse_entry("prompt=c")])

        assert [*map(str, changed.entries)] == ["prompt=c", "response=b"]

    def test_the_order_of_flags_means_nothing(self):
        assert mapping("prompt=a", "response=b") == mapping("response=b", "prompt=a")

    def test_a_named_format_counts_before_that_of_the_file(self):
        made = mapping("text=q", "response=a", format_="simple")

        assert settled(made, "auto")[0] == "simple"
        assert settled(made, "trl")[0] == "trl"


class TestRows:
    def test_a_response_ends_a_conversation_and_a_completion_answers_a_prompt(self):
        row = {"q": "2 + 2?", "a": "4"}

        assert parsed(row, "prompt=q", "response=a").prompt_messages is None
        assert parsed(row, "prompt=q", "completion=a").prompt_messages == 1

    def test_pictures_stand_before_the_first_user_text(self):
        row = {"q": "?", "a": "!", "s": "Be brief.", "p": PICTURE, "p2": None, "p3": PICTURE}

        draft = parsed(row, "prompt=q", "response=a", "system=s", "images=[p, p2, p3]")

        assert [message.role for message in draft.messages] == ["system", "user", "assistant"]
        assert draft.messages[1].content == (ImageRef(), ImageRef(), Text("?"))
        assert [image.where for image in draft.images] == ["$.p", "$.p3"]

    def test_a_system_text_that_is_empty_null_or_absent_says_nothing(self):
        for row in ({"s": ""}, {"s": None}, {}):
            draft = parsed({"q": "?", "a": "!", **row}, "prompt=q", "response=a", "system=s")

            assert said(draft) == [("user", "?"), ("assistant", "!")]

    def test_the_system_stands_before_messages_too(self):
        chat = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "!"}]

        draft = parsed({"chat": chat}, "messages=chat", 'system="Be brief."')

        assert said(draft)[0] == ("system", "Be brief.")

    def test_a_row_without_a_picture_is_text(self):
        row = {"q": "?", "a": "!", "p": None}

        assert parsed(row, "prompt=q", "response=a", "image=p").images == ()

    def test_texts_are_kept_to_the_character(self):
        row = {"q": " ?\r\n", "a": "\t007 "}

        assert said(parsed(row, "prompt=q", "response=a")) == [
            ("user", " ?\r\n"),
            ("assistant", "\t007 "),
        ]

    @pytest.mark.parametrize(("value", "id_"), [("a", "a"), (7, "7"), (0.5, None), (True, None)])
    def test_a_column_id_is_the_rows_id_if_it_can_be(self, value, id_):
        assert parsed({"q": "?", "a": "!", "id": value}, "prompt=q", "response=a").id == id_

    def test_another_column_may_be_the_id(self):
        row = {"q": "?", "a": "!", "id": 7, "key": "k-1"}

        assert parsed(row, "prompt=q", "response=a", "id=key").id == "k-1"

    def test_constants_and_templates(self):
        row = {"field": "total", "a": "42"}

        draft = parsed(row, "prompt=Read the {field} {{here}}.", "response=a", 'system="Do {it}"')

        assert said(draft)[:2] == [("system", "Do {it}"), ("user", "Read the total {here}.")]

    def test_a_template_takes_texts_only(self):
        row = {"n": 7, "a": "!"}

        assert refusal(row, "prompt=Page {n}", "response=a") == ("field-not-text", "$.n", "7")

    def test_under_a_named_format_roles_are_its_columns(self):
        row = {"q": "?", "a": "!", "text": "not this"}

        draft = parsed(row, "text=q", "response=a", format_="simple")

        assert said(draft) == [("user", "?"), ("assistant", "!")]
        assert draft.warnings == ()


class TestPlaces:
    @pytest.mark.parametrize(
        ("row", "flags", "expected"),
        [
            ({}, ["prompt=q", "response=a"], ("field-missing", "$.q", "null")),
            (
                {"q": "?", "as": []},
                ["prompt=q", "response=as[0]"],
                ("field-missing", "$.as[0]", "null"),
            ),
            (
                {"q": "?", "as": "4"},
                ["prompt=q", "response=as[0]"],
                ("field-wrong-type", "$.as", '"4"'),
            ),
            (
                {"q": [{"role": "user", "content": 7}], "a": "!"},
                ["prompt=q", "response=a"],
                ("field-wrong-type", "$.q[0].content", "7"),
            ),
            (
                {"q": [{"role": "user", "content": 7}], "a": "!", "s": "-"},
                ["prompt=q", "response=a", "system=s"],
                ("field-wrong-type", "$.q[0].content", "7"),
            ),
            (
                {"q": "?", "a": "!", "s": 7},
                ["prompt=q", "response=a", "system=s"],
                ("field-not-text", "$.s", "7"),
            ),
            (
                {"q": "?", "good": "x", "bad": "x"},
                ["prompt=q", "chosen=good", "rejected=bad"],
                ("pair-equal", "$.bad", '"x"'),
            ),
            (
                {"q": "?", "a": "!", "p": 7},
                ["prompt=q", "response=a", "image=p"],
                ("field-wrong-type", "$.p", "7"),
            ),
            (
                {"q": "?", "a": "!", "ps": [PICTURE, 7]},
                ["prompt=q", "response=a", "images=ps"],
                ("field-wrong-type", "$.ps[1]", "7"),
            ),
            (
                {"q": "?", "a": "!", "ps": [{"f": PICTURE}, {"f": 7}]},
                ["prompt=q", "response=a", "images=ps[*].f"],
                ("field-wrong-type", "$.ps[1].f", "7"),
            ),
            (
                {"q": "<image><image>?", "a": "!", "p": PICTURE},
                ["prompt=image-places(q)", "response=a", "image=p"],
                ("image-count-differs", "$.p", "2 places for 1 images"),
            ),
            (
                {"q": "?", "a": "!", "fns": "{"},
                ["prompt=q", "response=a", "tools=fns"],
                ("field-not-json", "$.fns", '"{"'),
            ),
            (
                {"chat": [{"from": "human", "value": "?"}, {"from": "gpt"}]},
                ["messages=sharegpt(chat)"],
                ("field-missing", "$.chat[1].value", "null"),
            ),
        ],
    )
    def test_a_refusal_names_the_column_of_the_row(self, row, flags, expected):
        assert refusal(row, *flags) == expected

    def test_a_warning_does_too(self):
        chat = [{"role": "user", "content": "?", "mood": "good"}]
        row = {"chat": chat, "a": "!"}

        (warned,) = parsed(row, "prompt=chat", "response=a").warnings

        assert (warned.reason, warned.where) == ("field-ignored", "$.chat[0].mood")
