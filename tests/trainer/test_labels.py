"""What is trained is what was asked for: whole messages, flags, texts, and the form of JSON."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlm_trainer.chat import Chat, compile_template
from vlm_trainer.config import TRAIN_ON as CHOICES
from vlm_trainer.conversation import Conversation, answer_text, from_columns
from vlm_trainer.errors import Reason, RowError
from vlm_trainer.json_spans import structure_spans
from vlm_trainer.labels import TRAIN_ON, LabelRule, has_unread_flags, trained_messages
from vlm_trainer.render import Rendered, lay_out
from vlm_trainer.sizes import PixelRule

RULE = PixelRule(min_pixels=784, max_pixels=3136)

# no control characters, and no control tokens, which are refused
words = st.text(st.characters(exclude_categories=["C"]), max_size=10).filter(
    lambda text: "<|" not in text
)
roles = st.lists(st.sampled_from(["user", "assistant", "tool"]), min_size=1, max_size=7)
END = "<|im_end|>\n"


def conversation_of(rows: Any, said: list[tuple[str, str]], extras: Any = None) -> Conversation:
    messages = [rows.message(*pair) for pair in said]
    text = None if extras is None else json.dumps(extras)
    return from_columns(rows.chat_row("a", *messages, extras=text))


def trained_text(chat: Chat, rendered: Rendered) -> str:
    ids = rendered.ids[rendered.labels != -100].tolist()
    return str(chat.tokenizer.decode(ids, skip_special_tokens=False))


def test_the_choices_of_the_config_are_those_that_there_are() -> None:
    assert tuple(TRAIN_ON) == ("assistant", "last", "last-turn", "flags", "all")
    assert set(CHOICES) == set(TRAIN_ON)


TALK = [
    ("system", "Sys."),
    ("user", "One?"),
    ("assistant", "two"),
    ("user", "Three?"),
    ("assistant", "look"),
    ("tool", "found"),
    ("assistant", "four"),
]


@pytest.mark.parametrize(
    ("train_on", "trained"),
    [
        ("assistant", f"two{END}look{END}four{END}"),
        ("last", f"four{END}"),
        ("last-turn", f"look{END}four{END}"),
        ("flags", f"two{END}look{END}four{END}"),
        ("all", f"Sys.One?two{END}Three?look{END}foundfour{END}"),
    ],
)
def test_messages_are_trained_as_asked(rows: Any, chat: Chat, train_on: str, trained: str) -> None:
    rendered = lay_out(conversation_of(rows, TALK), chat, RULE, LabelRule(train_on))

    assert trained_text(chat, rendered) == trained


@given(roles)
def test_the_last_is_part_of_the_last_turn_and_that_of_all_answers(said: list[str]) -> None:
    row = Conversation("a", tuple({"role": role, "content": []} for role in said))

    last, turn, answers, texts = (
        list(trained_messages(row, name)) for name in ("last", "last-turn", "assistant", "all")
    )

    assert last == answers[-1:] == turn[-1:]
    assert turn == [i for i in answers if "user" not in said[i : answers[-1]]]
    assert answers == [i for i, role in enumerate(said) if role == "assistant"]
    assert texts == list(range(len(said)))


def test_a_question_behind_the_last_answer_does_not_hide_it(rows: Any, chat: Chat) -> None:
    row = conversation_of(rows, [*TALK, ("user", "And?")])

    rendered = lay_out(row, chat, RULE, LabelRule("last-turn"))

    assert trained_text(chat, rendered) == f"look{END}four{END}"


@pytest.fixture(scope="module")
def completion_collator(tiny_words: Path) -> Any:
    """TRL's own collator for prompt/completion rows, trained on the completion alone."""
    from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

    from vlm_trainer.hf_processor import load_processor

    return DataCollatorForVisionLanguageModeling(
        processor=load_processor(tiny_words), completion_only_loss=True
    )


turns = st.lists(st.tuples(st.integers(0, 2), words, words), min_size=1, max_size=3)


@settings(max_examples=60)
@given(turns, st.booleans())
def test_labels_equal_those_of_trl_for_a_completion(
    rows: Any, chat: Any, completion_collator: Any, said: Any, as_columns: bool
) -> None:
    """TRL cuts tokens between prompt and completion, so an answer must begin with a letter."""
    from PIL import Image

    messages, images = [], []
    for pictures, question, answer in said:
        messages.append(rows.message("user", *[rows.IMAGE] * pictures, question))
        messages.append(rows.message("assistant", "A" + answer))
        images += [rows.picture(np.zeros((56, 84, 3), np.uint8))] * pictures
    row = rows.chat_row("a", *messages, images=images)
    split = {"prompt": messages[:-1], "completion": messages[-1:]}
    pictures = [Image.open(io.BytesIO(image)) for image in images]

    ours = lay_out(
        from_columns({**row, "messages": None, **split} if as_columns else row),
        chat, RULE, LabelRule("assistant" if as_columns else "last"),
    )  # fmt: skip
    theirs = completion_collator([{**split, "images": pictures}])

    assert ours.ids.tolist() == theirs["input_ids"][0].tolist()
    assert ours.labels.tolist() == theirs["labels"][0].tolist()


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(["user", "assistant"]), words), min_size=1, max_size=5))
def test_all_trains_every_text_and_none_of_the_template(
    rows: Any, chat: Any, said: list[tuple[str, str]]
) -> None:
    said = [("user", "B"), *said]  # the template's own system message stands before a user's
    messages = [rows.message(role, "A" + text, rows.IMAGE, text) for role, text in said]
    images = [rows.picture(np.zeros((56, 56, 3), np.uint8))] * len(said)
    row = from_columns(rows.chat_row("a", *messages, images=images))

    rendered = lay_out(row, chat, RULE, LabelRule("all"))

    ends = {"user": "", "assistant": END}
    pieces = [piece for role, text in said for piece in ("A" + text, text, ends[role])]
    expected = "".join(normalize("NFC", piece) for piece in pieces)  # as Qwen's tokenizer does
    assert trained_text(chat, rendered) == expected
    assert chat.image_token_id not in rendered.labels


def flagged(*flags: dict[str, Any]) -> dict[str, Any]:
    return {str(index): value for index, value in enumerate(flags)}


@pytest.mark.parametrize(
    ("extras", "trained"),
    [
        pytest.param(flagged({}, {"weight": 0}), f"four{END}", id="weight 0"),
        pytest.param(flagged({}, {"train": False}), f"four{END}", id="train false"),
        pytest.param(flagged({}, {"train": 0}), f"four{END}", id="train 0"),
        pytest.param(flagged({}, {"train": True, "weight": 0}), f"four{END}", id="either says no"),
        pytest.param(flagged({}, {"train": False, "weight": 1}), f"four{END}", id="or the other"),
        pytest.param(flagged({}, {"weight": None}), f"two{END}four{END}", id="null is no flag"),
        pytest.param(
            flagged({"train": True}, {}, {}, {"weight": 0.0}), f"One?two{END}", id="a question"
        ),
    ],
)
def test_flags_of_the_shards_choose(
    rows: Any, chat: Chat, extras: dict[str, Any], trained: str
) -> None:
    said = [("user", "One?"), ("assistant", "two"), ("user", "Three?"), ("assistant", "four")]
    row = conversation_of(rows, said, extras)

    rendered = lay_out(row, chat, RULE, LabelRule("flags"))

    assert trained_text(chat, rendered) == trained
    assert has_unread_flags(row, "assistant") == (extras["1"] != {"weight": None})
    assert not has_unread_flags(row, "flags")


def test_a_weight_between_counts_as_much(rows: Any, chat: Chat) -> None:
    said = [("user", "?"), ("assistant", "two"), ("user", "?"), ("assistant", "four")]

    rendered = lay_out(
        conversation_of(rows, said, {"3": {"weight": 0.25}}), chat, RULE, LabelRule("flags")
    )

    assert rendered.weights is not None
    by_weight = {
        weight: chat.tokenizer.decode(rendered.ids[rendered.weights == weight].tolist())
        for weight in (1.0, 0.25)
    }
    assert by_weight == {1.0: "two\n", 0.25: "four\n"}
    assert (rendered.labels != -100).tolist() == (rendered.weights > 0).tolist()


@pytest.mark.parametrize(
    ("flag", "value", "seen"),
    [
        ("weight", "high", "'high'"),
        ("weight", -1, "-1"),
        ("weight", True, "True"),
        ("train", "no", "'no'"),
        ("train", 2, "2"),
        ("weight", float("inf"), "inf"),
    ],
)
def test_a_flag_that_says_nothing_refuses_its_row(
    rows: Any, chat: Chat, flag: str, value: Any, seen: str
) -> None:
    row = conversation_of(rows, [("user", "?"), ("assistant", "!")], {"1": {flag: value}})

    with pytest.raises(RowError) as caught:
        lay_out(row, chat, RULE, LabelRule("flags"))

    assert caught.value.reason is Reason.FLAG_NOT_UNDERSTOOD
    assert (caught.value.where, caught.value.seen) == (f"$.messages[1].{flag}", seen)
    assert has_unread_flags(row, "assistant")


@pytest.mark.parametrize("train_on", TRAIN_ON)
def test_a_row_in_which_nothing_is_trained_is_refused(rows: Any, chat: Chat, train_on: str) -> None:
    said = [("user", "")] if train_on == "all" else [("user", "?"), ("tool", "!")]
    row = conversation_of(rows, said)

    with pytest.raises(RowError) as caught:
        lay_out(row, chat, RULE, LabelRule(train_on))

    assert caught.value.reason is Reason.NO_SUPERVISED_TOKEN
    assert caught.value.seen == f"no text to train on ({train_on})"


def test_texts_that_the_template_changes_are_refused(rows: Any, chat: Chat) -> None:
    source = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n"
        "{% for c in m.content %}{{ c.text | trim }}{% endfor %}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    trimming = replace(chat, write=compile_template(source))
    plain, spaced = (conversation_of(rows, [("user", t), ("assistant", "!")]) for t in ("?", " ?"))

    rendered = lay_out(plain, trimming, RULE, LabelRule("all"))
    with pytest.raises(RowError) as caught:
        lay_out(spaced, trimming, RULE, LabelRule("all"))

    assert trained_text(chat, rendered) == f"?!{END}"
    assert caught.value.reason is Reason.TEMPLATE_NOT_INCREMENTAL


documents = st.recursive(
    st.none() | st.integers() | words | st.just("\ue000"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
).filter(lambda value: isinstance(value, (dict, list)))


@settings(max_examples=100)
@given(documents, st.sampled_from([None, 1]), st.booleans(), st.floats(0, 1, width=32))
def test_a_token_is_form_if_all_its_characters_are(
    rows: Any, chat: Any, document: Any, indent: int | None, keys: bool, weight: float
) -> None:
    """Held against each token's own characters, one by one."""
    answer = json.dumps(document, indent=indent, ensure_ascii=False)
    row = conversation_of(rows, [("user", "?"), ("assistant", answer)])
    plain = lay_out(row, chat, RULE)

    weighed = lay_out(row, chat, RULE, LabelRule("assistant", weight, keys))

    text = chat.write(row.messages)
    at = text.index("<|im_start|>assistant\n") + len("<|im_start|>assistant\n")
    assert text[at:].startswith(answer)
    form = {at + i for a, b in structure_spans(answer, keys=keys) or () for i in range(a, b)}
    offsets = chat.tokenizer.encode(text, add_special_tokens=False).offsets
    expected = [
        0.0 if label == -100 else weight if set(range(a, b)) <= form else 1.0
        for (a, b), label in zip(offsets, plain.labels, strict=True)
    ]
    assert weighed.weights is not None
    assert weighed.weights.tolist() == expected
    assert (weighed.labels == np.where(weighed.weights > 0, plain.labels, -100)).all()
    assert weighed.ids.tolist() == plain.ids.tolist()


@pytest.mark.parametrize(
    ("answer", "counts_less"),
    [
        pytest.param('{"digit": 7}', '{"digit": 7}', id="an object"),
        pytest.param("It is 7: [7]", "", id="words"),
        pytest.param("7", "", id="a number"),
        pytest.param("{}", "", id="nothing in it"),
    ],
)
def test_answers_that_are_no_json_are_untouched(
    rows: Any, chat: Chat, answer: str, counts_less: str
) -> None:
    said = [("user", '{"a": 1}'), ("assistant", answer), ("user", "?"), ("assistant", "Yes.")]
    row = conversation_of(rows, said)

    weighed = lay_out(row, chat, RULE, LabelRule("assistant", 0.5))

    assert weighed.weights is not None
    less = chat.tokenizer.decode(weighed.ids[weighed.weights == 0.5].tolist())
    assert less == "".join(sign for sign in counts_less if sign not in "digt7")
    assert (weighed.labels == lay_out(row, chat, RULE).labels).all()


def test_json_that_a_picture_parts_is_untouched(rows: Any, chat: Chat, photos: list[bytes]) -> None:
    asked = rows.message("user", "?")
    for parts, found in ((["[1, ", "2]"], True), (["[1, ", rows.IMAGE, "2]"], False)):
        images = photos[:1] if rows.IMAGE in parts else []
        row = from_columns(
            rows.chat_row("a", asked, rows.message("assistant", *parts), images=images)
        )

        weighed = lay_out(row, chat, RULE, LabelRule("assistant", 0.5))

        assert answer_text(row.messages[1]) == "[1, 2]"
        assert weighed.weights is not None
        assert bool((weighed.weights == 0.5).any()) == found


def test_a_plain_row_has_no_weights(rows: Any, chat: Chat) -> None:
    assert lay_out(conversation_of(rows, TALK), chat, RULE).weights is None
