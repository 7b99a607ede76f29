"""Rows spoiled on purpose: what an import must refuse, and with which reason."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from vlm_datakit.errors import Reason, UsageError

Fields = dict[str, Any]


def spoil(row: Fields, target: str, reason: Reason) -> Fields:
    """Return a copy of a rendered row that must be refused with a reason.

    Args:
        row: A good row with one picture as a data URI, as ``render`` gives it.
        target: Its format: openai or simple.
        reason: One of `WAYS`.

    Example:
        >>> spoil({"text": "?", "response": "4"}, "simple", Reason.ANSWER_MISSING)
        {'text': '?', 'response': None}
    """
    return WAYS[reason](row, target)


def picture_of(row: Fields, target: str) -> str:
    """Return the text that gives a row's picture."""
    if target == "simple":
        return str(row["image"])
    return str(row["messages"][0]["content"][0]["image_url"]["url"])


def with_picture(row: Fields, target: str, picture: str) -> Fields:
    """Return a copy of a row with another text for its picture."""
    if target == "simple":
        return {**row, "image": picture}
    if target != "openai":
        raise UsageError(f"samples come as openai or simple, not {target}")
    question, *rest = row["messages"]
    image = {"type": "image_url", "image_url": {"url": picture}}
    content = [image, *question["content"][1:]]
    return {**row, "messages": [{**question, "content": content}, *rest]}


def _not_base64(row: Fields, target: str) -> Fields:
    head, _, body = picture_of(row, target).partition(",")
    return with_picture(row, target, f"{head},{body[:200]}<cut by a mail program>")


def _truncated(row: Fields, target: str) -> Fields:
    head, _, body = picture_of(row, target).partition(",")
    data = base64.b64decode(body)
    half = base64.b64encode(data[: len(data) // 2]).decode()
    return with_picture(row, target, f"{head},{half}")


def _missing_file(row: Fields, target: str) -> Fields:
    return with_picture(row, target, "raw_images/no_such_picture.png")


def _unanswered(row: Fields, target: str) -> Fields:
    if target == "simple":
        return {**row, "response": None}
    return {**row, "messages": row["messages"][:1]}


#: The ways to spoil a row, by the reason it must be refused with. A simple row without
#: its answer is refused as ``field-missing``, a chat row as ``answer-missing``.
WAYS: dict[Reason, Callable[[Fields, str], Fields]] = {
    Reason.IMAGE_NOT_BASE64: _not_base64,
    Reason.IMAGE_UNREADABLE: _truncated,
    Reason.IMAGE_FILE_MISSING: _missing_file,
    Reason.ANSWER_MISSING: _unanswered,
}
