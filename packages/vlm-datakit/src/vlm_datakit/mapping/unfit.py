"""Why rows do not fit a goal, in words."""

from __future__ import annotations

from collections.abc import Sequence

from vlm_datakit.mapping.columns import SPEAKERS, Column, Holds
from vlm_datakit.mapping.lists import token_lists, values_at
from vlm_datakit.mapping.names import is_meta, weight, words_of
from vlm_datakit.mapping.showing import pictures
from vlm_datakit.mapping.takes import answers, prompts
from vlm_datakit.mapping.wording import is_worded

# Names of a yes or no to an answer.
_GOOD = frozenset(
    {
        "accepted",
        "approved",
        "bad",
        "chosen",
        "correct",
        "desirable",
        "good",
        "helpful",
        "incorrect",
    }
    | {"liked", "passed", "preferred", "rejected", "selected", "solved", "thumb", "thumbs"}
    | {"undesirable", "upvoted", "wrong", "safe", "unsafe"}
)
_YES_OR_NO = (
    ("true", "false"),
    ("yes", "no"),
    ("1", "0"),
    ("correct", "incorrect"),
    ("right", "wrong"),
    ("good", "bad"),
    ("entailment", "not_entailment"),
)
_CHATS = frozenset({Holds.MESSAGES, Holds.TURNS, Holds.TRANSCRIPT})


def spread_over_rows(columns: Sequence[Column]) -> str | None:
    """Return the words for rows that are one message each, None if they are not."""
    if any(column.holds in _CHATS for column in columns):
        return None
    parents = [c.path for c in columns if words_of(c.path)[:1] == ("parent",)]
    for column in columns:
        said = {value.lower() for value in values_at(column) if isinstance(value, str)}
        if column.holds not in (Holds.TEXT, Holds.CLASS) or not said or not said <= SPEAKERS:
            continue
        is_named = bool({"role", "speaker", "from", "sender"} & set(words_of(column.path)))
        if is_named or parents or said & {"assistant", "user", "prompter"}:
            by = f", which {parents[0]} ties together" if parents else ""
            return (
                f"each row is one message ({column.path} says who speaks): a conversation is "
                f"spread over rows{by}"
            )
    return None


def feedback_on(columns: Sequence[Column], read: frozenset[str] = frozenset()) -> str | None:
    """Return the column that says of single answers whether they are good, None if none does.

    Args:
        columns: Of the rows.
        read: Columns that are read for something else, such as the number of a choice.
    """
    for column in columns:
        if "[*]" in column.path or column.path in read:
            continue
        if column.holds == Holds.NUMBER and _is_feedback(column):
            return column.path
        if column.holds in (Holds.CLASS, Holds.TEXT) and _is_yes_or_no(column):
            return column.path
    return None


def _is_yes_or_no(column: Column) -> bool:
    """Whether names of classes, or texts, say yes or no to what stands beside."""
    said = {value.strip().lower() for value in column.values if isinstance(value, str)}
    words = {*words_of(column.path)}
    if not said or not (words & (_GOOD | {"label"})) or is_meta(column.path):
        return False
    return any(said <= {yes, no} for yes, no in _YES_OR_NO)


def _is_feedback(column: Column) -> bool:
    values, words = values_at(column), {*words_of(column.path)}
    if not values or not all(value in (0, 1) for value in values):
        return False
    if all(isinstance(value, bool) for value in values) and "label" in words:
        return True
    are_both = len({*values}) > 1
    return bool(words & _GOOD) or (are_both and bool(words & {"label", "reward", "score"}))


def unpaired(mark: str) -> str:
    """Return the words for rows of one answer each that a column marks as good or bad."""
    return (
        f"{mark} says which answers are good, and the bad ones would be learned too: leave them "
        "out first, or say what to map"
    )


def why_unfit(columns: Sequence[Column], goal: str) -> str:
    """Return why no mapping was found for a goal."""
    if not columns:
        return "the rows have no columns"
    if goal == "vlm" and not pictures(columns):
        return _no_pictures(columns)
    tokens = list(token_lists(columns))
    if tokens:
        return (
            f"{tokens[0]} are single words with a label or a box each; that is no answer in words"
        )
    if goal == "dpo" and (mark := feedback_on(columns)) is not None:
        return f"{mark} says of single answers whether they are good; a pair is two to one prompt"
    if goal == "dpo":
        return "nothing tells two answers of which one is better: no chosen and rejected, no rating"
    return _no_question_or_answer(columns)


def _no_question_or_answer(columns: Sequence[Column]) -> str:
    asked = prompts(columns, with_images=False)
    if asked and _other_answer(columns, asked[0].main):
        return "no column answers in words what another asks"
    if asked and asked[0].score >= 3:
        return f"{asked[0].main} asks, but no column answers in words"
    texts = [c.path for c in columns if c.holds == Holds.TEXT and is_worded(c)]
    if texts and (len(texts) == 1 or not asked):
        return f"{texts[0]} holds texts, but no column is the prompt that they answer"
    return "no column asks, and no column answers"


def _other_answer(columns: Sequence[Column], prompt: str) -> bool:
    return any(take.main != prompt for take in answers(columns))


def _no_pictures(columns: Sequence[Column]) -> str:
    played = [c.path for c in columns if c.holds == Holds.PLAYED]
    if played:
        return f"rows hold no picture: {played[0]} is sound or video"
    for column in columns:
        if column.holds != Holds.NOTHING and weight("image", column.path) and is_meta(column.path):
            return (
                f"rows hold no picture, only {column.path}: pictures that lie in another table "
                "have to be joined first"
            )
    return "rows hold no picture; for texts there are the goals sl and dpo"
