"""The records a row becomes: parsed (`Draft`), then with its pictures opened (`Conversation`).

Plain frozen values without behaviour of their own, so that any stage can be tested,
pickled and printed; what every row has one of is a tuple, made in a third of the time. One
record in two states instead of a generic one: the alias of a generic slotted dataclass
cannot be called on Python 3.11.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from vlm_datakit.errors import Reason


@dataclass(frozen=True, slots=True)
class Text:
    """A text part of a message, character for character as the row had it."""

    text: str


@dataclass(frozen=True, slots=True)
class ImageRef:
    """The place of a picture; the n-th place in the messages is ``images[n]``."""

    detail: str | None = None  # OpenAI's low | high | auto, kept for the way back


Part = Text | ImageRef


@dataclass(frozen=True, slots=True)
class Message:
    """One turn: a role (system, user, assistant, tool), its parts, and what else it said.

    ``extras`` holds JSON values under `MESSAGE_EXTRAS`; only keys the row had.
    """

    role: str
    content: tuple[Part, ...]
    extras: Mapping[str, Any] = field(default_factory=dict)


#: What a message may carry beside role and content, as the shard contract lists it.
MESSAGE_EXTRAS = (
    "tool_calls",
    "tool_call_id",
    "name",
    "weight",
    "train",
    "original_role",
    "image_options",
)


class ImageForm(StrEnum):
    """How a row gave a picture. Decided by type, scheme and magic bytes alone."""

    DATA_URI = "data-uri"
    BASE64 = "base64"
    PATH = "path"
    URL = "url"
    BYTES = "bytes"
    OBJECT = "object"  # a PIL image or a numpy array, in Python only


class ImageSource(NamedTuple):
    """A picture as the row gave it: not opened, only classified."""

    form: ImageForm
    value: Any
    where: str


class Image(NamedTuple):
    """An opened picture: file bytes that every reader decodes to the same pixels.

    ``width_px`` and ``height_px`` are upright, after the orientation tag. ``rewritten``
    names why the bytes are not the ones that came (empty: they are). ``spelled`` is the text
    that the row gave it as, where rows are to be written with it again.
    """

    data: bytes
    media_type: str
    width_px: int
    height_px: int
    rewritten: tuple[str, ...] = ()
    spelled: str | None = None


class Origin(NamedTuple):
    """Where a row stands: the source's name, the byte offset, and the line if known."""

    source: str
    offset: int
    line: int | None = None

    def __str__(self) -> str:
        at = f"byte {self.offset}" if self.line is None else str(self.line)
        return f"{self.source}:{at}"


class Row(NamedTuple):
    """A row as read: its place, its fields, and its bytes if the ledger wants them.

    ``payloads`` are base64 texts that were cut out before the row was parsed; in the fields
    a mark and a number stand for them, and ``whole`` parses the row again without cuts.
    """

    origin: Origin
    fields: Mapping[str, Any]
    raw: bytes | None = None
    payloads: tuple[memoryview, ...] = ()
    whole: Callable[[], Row | Rejected] | None = None


@dataclass(frozen=True, slots=True)
class Warned:
    """Something worth knowing about a row that was kept."""

    reason: Reason
    where: str
    seen: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """What is written: messages, opened pictures, and what the formats must bring back.

    ``prompt_messages`` is None for a plain conversation. Otherwise the first that many
    messages are the prompt and the rest the answer; ``rejected`` is the other answer of
    a preference pair.
    """

    messages: tuple[Message, ...]
    images: tuple[Image, ...] = ()
    id: str | None = None
    tools: str | None = None  # JSON text
    prompt_messages: int | None = None
    rejected: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class Draft:
    """A conversation as parsed: its images are still what the row said they are."""

    messages: tuple[Message, ...]
    images: tuple[ImageSource, ...] = ()
    id: str | None = None
    tools: str | None = None
    prompt_messages: int | None = None
    rejected: tuple[Message, ...] = ()
    warnings: tuple[Warned, ...] = ()

    def with_images(self, images: tuple[Image, ...]) -> Conversation:
        """Return the same conversation, its images opened."""
        return Conversation(
            self.messages, images, self.id, self.tools, self.prompt_messages, self.rejected
        )


class Converted(NamedTuple):
    """A row that went through: its conversation, and what is worth knowing about it."""

    origin: Origin
    conversation: Conversation
    warnings: tuple[Warned, ...] = ()
    raw: bytes | None = None  # for the ledger, should the target refuse the row


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that did not: why, where in the row, what was seen. Stands in the row's place."""

    origin: Origin
    reason: Reason
    where: str
    seen: str
    raw: bytes | None = None
