"""What properties range over: conversations as rows can hold them, and rows gone wrong.

Registered by type, so that a test says ``@given(st.from_type(Conversation))``.
"""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import pairwise
from typing import Any

import hypothesis.strategies as st
import orjson
import PIL.Image
from hypothesis import assume

from vlm_datakit.conversation import (
    Conversation,
    Image,
    ImageRef,
    Message,
    Origin,
    Part,
    Row,
    Text,
)
from vlm_datakit.formats import FORMATS
from vlm_datakit.formats.format import row_of
from vlm_datakit.turns import count_images

# Found by readers that guess: numbers, null, dates, other normal forms, line ends of other systems.
TRICKY = [
    *("", " ", "007", "42", "null", "true", "NaN", '{"a": "007"}', '[{"a": 1.50}]', "2024-01-02"),
    *(
        "\u00e9",
        "e\u0301",
        "\u2028\u2029\x85",
        "\r\n",
        "\0",
        "\ufeff",
        "🙂",
        "<image>",
        "<|im_end|>",
    ),
    *("data:image/png;base64,", "/9j/4AAQSkZJRgAB", "file:///a%00b", "https://a.example/b.png"),
]
KEYS = [
    *("messages", "role", "content", "type", "text", "image", "image_url", "url", "detail", "id"),
    *("images", "prompt", "completion", "tools", "tool_calls", "tool_call_id", "name", "weight"),
    *("train", "original_role", "system", "response", "output", "bytes", "path"),
    *("conversations", "from", "value", "chosen", "rejected", "instruction", "input", "history"),
    *("query", "rejected_response", "objects", "videos", "loss", "loss_scale", "max_pixels"),
    *("kto_tag", "label", "question", "answer", "answers", "texts", "assistant"),
    *("source", "data", "media_type", "tool_use_id", "binary", "conversation_id"),
]
WORDS = [
    *("system", "developer", "user", "assistant", "tool", "text", "image", "image_url"),
    *("human", "gpt", "function_call", "observation", "tool_call", "tool_response"),
]


def picture(kind: str, width: int, height: int) -> Image:
    """Return a small clean picture."""
    file = io.BytesIO()
    PIL.Image.new("RGB", (width, height), "red").save(file, kind)
    return Image(file.getvalue(), f"image/{kind.lower()}", width, height)


PICTURES = [picture("PNG", 3, 2), picture("JPEG", 2, 3), picture("WEBP", 1, 1)]

texts = st.one_of(st.sampled_from(TRICKY), st.text(max_size=8))
numbers = st.one_of(
    st.integers(-(2**63), 2**64 - 1),
    st.floats(-1e18, 1e18, allow_nan=False),
)
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=6,
)
json_objects = st.dictionaries(texts, json_values, min_size=1, max_size=3)
details = st.sampled_from([None, None, "low", "high", "auto", ""])


def extras(**values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return some of what a message may say beside its content."""
    common = {"name": texts, "weight": st.sampled_from([0, 1, 0.5]), "train": st.booleans()}
    return st.fixed_dictionaries({}, optional={**common, **values})


def messages(role: str, parts: st.SearchStrategy[Part]) -> st.SearchStrategy[Message]:
    """Return messages of a role with one to three parts."""
    content = st.lists(parts, min_size=1, max_size=3).map(tuple)
    given_by_role: dict[str, dict[str, st.SearchStrategy[Any]]] = {
        "system": {"original_role": st.just("developer")},
        "assistant": {"tool_calls": st.lists(json_objects, min_size=1, max_size=2)},
        "tool": {"tool_call_id": texts},
    }
    return st.builds(Message, st.just(role), content, extras(**given_by_role.get(role, {})))


@st.composite
def with_options(draw: st.DrawFn, given: st.SearchStrategy[Message]) -> Message:
    """Draw a message, now and then with the sizes at which its pictures are looked at."""
    message = draw(given)
    places = sum(isinstance(part, ImageRef) for part in message.content)
    if not places or draw(st.integers(0, 3)):
        return message
    some = st.none() | st.fixed_dictionaries({"max_pixels": st.integers(1, 9)})
    options = draw(st.lists(some, min_size=places, max_size=places).filter(any))
    return replace(message, extras={**message.extras, "image_options": options})


text_parts = st.builds(Text, texts)
any_parts = st.one_of(text_parts, st.builds(ImageRef, details))
calls = st.lists(json_objects, min_size=1, max_size=2)
systems, users = messages("system", text_parts), with_options(messages("user", any_parts))
answers = st.one_of(
    messages("assistant", text_parts),
    calls.map(lambda found: Message("assistant", (), {"tool_calls": found})),
)
markers = st.sampled_from(["\n\nHuman: a", "b\n", "\n\nAssistant:", "Human: c", " d "])
dialogue_texts = st.one_of(texts, texts, markers)
ids = st.one_of(st.none(), texts.filter(bool))


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    """Draw a conversation that holds to the checks, in the conversation or answer layout."""
    start = [*draw(st.lists(systems, max_size=2)), draw(users)]
    turns = draw(st.lists(st.one_of(users, answers, messages("tool", any_parts)), max_size=3))
    whole = (*start, *turns, draw(answers))
    parts = [part for message in whole for part in message.content]
    places = sum(isinstance(part, ImageRef) for part in parts)
    images = draw(st.lists(st.sampled_from(PICTURES), min_size=places, max_size=places))
    boundary = draw(st.one_of(st.none(), st.integers(1, len(whole) - 1)))
    return Conversation(whole, tuple(images), draw(ids), draw(tools()), boundary)


def tools() -> st.SearchStrategy[str | None]:
    """Return tool schemas as the JSON text that is kept of them."""
    return st.one_of(st.none(), st.lists(json_objects).map(lambda v: orjson.dumps(v).decode()))


@st.composite
def plain_conversations(draw: st.DrawFn) -> Conversation:
    """Draw what a simple row holds whole: one question, at most one picture, one answer."""
    image = draw(st.lists(st.sampled_from(PICTURES), max_size=1))
    question = Message("user", (*[ImageRef() for _ in image], draw(text_parts)))
    system = [Message("system", (part,)) for part in draw(st.lists(text_parts, max_size=1))]
    answer = Message("assistant", (draw(text_parts),))
    return Conversation((*system, question, answer), tuple(image), draw(ids))


named_calls = st.builds(
    lambda name, arguments: {
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    },
    *(texts, json_objects),
)
plain_texts = st.text(st.characters(codec="utf-8", exclude_characters="<"), max_size=6)
tagged = st.lists(st.sampled_from([ImageRef(), Text("a\n")]), min_size=1, max_size=3).filter(
    lambda parts: (Text("a\n"), Text("a\n")) not in pairwise(parts)
)


@st.composite
def turns(draw: st.DrawFn) -> Conversation:
    """Draw what rows of turns hold whole: questions with places, answers, calls, and pairs."""
    whole = [Message("system", (Text(draw(plain_texts)),))] if draw(st.booleans()) else []
    asked = ["user", *draw(st.lists(st.sampled_from(["user", "tool"]), max_size=2))]
    for role in asked:
        flag = draw(st.sampled_from([{}, {}, {}, {"train": False}, {"weight": 0.5}]))
        whole.append(Message(role, tuple(draw(tagged))))
        calls = draw(st.sampled_from([[], [], [], *[draw(st.lists(named_calls, max_size=2))]]))
        said = () if calls else (Text(draw(plain_texts)),)
        whole.append(Message("assistant", said, {"tool_calls": calls, **flag} if calls else flag))
    parts = [part for message in whole for part in message.content]
    places = sum(isinstance(part, ImageRef) for part in parts)
    images = draw(st.lists(st.sampled_from(PICTURES), min_size=places, max_size=places))
    other = Message("assistant", (Text(draw(plain_texts)),))
    is_pair = draw(st.booleans()) and other != whole[-1]
    boundary, rejected = (len(whole) - 1, (other,)) if is_pair else (None, ())
    return Conversation(tuple(whole), tuple(images), draw(ids), draw(tools()), boundary, rejected)


@st.composite
def dialogues(draw: st.DrawFn) -> Conversation:
    """Draw questions and answers in turn, all pictures in front, or a pair of such answers."""
    texts = draw(st.lists(dialogue_texts, min_size=2, max_size=6))
    texts = texts[: len(texts) // 2 * 2]
    image = draw(st.lists(st.sampled_from(PICTURES), max_size=2))
    roles = ("user", "assistant") * 3
    turns = [Message(role, (Text(text),)) for role, text in zip(roles, texts, strict=False)]
    turns[0] = Message("user", (*[ImageRef() for _ in image], Text(texts[0])))
    whole = Conversation(tuple(turns), tuple(image), draw(ids))
    if draw(st.booleans()):
        return whole
    other = Message("assistant", (Text(f"{draw(dialogue_texts)}."),))
    assume(other != turns[-1])
    return replace(whole, prompt_messages=len(turns) - 1, rejected=(other,))


@st.composite
def pairs(draw: st.DrawFn) -> Conversation:
    """Draw a conversation with another answer, which may begin in any way."""
    whole = draw(conversations())
    boundary = draw(st.integers(1, len(whole.messages) - 1))
    chosen = whole.messages[boundary:]
    other = draw(st.sampled_from([(), whole.messages[:boundary], chosen[:1]]))
    rejected = (*draw(st.sampled_from([other, *[()] * 3])), draw(answers))
    assume(rejected != chosen and not count_images(rejected))
    return replace(whole, prompt_messages=boundary, rejected=rejected)


wild_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts, st.sampled_from(WORDS)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=8,
)


@st.composite
def spoiled_rows(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a rendered row with one of the values inside it replaced or gone."""
    format_ = draw(st.sampled_from(list(FORMATS.values())))
    row = orjson.loads(orjson.dumps(row_of(draw(st.from_type(Conversation)), format_)))
    holder, place = row, draw(st.sampled_from(list(row)))
    while isinstance(holder[place], (dict, list)) and holder[place] and draw(st.booleans()):
        holder = holder[place]
        places = list(holder) if isinstance(holder, dict) else range(len(holder))
        place = draw(st.sampled_from(places))
    if draw(st.booleans()):
        del holder[place]
    else:
        holder[place] = draw(wild_values)
    return row


wild_rows = st.dictionaries(st.sampled_from(KEYS), wild_values, max_size=6)

st.register_type_strategy(
    Conversation,
    st.one_of(conversations(), plain_conversations(), turns(), dialogues(), pairs()),
)
st.register_type_strategy(Image, st.sampled_from(PICTURES))
st.register_type_strategy(
    Row,
    st.builds(
        Row,
        st.just(Origin("in.jsonl", 0, 1)),
        st.one_of(wild_rows, spoiled_rows()),
        raw=st.none(),
        payloads=st.just(()),
        whole=st.none(),
    ),
)
