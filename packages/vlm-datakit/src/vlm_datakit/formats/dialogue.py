"""Questions and answers in turn, a text each: what rows of a few columns can hold of a row."""

from __future__ import annotations

from collections.abc import Sequence

from vlm_datakit.conversation import Conversation, ImageRef, ImageSource, Message, Part, Text
from vlm_datakit.formats.format import Fields
from vlm_datakit.images.kind import classify
from vlm_datakit.losses import Loss, Lost, boundary_lost, details_lost, extras_lost
from vlm_datakit.turns import count_images, spoken

_VOICES = ("user", "assistant")


def picture_of(fields: Fields, name: str) -> tuple[ImageSource, ...]:
    """Return the picture of a column; null and an empty text are none.

    Raises:
        RowError: ``field-wrong-type`` for what is no picture.
    """
    value = fields.get(name)
    if value is None or (isinstance(value, str) and value == ""):
        return ()
    return (classify(value, f"$.{name}"),)


def asked(question: str, answer: str, images: Sequence[ImageSource] = ()) -> tuple[Message, ...]:
    """Return a question behind its pictures, and its answer."""
    content: tuple[Part, ...] = (*[ImageRef() for _ in images], Text(question))
    return Message("user", content), Message("assistant", (Text(answer),))


def turns_of(messages: Sequence[Message]) -> list[tuple[str, str]]:
    """Return who speaks and what, the same voice never twice in turn; no system, two voices.

    Example:
        >>> turns_of([*asked("2 + 2?", "4"), Message("assistant", (Text("!"),))])
        [('user', '2 + 2?'), ('assistant', '4!')]
    """
    turns = list[tuple[str, str]]()
    for message in messages:
        if message.role == "system":
            continue
        role, text = _voice(message), spoken(message)
        if turns and turns[-1][0] == role:
            turns[-1] = (role, turns[-1][1] + text)
        else:
            turns.append((role, text))
    return turns


def _voice(message: Message) -> str:
    return "assistant" if message.role == "assistant" else "user"


def losses_of_turns(messages: Sequence[Message]) -> list[Lost]:
    """Name what of messages is lost in `turns_of` them, but for pictures."""
    found, last = list[Lost](), ""
    for index, message in enumerate(messages):
        where = f"$.messages[{index}]"
        found += extras_lost(message, where)
        if message.role == "system":
            found.append(Lost(Loss.SYSTEM, where, "a system message"))
            continue
        if message.role == "tool":
            found.append(Lost(Loss.ROLES, where, "a tool's message"))
        texts = [part for part in message.content if isinstance(part, Text)]
        if len(texts) != 1:
            found.append(Lost(Loss.JOINED_TEXTS, f"{where}.content", f"{len(texts)} texts in one"))
        if _voice(message) == last:
            found.append(Lost(Loss.JOINED_TEXTS, where, "two messages of one voice in turn"))
        last = _voice(message)
    return found


def images_lost(messages: Sequence[Message]) -> list[Lost]:
    """Name each picture, for a target that holds none."""
    return [
        Lost(Loss.IMAGES, f"$.messages[{index}].content", "an image")
        for index, message in enumerate(messages)
        for part in message.content
        if isinstance(part, ImageRef)
    ]


def images_moved(messages: Sequence[Message]) -> list[Lost]:
    """Name what pictures lose if all of them stand before the text of the first question."""
    found, is_first = list[Lost](), True
    for index, message in enumerate(messages):
        where = f"$.messages[{index}]"
        found += details_lost(message, where)
        images = [isinstance(part, ImageRef) for part in message.content]
        leading = images.index(False) if False in images else len(images)
        if any(images if not is_first else images[leading:]):
            found.append(Lost(Loss.IMAGE_PLACE, f"{where}.content", "an image further on"))
        is_first = is_first and message.role == "system"
    return found


def rest_lost(conversation: Conversation) -> list[Lost]:
    """Name what stands beside the messages: tools, the other answer, an inner prompt boundary."""
    found = list[Lost]()
    if conversation.tools is not None:
        found.append(Lost(Loss.TOOLS, "$.tools", "tools"))
    found += boundary_lost(conversation)
    if conversation.rejected:
        found.append(Lost(Loss.REJECTED, "$.rejected", "the rejected answer"))
    return found


def first_pair(messages: Sequence[Message]) -> tuple[str, str]:
    """Return the first question and the first answer; a missing one is empty."""
    turns = turns_of(messages)
    texts = [next((text for role, text in turns if role == who), "") for who in _VOICES]
    return texts[0], texts[1]


def first_images(messages: Sequence[Message]) -> int:
    """Count the pictures that stand before the first answer."""
    roles = [message.role for message in messages]
    end = roles.index("assistant") if "assistant" in roles else len(roles)
    return count_images(tuple(messages[:end]))


def losses_of_one(conversation: Conversation) -> list[Lost]:
    """Name what is lost in the first question and its answer, but for pictures."""
    found = losses_of_turns(conversation.messages)
    turns = len(turns_of(conversation.messages))
    if turns != len(_VOICES):
        found.append(Lost(Loss.FIRST_TURN, "$.messages", f"{turns} turns"))
    return found + [lost for lost in rest_lost(conversation) if lost.loss is not Loss.BOUNDARY]


#: Of all but pictures, as `losses_of_turns` and `rest_lost` name it.
TURNS_CANNOT_HOLD = frozenset(
    {Loss.SYSTEM, Loss.ROLES, Loss.JOINED_TEXTS, Loss.NAMES, Loss.TOOL_CALLS, Loss.FLAGS}
    | {Loss.TOOLS, Loss.REJECTED, Loss.BOUNDARY, Loss.IMAGE_OPTIONS}
)
#: The same of one question and its answer, as `losses_of_one` names it.
ONE_CANNOT_HOLD = TURNS_CANNOT_HOLD | {Loss.FIRST_TURN, Loss.LAST_TURN}
#: Of pictures, where there are none.
NO_IMAGES = frozenset({Loss.IMAGES, Loss.FIRST_IMAGE, Loss.IMAGE_PLACE, Loss.DETAIL})
