"""Which messages of a conversation are trained, and how much each counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from vlm_trainer.conversation import Conversation
from vlm_trainer.errors import Reason, RowError

FLAGS = ("train", "weight")  # of a message, in the extras of the shards
SEEN_CHARS = 40

Weights = dict[int, float]  # by index of the message; what is not in it is not trained


@dataclass(frozen=True, slots=True)
class LabelRule:
    """What of a row is trained.

    Args:
        train_on: A key of `TRAIN_ON`.
        json_focus: Weight of the form of answers that are JSON, 0 to 1; None for none.
        json_focus_keys: Count the names of fields as form.
    """

    train_on: str = "assistant"
    json_focus: float | None = None
    json_focus_keys: bool = False

    @property
    def is_weighted(self) -> bool:
        """Whether tokens may count more or less than others."""
        return self.json_focus is not None or self.train_on == "flags"


def trained_messages(conversation: Conversation, train_on: str) -> Weights:
    """Choose the messages that are trained, with the weight of each, above 0.

    Raises:
        RowError: ``flag-not-understood``, with ``flags`` only.

    Example:
        >>> said = tuple({"role": r, "content": []} for r in ("user", "assistant") * 2)
        >>> trained_messages(Conversation("a", said), "last")
        {3: 1.0}
    """
    return TRAIN_ON[train_on](conversation)


def has_unread_flags(conversation: Conversation, train_on: str) -> bool:
    """Say whether the shards want other messages trained than they will be."""
    if train_on == "flags" or not any(map(_has_flag, conversation.flags.values())):
        return False
    try:
        return _flagged(conversation) != _answers(conversation)
    except RowError:
        return True


def _answers(conversation: Conversation) -> Weights:
    first = conversation.first_answer
    return _counted(i for i in _said_by(conversation, "assistant") if i >= first)


def _last(conversation: Conversation) -> Weights:
    return _counted(list(_answers(conversation))[-1:])


def _last_turn(conversation: Conversation) -> Weights:
    """Choose the last answer and those before it up to a question, as around calls of tools."""
    answers = list(_answers(conversation))
    asked = [i for i in _said_by(conversation, "user") if answers and i < answers[-1]]
    return _counted(i for i in answers if i > max(asked, default=-1))


def _flagged(conversation: Conversation) -> Weights:
    """Choose what the flags say, and the answers that have none."""
    answers, weights = _answers(conversation), {}
    for index in range(len(conversation.messages)):
        flags = conversation.flags.get(index) or {}
        default = answers.get(index, 0.0)
        weights[index] = _weight(flags, default, index) if _has_flag(flags) else default
    return {index: weight for index, weight in weights.items() if weight > 0}


def _all(conversation: Conversation) -> Weights:
    return _counted(range(len(conversation.messages)))


TRAIN_ON: dict[str, Callable[[Conversation], Weights]] = {
    "assistant": _answers,
    "last": _last,
    "last-turn": _last_turn,
    "flags": _flagged,
    "all": _all,
}


def _said_by(conversation: Conversation, role: str) -> list[int]:
    return [i for i, message in enumerate(conversation.messages) if message["role"] == role]


def _counted(indices: Iterable[int]) -> Weights:
    return dict.fromkeys(indices, 1.0)


def _has_flag(flags: Any) -> bool:
    return any(flags.get(name) is not None for name in FLAGS)


def _weight(flags: Any, default: float, index: int) -> float:
    """Read the flags of a message; ``train`` false and ``weight`` 0 both mean no."""
    train, weight = (flags.get(name) for name in FLAGS)
    if train is not None and train not in (False, True):  # 0 and 1 are equal to them
        raise _not_understood(index, "train", train)
    if weight is None:
        return default if train is None else float(train)
    number = isinstance(weight, (int, float)) and not isinstance(weight, bool)
    if not number or not math.isfinite(weight) or weight < 0:
        raise _not_understood(index, "weight", weight)
    return 0.0 if train is not None and not train else float(weight)


def _not_understood(index: int, name: str, value: object) -> RowError:
    where = f"$.messages[{index}].{name}"
    return RowError(Reason.FLAG_NOT_UNDERSTOOD, where, repr(value)[:SEEN_CHARS])
