"""What formats have no place for, by name: a loss is refused unless the caller names it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from enum import StrEnum
from typing import NamedTuple

from vlm_datakit.conversation import Conversation, ImageRef, Message, Text
from vlm_datakit.errors import UsageError

ALL = "all"


class Loss(StrEnum):
    """What becomes of a row that does not fit. Public: documented, never renamed."""

    SYSTEM = "system"  # the system message is left out
    FIRST_TURN = "first-turn"  # questions and answers after the first are left out
    LAST_TURN = "last-turn"  # a question that nobody answers is left out
    QUESTION = "question"  # the target has one question for all rows
    IMAGES = "images"  # all pictures are left out
    FIRST_IMAGE = "first-image"  # pictures after the first
    IMAGE_PLACE = "image-place"  # pictures stand elsewhere in the conversation
    JOINED_TEXTS = "joined-texts"  # text parts, or messages of one role, become one
    ROLES = "roles"  # a role becomes the nearest one that the target knows
    NAMES = "names"  # the name of a speaker is left out
    TOOLS = "tools"  # tool schemas are left out
    TOOL_CALLS = "tool-calls"  # calls, and which call a tool answers
    FLAGS = "flags"  # what to train on: weight, train
    DETAIL = "detail"  # in how much detail a picture is looked at
    REJECTED = "rejected"  # the rejected answer is left out
    BOUNDARY = "boundary"  # where the prompt ends
    IMAGE_OPTIONS = "image-options"  # the size at which a picture is looked at
    UNPAIRED = "unpaired"  # there is no rejected answer, and none is made up
    TURN_ORDER = "turn-order"  # the target's reader drops rows whose turns do not alternate
    PLACEHOLDER = "placeholder"  # a text spells <image>, which would be read as a place
    NO_IMAGE = "no-image"  # there is no picture, and none is made up
    TURN_MARKERS = "turn-markers"  # a text would be read as several turns


#: What nobody can consent to: the row would say what nobody said, or not be read.
NEVER = frozenset(
    {Loss.UNPAIRED, Loss.TURN_ORDER, Loss.PLACEHOLDER, Loss.NO_IMAGE, Loss.TURN_MARKERS}
)


class Lost(NamedTuple):
    """One thing that a target cannot hold: its kind, where it stands, and what it is."""

    loss: Loss
    where: str
    what: str


_OF_EXTRAS = {
    "tool_calls": Loss.TOOL_CALLS,
    "tool_call_id": Loss.TOOL_CALLS,
    "name": Loss.NAMES,
    "weight": Loss.FLAGS,
    "train": Loss.FLAGS,
    "original_role": Loss.ROLES,
    "image_options": Loss.IMAGE_OPTIONS,
}


def says_more(message: Message) -> bool:
    """Whether a message says anything beside its role, its texts and the places of pictures."""
    if message.extras:
        return True
    for part in message.content:  # noqa: SIM110 - any() takes twice the time
        if type(part) is ImageRef and part.detail is not None:
            return True
    return False


def extras_lost(message: Message, where: str, kept: Iterable[str] = ()) -> list[Lost]:
    """Name what a message says beside its role and content, but for what is ``kept``."""
    if not message.extras:
        return []
    names = [name for name in message.extras if name not in kept]
    return [Lost(_OF_EXTRAS[name], f"{where}.{name}", name) for name in names]


def details_lost(message: Message, where: str) -> list[Lost]:
    """Name each picture of a message that says in how much detail it is looked at."""
    content = message.content
    if len(content) == 1 and isinstance(content[0], Text):
        return []
    details = [part.detail for part in content if isinstance(part, ImageRef)]
    given = len(details) - details.count(None)
    return [Lost(Loss.DETAIL, f"{where}.content", "detail")] * given


def boundary_lost(conversation: Conversation) -> list[Lost]:
    """Name where the prompt ends, if there are answers in it."""
    prompt = conversation.messages[: conversation.prompt_messages or 0]
    if not any(message.role == "assistant" for message in prompt):
        return []
    return [Lost(Loss.BOUNDARY, "$.completion", "where the prompt ends")]


def turns_lost(messages: Sequence[Message], *, runs: bool = False) -> list[Lost]:
    """Name a turn out of order: after one system message, questions and answers take turns.

    Args:
        messages: Those of a whole row.
        runs: Whether what several tools say counts as one turn.
    """
    asked, after_tool = False, False
    start = int(bool(messages) and messages[0].role == "system")
    for index, message in enumerate(messages[start:], start):
        is_answer, is_tool = message.role == "assistant", message.role == "tool"
        is_run = runs and is_tool and after_tool
        if message.role == "system" or (is_answer is not asked and not is_run):
            what = (
                f"the turn of {message.role} after {messages[index - 1].role if index else 'none'}"
            )
            return [Lost(Loss.TURN_ORDER, f"$.messages[{index}]", what)]
        asked, after_tool = not is_answer, is_tool
    if asked or len(messages) == start:
        return [Lost(Loss.TURN_ORDER, "$.messages", "a row that ends without an answer")]
    return []


def parse_losses(names: Iterable[str]) -> frozenset[Loss]:
    """Read names of losses that may be; ``all`` are all but `NEVER`.

    Raises:
        UsageError: for a name that is none; the message lists them, and the nearest.

    Example:
        >>> sorted(parse_losses(["tools", "detail"]))
        [<Loss.DETAIL: 'detail'>, <Loss.TOOLS: 'tools'>]
    """
    found = set[Loss]()
    for name in names:
        known = sorted(set(Loss) - NEVER)
        if name == ALL:
            return frozenset(known)
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UsageError(f"--lossy {name}: no such loss: known are {', '.join(known)}{hint}")
        found.add(Loss(name))
    return frozenset(found)
