"""What can go wrong, as values a program can act on.

    VlmDataKitError      1  a bug of ours, when nothing below fits
    ├── UsageError       2  the command or its configuration is off
    ├── SourceError      3  a source or a shard cannot be read
    ├── RemoteError      4  a server did not answer (`retryable` says whether to try again)
    ├── OutputError      5  the output exists, is full, or belongs to another plan
    ├── TooManyRejects   6  more rows were refused than the caller consented to
    └── RowError            one row cannot be used; becomes a `Rejected` in its place

The number is the exit code of the command line. A class says who acts next, not
which module raised.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum

SEEN_CHARS = 40  # how much of a value an error may quote


class Reason(StrEnum):
    """Why a row was refused or warned about. Public: documented, never renamed."""

    # the line
    JSON_INVALID = "json-invalid"
    LINE_TOO_LONG = "line-too-long"
    ROW_NOT_OBJECT = "row-not-object"
    CELLS_INVALID = "cells-invalid"
    MEMBER_INVALID = "member-invalid"
    # the fields
    FIELD_MISSING = "field-missing"
    FIELD_NOT_TEXT = "field-not-text"
    FIELD_WRONG_TYPE = "field-wrong-type"
    FIELD_NOT_JSON = "field-not-json"
    NUMBER_NOT_EXACT = "number-not-exact"
    FIELD_IGNORED = "field-ignored"
    CHOICE_UNDECIDED = "choice-undecided"
    # the messages
    ROLE_UNKNOWN = "role-unknown"
    ROLES_OUT_OF_ORDER = "roles-out-of-order"
    PART_UNKNOWN = "part-unknown"
    ANSWER_MISSING = "answer-missing"
    ANSWERS_DIFFER = "answers-differ"
    ANSWER_EMPTY = "answer-empty"
    ENDS_WITHOUT_ANSWER = "ends-without-answer"
    LITERAL_SPECIAL_TOKEN = "literal-special-token"  # noqa: S105 - not a password
    LAYOUT_DIFFERS = "layout-differs"
    PAIR_EQUAL = "pair-equal"
    PROMPT_DIFFERS = "prompt-differs"
    # the pictures
    IMAGE_COUNT_DIFFERS = "image-count-differs"
    IMAGE_IN_ANSWER = "image-in-answer"
    IMAGE_NOT_IN_PLAN = "image-not-in-plan"
    IMAGE_NOT_BASE64 = "image-not-base64"
    IMAGE_TOO_LARGE = "image-too-large"
    IMAGE_TYPE_UNSUPPORTED = "image-type-unsupported"
    IMAGE_UNREADABLE = "image-unreadable"
    IMAGE_FILE_MISSING = "image-file-missing"
    IMAGE_OUTSIDE_ROOT = "image-outside-root"
    IMAGE_NOT_A_FILE = "image-not-a-file"
    IMAGE_URL_NOT_FETCHED = "image-url-not-fetched"
    IMAGE_URL_REFUSED = "image-url-refused"
    IMAGE_FETCH_FAILED = "image-fetch-failed"
    IMAGE_FIRST_FRAME_ONLY = "image-first-frame-only"
    # the target
    DOES_NOT_FIT_FORMAT = "does-not-fit-format"


#: Refusals that a rerun may cure: they depend on more than the row.
OUTSIDE_REASONS = frozenset({Reason.IMAGE_FILE_MISSING, Reason.IMAGE_FETCH_FAILED})


class VlmDataKitError(Exception):
    """The root of every error raised on purpose; `exit_code` is for the command line."""

    exit_code = 1


class UsageError(VlmDataKitError):
    """The call is off: an unknown format, a contradiction of options, a bad key."""

    exit_code = 2


class SourceError(VlmDataKitError):
    """A source, a shard or a manifest is missing, corrupt or not what it claims to be."""

    exit_code = 3


class RemoteError(VlmDataKitError):
    """A server failed us. `retryable` tells whether the same call may go through later."""

    exit_code = 4

    def __init__(self, message: str, retryable: bool = False) -> None:  # noqa: FBT001, FBT002 - pickles by position
        super().__init__(message, retryable)
        self.retryable = retryable

    def __str__(self) -> str:
        return str(self.args[0])


class OutputError(VlmDataKitError):
    """The output cannot be written: it exists, holds something else, or the disk is full."""

    exit_code = 5


class TooManyRejects(VlmDataKitError):  # noqa: N818 - the name says what happened
    """More rows were refused than the caller consented to; nothing was committed.

    Args:
        message: One line.
        rows: Rows read until then.
        by_reason: How many were refused, by reason code.
        first: The first of them, a line each.
    """

    exit_code = 6

    def __init__(
        self,
        message: str,
        rows: int = 0,
        by_reason: Mapping[str, int] | None = None,
        first: Sequence[str] = (),
    ) -> None:
        super().__init__(message, rows, dict(by_reason or {}), tuple(first))
        self.rows = rows
        self.by_reason = dict(by_reason or {})
        self.first = tuple(first)

    def __str__(self) -> str:
        return str(self.args[0])


class RowError(VlmDataKitError):
    """One row cannot be used; says why, where in the row, and what was seen.

    Args:
        reason: The code, counted and documented.
        where: JSON path in the row, such as ``$.messages[1].content``.
        seen: What stood there, cut to `SEEN_CHARS` characters; never a base64 body.
    """

    exit_code = 6

    def __init__(self, reason: Reason, where: str, seen: str) -> None:
        super().__init__(reason, where, seen)  # args, so that it pickles
        self.reason = reason
        self.where = where
        self.seen = seen

    def __str__(self) -> str:
        return f"{self.reason} at {self.where}: {self.seen}"


def quoted(value: object) -> str:
    r"""Spell a value for an error: short, on one line, control characters escaped.

    Example:
        >>> print(quoted("two\nlines"))
        "two\nlines"
        >>> quoted(None), quoted(True), quoted([1, 2])
        ('null', 'true', 'a list of 2')
    """
    if isinstance(value, str):
        return f'"{_escaped(value)}"' + ("..." if len(value) > SEEN_CHARS else "")
    if value is None or isinstance(value, (bool, int, float)):
        return json.dumps(value)[:SEEN_CHARS]
    if isinstance(value, dict):
        names = _escaped(", ".join(map(str, value)))
        return f"an object with {names}" if names else "an empty object"
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    return f"a {type(value).__name__}"


def _escaped(text: str) -> str:
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[:SEEN_CHARS])
