"""Steps that choose one of several values: by place, by name, by vote, by rating, by winner.

A column that does not decide, such as a tie, refuses the row (``choice-undecided``).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from vlm_datakit.errors import Reason, RowError, quoted
from vlm_datakit.mapping.lookup import Found
from vlm_datakit.turns import list_field, text_field

_FIRST = frozenset({"a", "A", "model_a", "response_a", "assistant_a"})
_SECOND = frozenset({"b", "B", "model_b", "response_b", "assistant_b"})
_DIGITS = 6  # of a spelled number; there are no more choices
#: Marks that name one of two answers.
MARKS = _FIRST | _SECOND


def first_of_list(values: Found) -> Any:
    """Return the first value of a list.

    Example:
        >>> first_of_list(Found(["3 May", "May 3"], "$.answers"))
        '3 May'
    """
    return list_field(values.value, values.where)[0]


def majority_vote(values: Found) -> str:
    """Return the text that stands most often in a list; two that do decide nothing.

    Example:
        >>> majority_vote(Found(["acme", "acme co", "acme"], "$.answers"))
        'acme'
    """
    given = list_field(values.value, values.where)
    votes = Counter(text_field(value, values.at(index)) for index, value in enumerate(given))
    (best, count), *others = votes.most_common(2)
    if others and others[0][1] == count:
        seen = f"{quoted(best)} {count} times, and so another"
        raise RowError(Reason.CHOICE_UNDECIDED, values.where, seen)
    return best


def class_name(label: Found) -> str:
    """Return the name of a class; a number without its name is refused.

    Example:
        >>> class_name(Found("baklava", "$.label"))
        'baklava'
    """
    return text_field(label.value, label.where)


def choice_by_index(choices: Found, index: Found) -> Any:
    """Return the choice that a whole number names, or a text that spells one; counted from 0.

    Example:
        >>> choice_by_index(Found(["steam", "ice"], "$.choices"), Found(1, "$.answer"))
        'ice'
        >>> choice_by_index(Found(["steam", "ice"], "$.choices"), Found("1", "$.answer"))
        'ice'
    """
    given = list_field(choices.value, choices.where)
    return given[_index(index, len(given))]


def other_than_choice(choices: Found, index: Found) -> Any:
    """Return the one of two choices that a whole number does not name.

    Example:
        >>> other_than_choice(Found(["steam", "ice"], "$.choices"), Found(1, "$.answer"))
        'steam'
    """
    first, second = _two(choices)
    return (second, first)[_index(index, 2)]


def choice_by_label(choices: Found, labels: Found, label: Found) -> Any:
    """Return the choice whose label, in a list beside the choices, is the given one.

    Example:
        >>> texts, labels = Found(["steam", "ice"], "$.text"), Found(["A", "B"], "$.label")
        >>> choice_by_label(texts, labels, Found("B", "$.key"))
        'ice'
    """
    given, names = _parallel(choices, labels)
    name = text_field(label.value, label.where)
    if names.count(name) != 1:
        seen = f"{quoted(name)}, which {names.count(name)} labels are"
        raise RowError(Reason.CHOICE_UNDECIDED, label.where, seen)
    return given[names.index(name)]


def winner(answers: Found, mark: Found) -> Any:
    """Return the one of two answers that a mark such as ``model_a`` or ``B`` names.

    Example:
        >>> winner(Found(["4", "5"], "$.answers"), Found("model_a", "$.winner"))
        '4'
    """
    return _two(answers)[_marked(mark)]


def loser(answers: Found, mark: Found) -> Any:
    """Return the one of two answers that a mark such as ``model_a`` or ``B`` does not name.

    Example:
        >>> loser(Found(["4", "5"], "$.answers"), Found("model_a", "$.winner"))
        '5'
    """
    return _two(answers)[1 - _marked(mark)]


def preferred_by_sign(answers: Found, sign: Found) -> Any:
    """Return the first of two answers for a number below 0, the second for one above.

    Example:
        >>> preferred_by_sign(Found(["4", "5"], "$.answers"), Found(-2, "$.strength"))
        '4'
    """
    return _two(answers)[_signed(sign)]


def other_by_sign(answers: Found, sign: Found) -> Any:
    """Return the second of two answers for a number below 0, the first for one above.

    Example:
        >>> other_by_sign(Found(["4", "5"], "$.answers"), Found(-2, "$.strength"))
        '5'
    """
    return _two(answers)[1 - _signed(sign)]


def best_by_rating(answers: Found, ratings: Found) -> Any:
    """Return the answer with the highest rating; numbers, or texts that spell one.

    Example:
        >>> best_by_rating(Found(["4", "5"], "$.answers"), Found([9.0, 2], "$.ratings"))
        '4'
    """
    return _extreme(answers, ratings, max)


def worst_by_rating(answers: Found, ratings: Found) -> Any:
    """Return the answer with the lowest rating.

    Example:
        >>> worst_by_rating(Found(["4", "5"], "$.answers"), Found(["9", "2"], "$.ratings"))
        '5'
    """
    return _extreme(answers, ratings, min)


def best_by_rank(answers: Found, ranks: Found) -> Any:
    """Return the answer with the lowest rank: the first is the best.

    Example:
        >>> best_by_rank(Found(["4", "5"], "$.answers"), Found([2, 1], "$.ranks"))
        '5'
    """
    return _extreme(answers, ranks, min)


def worst_by_rank(answers: Found, ranks: Found) -> Any:
    """Return the answer with the highest rank: the last is the worst.

    Example:
        >>> worst_by_rank(Found(["4", "5"], "$.answers"), Found([2, 1], "$.ranks"))
        '4'
    """
    return _extreme(answers, ranks, max)


def _extreme(answers: Found, numbers: Found, extreme: Callable[..., float]) -> Any:
    given, rated = _parallel(answers, numbers)
    values = [_number(value, numbers.at(index)) for index, value in enumerate(rated)]
    found = extreme(values)
    if values.count(found) > 1:
        seen = f"{found:g} {values.count(found)} times"
        raise RowError(Reason.CHOICE_UNDECIDED, numbers.where, seen)
    return given[values.index(found)]


def _number(value: Any, where: str) -> float:
    number = value
    if isinstance(value, str) and value.isascii() and "_" not in value:
        with suppress(ValueError):
            number = float(value)
    if isinstance(number, (int, float)) and not isinstance(number, bool) and abs(number) < math.inf:
        return number
    raise RowError(Reason.CHOICE_UNDECIDED, where, f"{quoted(value)}, no number")


def _index(index: Found, count: int) -> int:
    given = index.value
    is_spelled = isinstance(given, str) and given.isascii() and given.isdigit()
    number = int(given) if is_spelled and len(given) <= _DIGITS else given
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < count:
        seen = f"{quoted(given)}, of {count} choices"
        raise RowError(Reason.CHOICE_UNDECIDED, index.where, seen)
    return number


def _marked(mark: Found) -> int:
    name = text_field(mark.value, mark.where)
    if name not in MARKS:
        raise RowError(Reason.CHOICE_UNDECIDED, mark.where, quoted(name))
    return int(name in _SECOND)


def _signed(sign: Found) -> int:
    number = _number(sign.value, sign.where)
    if number == 0:
        raise RowError(Reason.CHOICE_UNDECIDED, sign.where, "0, neither answer")
    return int(number > 0)


def _two(answers: Found) -> tuple[Any, Any]:
    given = list_field(answers.value, answers.where)
    if len(given) != 2:
        seen = f"{quoted(given)}, where two are needed"
        raise RowError(Reason.CHOICE_UNDECIDED, answers.where, seen)
    return given[0], given[1]


def _parallel(one: Found, other: Found) -> tuple[list[Any], list[Any]]:
    """Return two lists that must be equally long."""
    given, beside = list_field(one.value, one.where), list_field(other.value, other.where)
    if len(given) != len(beside):
        seen = f"{quoted(beside)} beside {quoted(given)}"
        raise RowError(Reason.FIELD_WRONG_TYPE, other.where, seen)
    return given, beside
