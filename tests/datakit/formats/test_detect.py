"""Rows tell their format; where they do not, a person is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from vlm_datakit.errors import SourceError
from vlm_datakit.formats import FORMATS
from vlm_datakit.formats.detect import choose, detect

GOLDEN = Path(__file__).parents[2] / "golden"
CHAT = {"messages": [{"role": "user", "content": "?"}]}
BLOCK = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a"}]}
PART = {"role": "user", "content": [{"type": "text", "content": "?"}]}
TURNS = "\n\nHuman: ?\n\nAssistant: !"
ASKED, QA = {"prompt": "?", "completion": "!"}, {"question": "?", "answer": "!"}
SIMPLE = {"text": "?", "response": "!"}
TRL = {**CHAT, "images": []}
TAGGED = {"messages": [{"role": "user", "content": "<image>?"}], "images": ["a.png"]}
SPOKEN = {"conversations": [{"from": "human", "value": "?"}]}
TWOS = [{"human": "?", "assistant": "!"}]
PARTS = {"messages": [{"role": "user", "content": [{"type": "text", "text": "?"}]}]}
IMAGE = {"type": "image", "image": "a.png"}
NAMED = {"messages": [{"role": "user", "content": [IMAGE]}]}
SIZED = {"messages": [{"role": "user", "content": [{**IMAGE, "max_pixels": 9}]}]}
GOLDEN = Path(__file__).parents[2] / "golden"
#: All but rows of so many shapes that no format knows most of them, or of which hardly one is good.
CASES = sorted(
    {*GOLDEN.glob("*/*/input.jsonl")}
    - {GOLDEN / case / "input.jsonl" for case in ("qa/rows", "swift/broken", "qwen/broken")}
)


@pytest.mark.parametrize(
    ("rows", "names"),
    [
        pytest.param([CHAT], ["openai"], id="chat"),
        pytest.param([SIMPLE], ["simple"], id="simple"),
        pytest.param([TRL], ["trl", "swift", "openai"], id="trl before chat"),
        pytest.param([{"prompt": "?", "completion": "!"}], ["trl"], id="prompt and completion"),
        pytest.param([SIMPLE, SIMPLE, {"a": 1}], ["simple"], id="most rows"),
        pytest.param([SIMPLE, {"a": 1}], [], id="half of the rows"),
        pytest.param(
            [{"instruction": "?", "output": "!", "text": "?!"}], ["alpaca", "simple"], id="Alpaca"
        ),
        pytest.param([TAGGED, *[TRL] * 3], ["swift", "trl", "openai"], id="one row with a place"),
        pytest.param([SPOKEN, SPOKEN], ["sharegpt"], id="ShareGPT"),
        pytest.param([{**SPOKEN, "image": "a.png"}, SPOKEN], ["sharegpt"], id="half with an image"),
        pytest.param([{**SPOKEN, "image": "a.png"}], ["llava", "sharegpt"], id="LLaVA"),
        pytest.param([{"conversations": TWOS}], ["sharegpt"], id="questions with answers"),
        pytest.param([{"conversation": TWOS, "system": ""}], ["sharegpt"], id="those of ms-swift"),
        pytest.param([SIZED, PARTS, PARTS], ["qwen", "openai"], id="one row with a size"),
        pytest.param([NAMED, PARTS, PARTS], ["openai", "qwen"], id="one row with a Qwen part"),
        pytest.param([NAMED, NAMED, PARTS], ["qwen", "openai"], id="most with a Qwen part"),
        pytest.param([PARTS], ["openai", "qwen"], id="parts that OpenAI has, too"),
        pytest.param([], [], id="no rows"),
    ],
)
def test_formats_that_fit_most_rows_are_named_best_first(rows: list[Any], names: list[str]) -> None:
    assert [guess.format.name for guess in detect(rows)] == names


def test_the_best_is_chosen_and_says_why() -> None:
    guess = choose(detect([TRL]), [TRL], "a.jsonl")

    assert (guess.format.name, guess.score) == ("trl", 3)
    assert guess.evidence == "rows have messages and a column of images"


@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        pytest.param([{"q": 1, "a": 2}], "q, a", id="other columns"),
        pytest.param([], "none", id="no rows"),
    ],
)
def test_rows_of_no_known_format_show_their_columns(rows: list[Any], columns: str) -> None:
    with pytest.raises(SourceError) as caught:
        choose(detect(rows), rows, "a.jsonl")

    known = ", ".join(FORMATS)
    assert str(caught.value) == (
        f"a.jsonl: no known format fits rows with the columns {columns}; "
        "--goal vlm, sl or dpo tells from the rows what they are; else name a format with "
        f"--from (known: {known}), or say it with --map prompt=COLUMN --map response=COLUMN"
    )


@pytest.mark.parametrize(
    ("told", "name"),
    [
        pytest.param({"system": "s"}, "anthropic", id="a system prompt"),
        pytest.param({"rejected_response": "z"}, "swift", id="a rejected answer"),
        pytest.param({"image": "x.png"}, "trl", id="a picture"),
        pytest.param({"conversation_id": "7"}, "oumi", id="an id of oumi's"),
    ],
)
def test_one_row_that_says_more_outweighs_many_that_say_nothing(
    told: dict[str, Any], name: str
) -> None:
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    rows = [{"messages": turns}] * 3 + [{"messages": turns, **told}]

    assert choose(detect(rows), rows, "a.jsonl").format.name == name


def test_transcripts_beside_their_prompt_are_transcripts() -> None:
    prompt = "\n\nHuman: hi\n\nAssistant:"
    rows = [{"prompt": prompt, "chosen": f"{prompt} yo", "rejected": f"{prompt} no"}]

    assert choose(detect(rows), rows, "a.jsonl").format.name == "transcript"


def test_flags_tell_openai_from_trl() -> None:
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "weight": 0}]
    rows = [{"messages": turns, "images": []}] * 9

    assert choose(detect(rows), rows, "a.jsonl").format.name == "openai"


def test_a_mark_on_one_message_tells_its_format() -> None:
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    marked = [turns[0], {**turns[1], "loss": False}]
    rows = [{"messages": turns}] * 3 + [{"messages": marked}]

    assert choose(detect(rows), rows, "a.jsonl").format.name == "swift"


def test_rows_that_fit_two_formats_equally_are_left_to_the_caller() -> None:
    rows = [{**CHAT, **SIMPLE}]

    with pytest.raises(SourceError) as caught:
        choose(detect(rows), rows, "a.jsonl")

    words = "a.jsonl: rows fit openai and simple equally; name one with --from"
    assert str(caught.value) == words


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parts[-3]}/{case.parts[-2]}")
def test_golden_rows_tell_their_own_format(case: Path) -> None:
    lines = case.read_bytes().splitlines()
    rows = [row for line in lines if isinstance(row := parsed(line), dict)]

    assert choose(detect(rows), rows, "a.jsonl").format.name == case.parts[-3]


def parsed(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except ValueError:
        return None


@pytest.mark.parametrize(
    ("row", "name"),
    [
        pytest.param({"messages": [BLOCK]}, "anthropic", id="a block"),
        pytest.param({**CHAT, "system": "s"}, "anthropic", id="system beside"),
        pytest.param({**CHAT, "tools": []}, "openai", id="tools beside"),
        pytest.param({"messages": [PART]}, "oumi", id="a part"),
        pytest.param({**CHAT, "conversation_id": "a"}, "oumi", id="a conversation's id"),
        pytest.param({"question": "?", "answer": "!"}, "qa", id="two columns"),
        pytest.param({"question": "?", "answer": "!", "image": "a"}, "vqa", id="and a picture"),
        pytest.param({"question": "?", "answers": ["!"], "image": None}, "vqa", id="answers"),
        pytest.param({"prompt": "?", "response": "!"}, "qa", id="prompt and response"),
        pytest.param({"image": "a", "label": 7}, "classification", id="a number"),
        pytest.param({"text": "?", "response": "!", "image": "a", "label": "b"}, "simple", id="by"),
        pytest.param(
            {"prompt": "?", "completion": "!", "image": 0, "label": True}, "trl", id="KTO"
        ),
        pytest.param({"chosen": TURNS, "rejected": TURNS}, "transcript", id="transcripts"),
        pytest.param({"text": TURNS}, "transcript", id="a transcript"),
        pytest.param({"chosen": CHAT["messages"], "rejected": CHAT["messages"]}, "preference"),
        pytest.param({"images": [], "texts": [{"user": "?", "assistant": "!"}]}, "cauldron"),
    ],
)
def test_what_rows_have_of_their_own_tells_their_format(row: dict[str, Any], name: str) -> None:
    assert choose(detect([row]), [row], "a.jsonl").format.name == name


@pytest.mark.parametrize(
    "row",
    [
        pytest.param({"question": "?", "answer": "!", "context": "c"}, id="a context"),
        pytest.param({"instruction": "?", "response": "!", "input": "c"}, id="an input"),
        pytest.param({**QA, "query": "?", "response": "!"}, id="two pairs"),
        pytest.param({"image": "a", "label": True}, id="a flag"),
        pytest.param({"chosen": "a", "rejected": "b"}, id="answers without a prompt"),
    ],
)
def test_rows_that_need_more_are_not_guessed(row: dict[str, Any]) -> None:
    assert detect([row]) == []
