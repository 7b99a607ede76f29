"""Every way the trainer can stop, and who has to act next.

    VlmTrainerError      1  a bug of ours when raised bare
    ├── UsageError       2  the command or the config must change
    ├── OutOfMemory      2  the GPU is too small for these settings
    ├── SourceError      3  the shards or the model cannot be read
    ├── OutputError      5  the output folder is in the way, or the run differs from it
    ├── RowsRefused      6  rows that cannot be trained, or one that failed while training
    ├── RowError         6  one row; inside the package it becomes a `Refused`
    └── Terminated     143  SIGTERM or a launcher that went away, after saving

Every class keeps its data in ``args``, so it survives pickling between processes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Stable codes of why a row is refused: public, counted, never renamed."""

    NO_SUPERVISED_TOKEN = "no-supervised-token"  # noqa: S105 - not a password
    """The row has no text that is trained, so its loss would be 0 or NaN."""
    ANSWER_NOT_RENDERED = "answer-not-rendered"
    """The answer stands only in tool_calls and the chat template does not write them."""
    ROW_TOO_LONG = "row-too-long"
    """The row has more tokens than --max-length; it is never cut."""
    FLAG_NOT_UNDERSTOOD = "flag-not-understood"
    """A flag of a message (train, weight) says neither yes nor no nor how much."""
    CONTROL_TOKEN_IN_TEXT = "control-token-in-text"  # noqa: S105 - not a password
    """A text holds a control token such as <|image_pad|> or <|im_end|> literally."""
    PAIR_EQUAL = "pair-equal"
    """Both answers of a preference pair are the same, so there is nothing to prefer."""
    IMAGE_COUNT_DIFFERS = "image-count-differs"
    """The row has more or fewer image parts than images."""
    IMAGE_SIZE_DIFFERS = "image-size-differs"
    """A decoded picture has another size than the shard says."""
    IMAGE_TOO_LARGE = "image-too-large"
    """A picture is above the limits on pixels or sides."""
    IMAGE_TOO_NARROW = "image-too-narrow"
    """A picture is more than 200 times longer than wide; Qwen2.5-VL refuses it."""
    IMAGE_UNREADABLE = "image-unreadable"
    """A picture is no image of an allowed format, or is cut short."""
    PROMPT_INVALID = "prompt-invalid"
    """A line given to `generate` is no JSON object with a text to ask."""
    IMAGE_FOR_TEXT_MODEL = "image-for-text-model"
    """The row has a picture and the model reads text only."""
    TEMPLATE_NOT_INCREMENTAL = "template-not-incremental"
    """The chat template rewrites earlier messages, so answers cannot be located."""


class VlmTrainerError(Exception):
    """Root of all deliberate errors; the message is one line for a person."""

    exit_code = 1


class UsageError(VlmTrainerError):
    """The command line or the config is wrong; nothing was read or written."""

    exit_code = 2


class OutOfMemory(VlmTrainerError):  # noqa: N818 - the settings are too large, not wrong
    """The GPU has too little memory for the batch; the message says what to lower."""

    exit_code = 2


class SourceError(VlmTrainerError):
    """The shards or the model are missing, foreign or damaged."""

    exit_code = 3


class OutputError(VlmTrainerError):
    """The output folder holds something else, or a run that differs from this one."""

    exit_code = 5


class RowsRefused(VlmTrainerError):  # noqa: N818 - rows are refused, not wrong
    """Rows that cannot be trained on; the message names them and how to go on."""

    exit_code = 6


class RowError(VlmTrainerError):
    """One row cannot be used; says why, where in the row, and what was seen.

    Example:
        >>> str(RowError(Reason.ROW_TOO_LONG, "$.messages", "900 tokens, limit 512"))
        'row-too-long at $.messages: 900 tokens, limit 512'

    Args:
        reason: The stable code.
        where: JSON path in the row, such as ``$.messages[1]``.
        seen: What was found, at most 40 characters of user data.
    """

    exit_code = 6

    def __init__(self, reason: Reason, where: str, seen: str) -> None:
        super().__init__(reason, where, seen)
        self.reason = reason
        self.where = where
        self.seen = seen

    def __str__(self) -> str:
        return f"{self.reason} at {self.where}: {self.seen}"


class Terminated(VlmTrainerError):  # noqa: N818 - asked for, not an error
    """The run was asked to stop and has saved what it had."""

    exit_code = 143


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that cannot be trained, in the place of the row: an error as data."""

    row_id: str
    reason: Reason
    where: str
    seen: str
    folder: str = ""  # of a mix

    def __str__(self) -> str:
        of = f" of {self.folder}" if self.folder else ""
        return f"row {self.row_id!r}{of}: {self.reason} at {self.where}: {self.seen}"
