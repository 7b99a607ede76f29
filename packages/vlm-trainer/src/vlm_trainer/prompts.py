"""Rows that ask: JSON lines of ``{"text", "image", "system"}``, read for `generate`.

The simple rows of vlm-datakit, with ``prompt`` for ``text`` and ``images`` for several pictures.
Rows come from anybody: a path opens a file below one folder and nothing else.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlm_trainer.conversation import Message
from vlm_trainer.errors import Reason, RowError

SEEN_CHARS = 40


@dataclass(frozen=True, slots=True)
class Prompt:
    """One question.

    Args:
        text: What is asked.
        images: Picture files, shown before the text in this order.
        system: System message; None for the template's own.
    """

    text: str
    images: tuple[bytes, ...] = ()
    system: str | None = None


def read_prompt(line: str, root: Path) -> Prompt:
    """Read one line.

    Args:
        line: A JSON object. ``image`` is a data URI or a path.
        root: Folder below which paths lie.

    Raises:
        RowError: ``prompt-invalid`` for a line that is no such row; ``image-unreadable`` for a
            picture that is not there, or lies outside the folder.

    Example:
        >>> read_prompt('{"text": "2 + 2?"}', Path("."))
        Prompt(text='2 + 2?', images=(), system=None)
    """
    row = read_row(line)
    text, system = row.get("text", row.get("prompt")), row.get("system")
    if not isinstance(text, str):
        raise RowError(Reason.PROMPT_INVALID, "$.text", _seen(text))
    if not isinstance(system, str | None):
        raise RowError(Reason.PROMPT_INVALID, "$.system", _seen(system))
    given = row.get("images") or row.get("image") or []
    values = given if isinstance(given, list) else [given]
    images = tuple(_picture(value, f"$.images[{n}]", root) for n, value in enumerate(values))
    return Prompt(text, images, system)


def read_row(line: str) -> Mapping[str, Any]:
    """Read a line as a JSON object.

    Raises:
        RowError: ``prompt-invalid``.
    """
    check_text(line, "$", "not UTF-8")
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RowError(Reason.PROMPT_INVALID, "$", str(error)[:SEEN_CHARS]) from error
    if not isinstance(row, dict):
        raise RowError(Reason.PROMPT_INVALID, "$", _seen(row))
    return row


def is_utf8(text: str) -> bool:
    """Say whether a text can be written; half of a surrogate pair cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_text(text: str, where: str, what: str = "no text") -> None:
    """Refuse what no tokenizer takes.

    Raises:
        RowError: ``prompt-invalid``.
    """
    if not is_utf8(text):
        strange = next(letter for letter in text if not is_utf8(letter))
        raise RowError(Reason.PROMPT_INVALID, where, f"{what}: {strange!a}")


def messages_of(text: str, images: int, system: str | None) -> tuple[Message, ...]:
    """Return the messages of a question behind its pictures."""
    parts = [{"type": "image", "text": None}] * images
    asked = {"role": "user", "content": [*parts, {"type": "text", "text": text}]}
    if system is None:
        return (asked,)
    return ({"role": "system", "content": [{"type": "text", "text": system}]}, asked)


def _picture(value: Any, where: str, root: Path) -> bytes:
    if not isinstance(value, str) or not value:
        raise RowError(Reason.PROMPT_INVALID, where, _seen(value))
    head, mark, payload = value.partition(";base64,")
    if mark and head.startswith("data:"):
        try:
            return base64.b64decode(payload, validate=True)
        except binascii.Error as error:
            raise RowError(Reason.IMAGE_UNREADABLE, where, str(error)[:SEEN_CHARS]) from error
    try:
        path = (root / value).resolve()
        if not path.is_relative_to(root.resolve()):
            raise RowError(Reason.IMAGE_UNREADABLE, where, f"{_seen(value)} is not below {root}")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        what = getattr(error, "strerror", None) or str(error)
        raise RowError(Reason.IMAGE_UNREADABLE, where, f"{_seen(value)}: {what}") from error


def _seen(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:SEEN_CHARS]


def answered_row(row: Mapping[str, Any], response: str | None, error: str = "") -> dict[str, Any]:
    """Return a row with its answer; a response that it had becomes ``expected``.

    Example:
        >>> answered_row({"text": "2 + 2?", "response": "4"}, "5")
        {'text': '2 + 2?', 'response': '5', 'expected': '4'}
    """
    found = {**row, "response": response}
    if row.get("response") is not None:
        found["expected"] = row["response"]
    return {**found, "error": error} if error else found
