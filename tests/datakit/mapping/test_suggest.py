"""What is suggested for layouts of public data sets, under their own and under other names."""

from __future__ import annotations

from typing import Any

import pytest

from vlm_datakit import DoesNotFit, Suggestion, UsageError, convert, suggest_mapping
from vlm_datakit.mapping.apply import format_of
from vlm_datakit.mapping.parser import parser_of
from vlm_datakit.mapping.suggest import clear_choice
from vlm_datakit.turns import count_images

from .test_layouts import LAYOUTS, hold_to_answers, hold_to_turns, row_of

PICTURE = {"bytes": b"\xff\xd8\xff\xe0" + bytes(20), "path": None}
CASES = [
    pytest.param(layout, task, id=f"{layout['id']}-{task}")
    for layout in LAYOUTS
    for task in layout["cases"]
]
OTHER_NAMES = {
    "answer": "gold_answer",
    "answers": "references",
    "caption": "description",
    "choices": "options",
    "chosen": "preferred",
    "completion": "reply",
    "context": "passage",
    "conversations": "chat",
    "image": "picture",
    "images": "photos",
    "input": "entrada",
    "inputs": "query",
    "instruction": "request",
    "label": "cls",
    "messages": "dialog",
    "output": "target",
    "problem": "exercise",
    "prompt": "instruction_text",
    "query": "q",
    "question": "pergunta",
    "rejected": "dispreferred",
    "response": "model_reply",
    "system_prompt": "persona",
    "targets": "gt",
    "texts": "qa_pairs",
}
# Under other names two questions are as likely: `exercise` says less than `problem`.
OPEN_UNDER_OTHER_NAMES = {("lmms-lab/multimodal-open-r1-8k-verified", "vlm")}


def renamed(layout: dict[str, Any], names: dict[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the row and the features of a layout with other names."""
    row = {names.get(name, name): value for name, value in row_of(layout).items()}
    features = {names.get(name, name): value for name, value in layout["features"].items()}
    return row, features


def fault(layout: dict[str, Any], task: str, names: dict[str, str]) -> str | None:
    """Return what is wrong with the best suggestion for a layout, None if nothing is."""
    row, features = renamed(layout, names)
    found = suggest_mapping([row], goal=task, features=features)
    case = layout["cases"][task]
    if case["map"] is None:
        return None if isinstance(found, DoesNotFit) else f"fits: {found[0].flags}"
    if isinstance(found, DoesNotFit):
        return str(found)
    name = found[0].format if found[0].mapping is None else format_of(found[0].mapping)
    assert name is not None
    draft = parser_of(name, found[0].mapping)(row)
    try:
        (hold_to_turns if task == "vlm" else hold_to_answers)(draft, case["expect"])
        assert len(draft.images) == count_images(draft.messages) == case["expect"].get("images", 0)
    except AssertionError:
        return f"gives another row: {found[0].flags}"
    return None


def is_open(layout: dict[str, Any], task: str, names: dict[str, str]) -> bool:
    row, features = renamed(layout, names)
    found = suggest_mapping([row], goal=task, features=features)
    return not isinstance(found, DoesNotFit) and clear_choice(found) is None


@pytest.mark.parametrize(("layout", "task"), CASES)
def test_the_best_suggestion_is_clear_and_gives_what_an_expert_expects(
    layout: dict[str, Any], task: str
) -> None:
    assert fault(layout, task, {}) is None
    assert not is_open(layout, task, {})


@pytest.mark.parametrize(("layout", "task"), CASES)
def test_so_it_does_under_other_names(layout: dict[str, Any], task: str) -> None:
    assert fault(layout, task, OTHER_NAMES) is None
    assert is_open(layout, task, OTHER_NAMES) == ((layout["id"], task) in OPEN_UNDER_OTHER_NAMES)


def test_without_features_contents_tell_as_much() -> None:
    faults = [
        layout["id"]
        for layout in LAYOUTS
        for task in layout["cases"]
        if fault({**layout, "row": row_of(layout), "features": {}}, task, {}) is not None
    ]

    assert faults == []


def test_under_names_that_say_nothing_most_are_found_by_types_and_contents() -> None:
    cases = [(layout, task) for layout in LAYOUTS for task in layout["cases"]]
    right = sum(
        fault(layout, task, {name: f"c{n}" for n, name in enumerate(layout["row"], 1)}) is None
        for layout, task in cases
    )

    assert right / len(cases) >= 0.8


# Layouts beside those of the file: a goal, a row, and the flags.
MORE = {
    "texts in an object": (
        "sl",
        {
            "context": "The pier was built by Ann.",
            "question": "Who built it?",
            "answers": {"text": ["Ann"], "answer_start": [22]},
        },
        ["completion=first-of-list(answers.text)", "prompt=join-nonempty(context, question)"],
    ),
    "choices with labels": (
        "sl",
        {
            "question": "Which is solid?",
            "choices": {"text": ["ice", "steam"], "label": ["A", "B"]},
            "answerKey": "A",
        },
        [
            "completion=choice-by-label(choices.text, choices.label, answerKey)",
            "prompt=question-with-choices(question, choices.text)",
        ],
    ),
    "choices in columns": (
        "vlm",
        {"image": PICTURE, "question": "Which?", "A": "cat", "B": "dog", "C": "cow", "answer": "C"},
        ["images=image", "prompt=question-with-choices(question, [A, B, C])", "response=answer"],
    ),
    "a preference below and above 0": (
        "dpo",
        {
            "context": [{"role": "user", "content": "Fix a tap?"}],
            "response1": "Change it.",
            "response2": "Hit it.",
            "overall_preference": -2,
        },
        [
            "chosen=preferred-by-sign([response1, response2], overall_preference)",
            "prompt=context",
            "rejected=other-by-sign([response1, response2], overall_preference)",
        ],
    ),
    "ranked answers": (
        "dpo",
        {
            "prompt": "Name a tree.",
            "answers": [{"answer": "Salt.", "rank": 2.0}, {"answer": "Oak.", "rank": 1.0}],
        },
        [
            "chosen=best-by-rank(answers[*].answer, answers[*].rank)",
            "prompt=prompt",
            "rejected=worst-by-rank(answers[*].answer, answers[*].rank)",
        ],
    ),
    "two columns with two scores": (
        "dpo",
        {
            "history": "How do I fix a tap?",
            "human_ref_A": "Change it.",
            "human_ref_B": "Hit it.",
            "score_A": 9,
            "score_B": 2,
            "labels": 1,
        },
        [
            "chosen=best-by-rating([human_ref_A, human_ref_B], [score_A, score_B])",
            "prompt=history",
            "rejected=worst-by-rating([human_ref_A, human_ref_B], [score_A, score_B])",
        ],
    ),
    "the preferred is not called so": (
        "dpo",
        {
            "conversations": [
                {"from": "human", "value": "What is it?"},
                {"from": "gpt", "value": "A cat."},
            ],
            "rejected_conversations": [
                {"from": "human", "value": "What is it?"},
                {"from": "gpt", "value": "A dog."},
            ],
        },
        [
            "chosen=after-common-prefix(conversations, rejected_conversations)",
            "prompt=common-prefix(conversations, rejected_conversations)",
            "rejected=after-common-prefix(rejected_conversations, conversations)",
        ],
    ),
    "a flag for each answer, and one for a tie": (
        "dpo",
        {
            "prompt": "What is it?",
            "response_a": "A cat.",
            "response_b": "A dog.",
            "winner_model_a": 1,
            "winner_model_b": 0,
            "winner_tie": 0,
        },
        [
            "chosen=best-by-rating([response_a, response_b], [winner_model_a, winner_model_b])",
            "prompt=prompt",
            "rejected=worst-by-rating([response_a, response_b], [winner_model_a, winner_model_b])",
        ],
    ),
    "a persona under the name of an instruction": (
        "sl",
        {"instruction": "You are an AI assistant.", "input": "A tree?", "output": "Oak."},
        ["completion=output", "prompt=input", "system=instruction"],
    ),
    "a document's fields in JSON": (
        "vlm",
        {"image": PICTURE, "ground_truth": '{"gt_parse": {"total": "42"}}'},
        [
            "images=image",
            'prompt="Read the document, and answer in JSON."',
            'response=json-sub-field(ground_truth, "gt_parse")',
        ],
    ),
    "two pictures": (
        "vlm",
        {"left_image": PICTURE, "right_image": PICTURE, "question": "Alike?", "answer": "No."},
        ["images=[left_image, right_image]", "prompt=question", "response=answer"],
    ),
    "a prompt that was put together from question and answer": (
        "sl",
        {"instruction": "Sort it.", "output": "sorted(x)", "prompt": "Sort it.\nsorted(x)"},
        ["completion=output", "prompt=instruction"],
    ),
    "a transcript": (
        "sl",
        {"text": "### Human: Hi there### Assistant: Hello."},
        ["completion=last-assistant(text)", "prompt=before-last-assistant(text)"],
    ),
    "a text of the number of a choice": (
        "vlm",
        {"image": PICTURE, "question": "Which?", "options": ["cat", "dog", "cow"], "answer": "0"},
        [
            "images=image",
            "prompt=question-with-choices(question, options)",
            "response=choice-by-index(options, answer)",
        ],
    ),
    "a solution beside the value that it comes to": (
        "sl",
        {
            "problem": "What is 2 + 2?",
            "generated_solution": "We add 2 and 2, and get 4.",
            "expected_answer": "4",
        },
        ["completion=generated_solution", "prompt=problem"],
    ),
    "a conversation beside what it was made of": (
        "sl",
        {
            "problem": "What is 2 + 2?",
            "answer": "4",
            "messages": [
                {"role": "user", "content": "What is 2 + 2?"},
                {"role": "assistant", "content": "We add 2 and 2, and get 4."},
            ],
        },
        ["completion=last-assistant(messages)", "prompt=before-last-assistant(messages)"],
    ),
    "an answer with its aliases, in lower case as well": (
        "sl",
        {
            "question": "What grows in wet soil?",
            "answer": {"aliases": ["Alder"], "value": "Alder", "normalized_value": "alder"},
        },
        ["completion=answer.value", "prompt=question"],
    ),
    "two answers beside ids of two": (
        "dpo",
        {
            "history": "What grows in wet soil?",
            "root_id_A": "a",
            "root_id_B": "b",
            "score_A": 9,
            "score_B": 2,
            "human_ref_A": "Alder and ash do.",
            "human_ref_B": "Stones do, I think.",
        },
        [
            "chosen=best-by-rating([human_ref_A, human_ref_B], [score_A, score_B])",
            "prompt=history",
            "rejected=worst-by-rating([human_ref_A, human_ref_B], [score_A, score_B])",
        ],
    ),
    "a transcript of user and assistant": (
        "sl",
        {"chat": "USER: What is it?\n\n\nASSISTANT: Alder.\n\nUSER: Why?\n\nASSISTANT: Water."},
        ["completion=last-assistant(chat)", "prompt=before-last-assistant(chat)"],
    ),
    "a correct and an incorrect answer": (
        "dpo",
        {"question": "What is it?", "correct_answer": "A cat.", "incorrect_answer": "A dog."},
        ["chosen=correct_answer", "prompt=question", "rejected=incorrect_answer"],
    ),
    "a premise and a hypothesis": (
        "sl",
        {"premise": "A man digs.", "hypothesis": "A man is outside.", "label": "entailment"},
        ["completion=label", "prompt=join-nonempty(hypothesis, premise)"],
    ),
    "inputs that are empty": (
        "sl",
        {
            "instruction": "Name two trees of the wet.",
            "instances": [{"input": "", "output": "Alder and ash."}],
        },
        ["completion=first-of-list(instances[*].output)", "prompt=instruction"],
    ),
    "another language": (
        "sl",
        {"問題": "月は何ですか", "回答": "衛星です", "出典": "自作"},
        ["completion=回答", "prompt=問題"],
    ),
}


@pytest.mark.parametrize("name", MORE)
def test_other_layouts(name: str) -> None:
    goal, row, flags = MORE[name]

    found = suggest_mapping([row], goal=goal)

    assert isinstance(found, tuple)
    assert [flag for flag in found[0].flags if flag != "--map"] == flags
    assert clear_choice(found) is found[0]


def test_whole_conversations_of_which_a_mark_names_the_better_are_read_by_the_format() -> None:
    chats = {
        f"conversation_{one}": [
            {"role": "user", "content": "What is it?"},
            {"role": "assistant", "content": f"A {one}."},
        ]
        for one in "ab"
    }

    found = suggest_mapping([{**chats, "winner": "model_b"}], goal="dpo")

    assert isinstance(found, tuple)
    assert found[0].flags[:2] == ("--from", "preference")
    assert "chosen=winner([conversation_a, conversation_b], winner)" in found[0].flags


UNFIT = {
    "a text alone": ("sl", {"text": "A page of the web."}, "text holds texts, but no column is"),
    "labels of tokens": (
        "sl",
        {"tokens": ["EU", "rejects"], "ner_tags": [3, 0]},
        "tokens are single words with a label or a box each",
    ),
    "a message a row": (
        "sl",
        {"parent_id": None, "role": "prompter", "text": "Hi there you"},
        "each row is one message (role says who speaks)",
    ),
    "pictures in another table": (
        "vlm",
        {"imageId": "n1", "question": "Is it?", "answer": "no"},
        "rows hold no picture, only imageId",
    ),
    "no pictures": ("vlm", {"question": "Is it?", "answer": "no"}, "rows hold no picture; for"),
    "one answer": ("dpo", {"prompt": "A tree?", "completion": "Oak."}, "nothing tells two answers"),
    "an answer that is a yes or no": (
        "sl",
        {"question": "does it grow", "answer": True, "passage": "Alder grows in wet soil."},
        "question asks, but no column answers in words",
    ),
    "an answer that is a number, beside the name of a template": (
        "vlm",
        {"template": "subtraction", "question": "How many?", "image": PICTURE, "label": 3},
        "question asks, but no column answers in words",
    ),
    "a text and its title": (
        "sl",
        {"title": "The alder", "text": "The alder is a tree that grows in wet soil."},
        "no column answers in words what another asks",
    ),
    "choices that are counted from 1": (
        "sl",
        {"sentence": "Ann gave Bea it.", "option1": "Ann", "option2": "Bea", "answer": 1},
        "no column answers in words what another asks",
    ),
    "a video, as bytes": (
        "vlm",
        {"video": {"bytes": b"\0\0\0\x18ftypmp42" + bytes(8), "path": None}, "caption": "A dog."},
        "rows hold no picture: video is sound or video",
    ),
    "a sound, by its name": (
        "vlm",
        {"audio": {"bytes": b"?" * 9, "path": "1.opus"}, "text": "It barks."},
        "rows hold no picture: audio is sound or video",
    ),
    "answers that a class calls wrong": (
        "sl",
        {"question": "What is moss?", "answer": "A car.", "label": "incorrect"},
        "label says which answers are good",
    ),
    "a box for an answer": (
        "vlm",
        {"image": PICTURE, "instruction": "Click on save.", "bbox": [1, 2, 3, 4]},
        "instruction asks, but no column answers in words",
    ),
}


@pytest.mark.parametrize("name", UNFIT)
def test_what_does_not_fit_is_said_with_the_reason(name: str) -> None:
    goal, row, words = UNFIT[name]

    found = suggest_mapping([row], goal=goal)

    assert isinstance(found, DoesNotFit)
    assert words in str(found)


def test_two_answers_of_which_nothing_says_which_is_better_are_open() -> None:
    row = {"question": "A tree?", "response_j": "Oak it is.", "response_k": "Salt it is."}

    found = suggest_mapping([row], goal="dpo")

    assert isinstance(found, tuple)
    assert clear_choice(found) is None
    assert {one.flags[1] for one in found} == {"chosen=response_j", "chosen=response_k"}


@pytest.mark.parametrize("goal", ["sl", "dpo"])
@pytest.mark.parametrize("names", [("a", "b"), ("b", "a"), ("A", "B")], ids=str)
def test_letters_say_nothing_of_answers(goal: str, names: tuple[str, str]) -> None:
    one, other = names
    row = {"question": "What is moss?", one: "It is a small plant.", other: "It is a big fish."}

    found = suggest_mapping([row], goal=goal)

    assert isinstance(found, tuple)
    assert clear_choice(found) is None
    assert abs(found[0].score - found[1].score) < 0.4


@pytest.mark.parametrize("mark", ["label", "preference", "better", "preferred"])
@pytest.mark.parametrize("names", [("a", "b"), ("response_1", "response_2")], ids=str)
def test_a_mark_of_0_and_1_may_count_from_0_or_say_that_the_first_is_better(
    names: tuple[str, str], mark: str
) -> None:
    one, other = names
    rows = [
        {"prompt": f"Name tree {n}?", one: f"Oak {n}.", other: f"Salt {n}.", mark: n % 2}
        for n in range(4)
    ]

    found = suggest_mapping(rows, goal="dpo")

    assert isinstance(found, tuple)
    assert clear_choice(found) is None
    both = f"[{one}, {other}], {mark})"
    assert {flag for each in found[:2] for flag in each.flags if "chosen=" in flag} == {
        f"chosen=choice-by-index({both}",
        f"chosen=other-than-choice({both}",
    }


@pytest.mark.parametrize(
    ("names", "mark"),
    [
        (("response_0", "response_1"), "label"),
        (("a", "b"), "better_id"),
        (("a", "b"), "winner"),
        (("a", "b"), "chosen_index"),
    ],
    ids=str,
)
def test_a_mark_that_is_a_number_of_the_answers_is_clear(names: Any, mark: str) -> None:
    one, other = names
    rows = [
        {"prompt": f"Name tree {n}?", one: f"Oak {n}.", other: f"Salt {n}.", mark: n % 2}
        for n in range(4)
    ]

    found = suggest_mapping(rows, goal="dpo")

    assert isinstance(found, tuple)
    assert clear_choice(found) is found[0]
    assert f"chosen=choice-by-index([{one}, {other}], {mark})" in found[0].flags


@pytest.mark.parametrize(
    ("right", "beside"),
    [
        ("accepted", {"other_answers": ["It is a big fish."]}),
        ("accepted", {"other_answers": "It is a big fish."}),
        ("accepted_answer", {"answers": ["It is a big fish.", "It is a small plant."]}),
        ("best_answer", {"answers": ["It is a big fish."], "incorrect_answers": ["A fish."]}),
        ("answer", {"alternative_answers": ["It is a big fish."]}),
    ],
    ids=str,
)
def test_the_accepted_answer_comes_before_others(right: str, beside: dict[str, Any]) -> None:
    row = {"question": "What is moss?", **beside, right: "It is a small plant."}

    found = suggest_mapping([row], goal="sl")

    assert isinstance(found, tuple)
    assert clear_choice(found) is found[0]
    assert found[0].flags == ("--map", f"completion={right}", "--map", "prompt=question")


@pytest.mark.parametrize(
    "mark",
    [
        {"label": True},
        {"good": False},
        {"is_correct": True},
        {"accepted": 1},
        {"meta": {"thumbs_up": True}},
    ],
    ids=str,
)
@pytest.mark.parametrize("goal", ["sl", "sft", "dpo"])
def test_feedback_on_single_answers_is_neither_learned_nor_a_pair(goal: str, mark: Any) -> None:
    row = {"prompt": "What is moss?", "completion": "It is a small plant.", **mark}

    found = suggest_mapping([row], goal=goal)

    assert isinstance(found, DoesNotFit)
    (name,) = mark
    assert f"{name}" in found.reason
    assert "good" in found.reason


@pytest.mark.parametrize(
    "beside",
    [{"label": 3}, {"streaming": True}, {"is_impossible": False}, {"score": 1}, {"label": "cat"}],
    ids=str,
)
def test_what_is_no_feedback_is_passed_over(beside: Any) -> None:
    row = {"prompt": "What is moss?", "completion": "It is a small plant.", **beside}

    found = suggest_mapping([row], goal="sl")

    assert isinstance(found, tuple)
    assert found[0].flags == ("--map", "completion=completion", "--map", "prompt=prompt")
    assert clear_choice(found) is found[0]


def test_one_candidate_for_which_next_to_nothing_speaks_is_open() -> None:
    found = suggest_mapping(
        [{"image": PICTURE, "objects": {"bbox": [[1, 2]], "n": [3]}}], goal="vlm"
    )

    assert isinstance(found, tuple)
    assert len(found) == 1
    assert clear_choice(found) is None


DOUBTS = {
    "a version": (
        "sl",
        {"old_contents": "a = 1 + 1", "new_contents": "a = 2 + 2", "message": "Raise a to 4."},
        "new_contents is another version of old_contents",
    ),
    "a number for an answer": (
        "vlm",
        {"image": PICTURE, "question": "How many dogs?", "answer": 3, "text": "Dogs in a park."},
        "answer is called an answer, and holds numbers",
    ),
    "a caption beside a question": (
        "vlm",
        {"image": PICTURE, "question": "How many dogs?", "caption": "Dogs in a park."},
        "caption describes, and need not answer question",
    ),
    "a box": (
        "vlm",
        {
            "image": PICTURE,
            "instruction": "Click it.",
            "bbox": [1, 2, 3, 4],
            "purpose": "It saves.",
        },
        "bbox tells places in the picture, which may be the answer",
    ),
    "a text that is near": (
        "sl",
        {"anchor": "A man rides a horse.", "positive": "A man is outside."},
        "positive is near in meaning, as it is called, and need be no answer",
    ),
    "a title": (
        "sl",
        {"title": "Pancakes", "instructions": "Whisk the eggs. Bake them."},
        "title may be the title of the row",
    ),
    "code": (
        "sl",
        {"docstring": "Returns one of them.", "code": "def f():\n    return 1"},
        "code may be what docstring is said of",
    ),
    "letters": (
        "sl",
        {"question": "Which is solid?", "answer": "B"},
        "answer holds letters, and nothing shows the choices that they name",
    ),
    "what is said about a row": (
        "sl",
        {"question": "What is moss?", "answer_type": "Entity"},
        "answer_type is called as what is said about a row",
    ),
    "an object": (
        "sl",
        {"question": "What is moss?", "sql": {"select": [1], "where": {"column": [2]}}},
        "sql holds objects, which nobody says",
    ),
}


@pytest.mark.parametrize("name", DOUBTS)
def test_what_speaks_against_the_answer_is_said_and_makes_it_open(name: str) -> None:
    goal, row, words = DOUBTS[name]

    found = suggest_mapping([row], goal=goal)

    assert isinstance(found, tuple)
    assert clear_choice(found) is None
    assert f"but {words}" in found[0].evidence


def test_a_class_is_open_where_a_text_says_more_of_the_picture() -> None:
    row = {"image": PICTURE, "label": "cat", "y": "A cat sleeps on a mat."}
    label = {"_type": "ClassLabel", "names": ["cat", "dog"]}

    found = suggest_mapping([row], goal="vlm", features={"label": label})

    assert isinstance(found, tuple)
    assert clear_choice(found) is None
    said = {words for one in found for words in one.evidence}
    assert "but y says more of the picture than its class" in said


def test_a_question_with_what_stands_before_it_in_each_row_is_the_fuller_one() -> None:
    bodies, asked = ("Ann has 8 pens.", "Bea has 3 cups."), ("How many has Ann?", "And Bea?")
    rows = [
        {"body": body, "question": question, "whole": f"{body} {question}", "answer": "It is so."}
        for body, question in zip(bodies, asked, strict=True)
    ]
    same = [{**row, "whole": f"Answer this. {row['question']}"} for row in rows]

    fuller, template = suggest_mapping(rows, goal="sl"), suggest_mapping(same, goal="sl")

    assert isinstance(fuller, tuple)
    assert "prompt=whole" in fuller[0].flags
    assert "whole holds question and more" in fuller[0].evidence
    assert isinstance(template, tuple)
    assert "prompt=question" in template[0].flags


def test_a_spelled_number_that_may_count_from_1_chooses_nothing() -> None:
    row = {"question": "Which grows?", "choices": ["alder", "stone", "cat"], "label": "1"}

    one = suggest_mapping([row], goal="sl")
    several = suggest_mapping([row, {**row, "question": "Which eats?", "label": "0"}], goal="sl")

    assert isinstance(one, tuple)
    assert not any("choice-by-index" in flag for each in one for flag in each.flags)
    assert isinstance(several, tuple)
    assert "completion=choice-by-index(choices, label)" in several[0].flags


def test_rows_of_a_known_format_need_no_mapping() -> None:
    parts = [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
        {"type": "text", "text": "What is it?"},
    ]
    messages = [{"role": "user", "content": parts}, {"role": "assistant", "content": "A cat."}]

    found = suggest_mapping([{"messages": messages}], goal="vlm")

    assert isinstance(found, tuple)
    assert found[0].flags in (("--from", "openai"), ("--map", "messages=messages"))


def test_a_mapping_that_refuses_most_rows_is_not_suggested() -> None:
    good = {"prompt": "A tree?", "chosen": "Oak.", "rejected": "Salt."}
    equal = {**good, "rejected": "Oak."}

    one = suggest_mapping([good, good, equal], goal="dpo")
    other = suggest_mapping([good, equal, equal], goal="dpo")

    assert isinstance(one, tuple)
    assert one[0].good == pytest.approx(2 / 3)
    assert isinstance(other, DoesNotFit)


def test_sft_is_vlm_for_rows_with_pictures_else_sl() -> None:
    row = {"question": "What is it?", "answer": "A cat."}

    texts, pictures = suggest_mapping([row]), suggest_mapping([{**row, "image": PICTURE}])

    assert isinstance(texts, tuple)
    assert isinstance(pictures, tuple)
    assert [entry.role for entry in texts[0].mapping.entries] == ["completion", "prompt"]
    assert [entry.role for entry in pictures[0].mapping.entries] == ["images", "prompt", "response"]


def test_a_suggestion_is_what_convert_takes() -> None:
    rows = [{"q": "What is 2 + 2?", "n": 1, "reply": "It is 4."}]
    found = suggest_mapping(rows, goal="sl")

    assert isinstance(found, tuple)
    assert isinstance(found[0], Suggestion)
    (converted,) = convert(rows, mapping=found[0].mapping, target="simple", lossy=["all"])
    assert converted == {"text": "What is 2 + 2?", "response": "It is 4."}


def test_no_rows_and_no_such_goal() -> None:
    assert str(suggest_mapping([])).endswith("there are no rows to look at")
    with pytest.raises(UsageError, match="unknown goal 'ppo'"):
        suggest_mapping([{}], goal="ppo")
