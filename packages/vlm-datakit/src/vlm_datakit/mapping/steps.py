"""The named steps, in a table. Adding one is a pure function with its doctest, and a line here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from vlm_datakit.mapping import choosing, dialogue, pictures, texts

_MANY = 100


class Step(NamedTuple):
    """A step: its function, how many columns it takes, and what else.

    ``text`` is how many quoted texts it takes, at least and at most; ``places`` says that it
    reads ``<image>`` as the place of a picture where a mapping names pictures.
    """

    apply: Callable[..., Any]
    least: int = 1
    most: int = 1
    text: tuple[int, int] = (0, 0)
    places: bool = False


STEPS = {
    "after-common-prefix": Step(dialogue.after_common_prefix, 2, 2),
    "before-last-assistant": Step(dialogue.before_last_assistant, places=True),
    "best-by-rank": Step(choosing.best_by_rank, 2, 2),
    "best-by-rating": Step(choosing.best_by_rating, 2, 2),
    "choice-by-index": Step(choosing.choice_by_index, 2, 2),
    "choice-by-label": Step(choosing.choice_by_label, 3, 3),
    "class-name": Step(choosing.class_name),
    "common-prefix": Step(dialogue.common_prefix, 2, 2, places=True),
    "first-of-list": Step(choosing.first_of_list),
    "image-places": Step(pictures.image_places),
    "images-by-index": Step(pictures.images_by_index, 2, 2),
    "interleaved": Step(pictures.interleaved, 2, 2),
    "join-nonempty": Step(texts.join_nonempty, 1, _MANY, (0, 1)),
    "json-sub-field": Step(texts.json_sub_field, text=(1, 1)),
    "json-text": Step(texts.json_of),
    "last-assistant": Step(dialogue.last_assistant),
    "loser": Step(choosing.loser, 2, 2),
    "majority-vote": Step(choosing.majority_vote),
    "messages-with-context": Step(dialogue.messages_with_context, 2, 2),
    "other-by-sign": Step(choosing.other_by_sign, 2, 2),
    "other-than-choice": Step(choosing.other_than_choice, 2, 2),
    "preferred-by-sign": Step(choosing.preferred_by_sign, 2, 2),
    "question-with-choices": Step(texts.question_with_choices, 2, 3, places=True),
    "sharegpt": Step(dialogue.sharegpt, places=True),
    "transcript": Step(dialogue.transcript),
    "turns": Step(dialogue.turns, 2, 2, places=True),
    "winner": Step(choosing.winner, 2, 2),
    "without-index": Step(pictures.without_index),
    "without-nulls": Step(pictures.without_nulls),
    "worst-by-rank": Step(choosing.worst_by_rank, 2, 2),
    "worst-by-rating": Step(choosing.worst_by_rating, 2, 2),
}
