"""A row of the shards as the trainer sees it: messages, pictures as bytes, sizes.

The layouts of the shard contract become one value here, so that everything behind it
knows one shape only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Message = Mapping[str, Any]  # {"role": str, "content": [{"type": str, "text": str | None}, ...]}


@dataclass(frozen=True, slots=True)
class ImageSize:
    """Size of an upright picture (after its orientation tag), in pixels."""

    width_px: int
    height_px: int


@dataclass(frozen=True, slots=True)
class Conversation:
    """One conversation, its pictures still the bytes of a file.

    Args:
        id: The row's own id.
        messages: In order; the n-th image part belongs to ``images[n]``.
        images: Encoded picture files; empty when only headers were read.
        image_sizes: One for each image part, known without decoding.
        tools: Tool schemas, as the template takes them.
        flags: By message index, what the shards keep beside a message:
            ``tool_calls``, ``weight``, ``train``, ``name`` and the like.
        first_answer: Messages before this index are prompt whatever their role: the
            length of the prompt in the prompt/answer and the pair layout, else 0.
        rejected: The other answer of a preference pair; ``messages`` end with the chosen one.
    """

    id: str
    messages: tuple[Message, ...]
    images: tuple[bytes, ...] = ()
    image_sizes: tuple[ImageSize, ...] = ()
    tools: tuple[Mapping[str, Any], ...] = ()
    flags: Mapping[int, Mapping[str, Any]] = None  # type: ignore[assignment]
    first_answer: int = 0
    rejected: tuple[Message, ...] = ()

    def __post_init__(self) -> None:
        if self.flags is None:
            object.__setattr__(self, "flags", {})


def from_columns(columns: Mapping[str, Any]) -> Conversation:
    """Read one row of a shard, in the conversation, the prompt/answer or the pair layout.

    Args:
        columns: A row as pyarrow gives it; ``images`` may be absent when only the
            header of the row was read.

    Returns:
        The conversation; a message's tool calls are put back into the message, which is
        where chat templates look for them.

    Source:
        docs: the shard contract, section Schema.

    Example:
        >>> text = [{"type": "text", "text": "7"}]
        >>> row = {"id": "a", "prompt": [], "completion": [{"role": "assistant", "content": text}]}
        >>> from_columns(row).messages[0]["role"]
        'assistant'
    """
    prompt: Sequence[Message] = columns.get("prompt") or ()
    names = ("completion", "messages", "chosen")
    answer: Sequence[Message] = next((columns[name] for name in names if columns.get(name)), ())
    rejected: Sequence[Message] = columns.get("rejected") or ()
    flags = _flags(columns.get("extras"))
    messages = [
        _with_calls(message, flags.get(index))
        for index, message in enumerate([*prompt, *answer, *rejected])
    ]
    split = len(prompt) + len(answer)
    return Conversation(
        id=columns["id"],
        messages=tuple(messages[:split]),
        images=tuple(image["bytes"] for image in columns.get("images") or ()),
        image_sizes=tuple(
            ImageSize(size["width"], size["height"]) for size in columns.get("image_sizes") or ()
        ),
        tools=_tools(columns.get("tools")),
        flags=flags,
        first_answer=len(prompt),
        rejected=tuple(messages[split:]),
    )


def answer_text(message: Message) -> str:
    """Join the text parts of a message.

    Example:
        >>> answer_text({"role": "assistant", "content": [{"type": "text", "text": "7"}]})
        '7'
    """
    return "".join(part["text"] or "" for part in message["content"] if part["type"] == "text")


def _tools(text: str | None) -> tuple[Mapping[str, Any], ...]:
    """Read tool schemas; one alone may stand without its list."""
    tools = json.loads(text) if text else None
    return tuple(tools or ()) if tools is None or isinstance(tools, list) else (tools,)


def _flags(extras: str | None) -> dict[int, Mapping[str, Any]]:
    by_index = json.loads(extras) if extras else {}
    return {int(key): value for key, value in by_index.items() if key.isdigit()}


def _with_calls(message: Message, flags: Mapping[str, Any] | None) -> Message:
    if not flags or not flags.get("tool_calls"):
        return message
    return {**message, "tool_calls": flags["tool_calls"]}
