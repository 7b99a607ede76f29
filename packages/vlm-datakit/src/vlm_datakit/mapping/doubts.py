"""What speaks against an answer, though nothing else is as likely: such a mapping is open.

Each doubt looks at the columns beside a question and its answer, and says what it saw.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from vlm_datakit.mapping.columns import Column, Holds
from vlm_datakit.mapping.fieldmap import COLUMN
from vlm_datakit.mapping.lists import values_at
from vlm_datakit.mapping.names import is_meta, weight, words_of
from vlm_datakit.mapping.takes import Take
from vlm_datakit.mapping.wording import asks, commands, is_repeated, is_worded, shows_choices

_LETTER = re.compile(r"\(?[A-Ha-h]\)?")
_NEAR = frozenset({"anchor", "neg", "negative", "pos", "positive"})
_PLACES = frozenset(
    {"bbox", "bboxes", "box", "boxes", "coordinate", "coordinates", "coords"}
    | {"keypoint", "keypoints", "point", "points", "polygon", "polygons"}
)
_CODE = frozenset({"code", "snippet"})
_TITLES = frozenset({"title", "headline", "heading"})
_WORKED = frozenset({"explanation", "rationale", "reasoning", "solution", "steps", "thought"})
#: Words of a text and of what it became.
_VERSIONS = (("old", "new"), ("before", "after"), ("original", "edited"), ("original", "modified"))


class Case(NamedTuple):
    """A question and its answer as a mapping takes them, beside all columns.

    ``asked`` are the columns of the prompt, none where a text is asked of all rows.
    """

    asked: tuple[str, ...]
    answer: Take
    columns: Sequence[Column]
    has_pictures: bool

    @property
    def named(self) -> float:
        """How much the name of the answer speaks for it."""
        return weight("answer", self.answer.main)


def doubt(case: Case) -> str | None:
    """Return what speaks against an answer, in words; None if nothing does.

    Example:
        >>> from vlm_datakit.mapping.columns import columns_of
        >>> from vlm_datakit.mapping.takes import as_is
        >>> columns = columns_of([{"q": "Which is solid?", "a": "B"}])
        >>> answer = as_is(columns[1], 6.0, "a holds texts")
        >>> doubt(Case(("q",), answer, columns, has_pictures=False))
        'a holds letters, and nothing shows the choices that they name'
    """
    return next((words for one in _DOUBTS if (words := one(case)) is not None), None)


def _is_a_version(case: Case) -> str | None:
    """A question that was edited, without what became of it, or the other way round."""
    for earlier, later in _VERSIONS:
        for column in case.columns:
            words = words_of(column.path)
            if earlier not in words:
                continue
            path = _called(case.columns, [later if word == earlier else word for word in words])
            if path is None:
                continue
            pair = (column.path, path)
            is_edit = case.asked == (column.path,) and case.answer.main == path
            if not is_edit and {*case.asked, case.answer.main} & {*pair}:
                return f"{path} is another version of {column.path}"
    return None


def _called(columns: Sequence[Column], words: Sequence[str]) -> str | None:
    texts = (c for c in columns if c.holds == Holds.TEXT)
    return next((c.path for c in texts if words_of(c.path) == tuple(words)), None)


def _is_beside_a_number(case: Case) -> str | None:
    """A caption or so where the answer is a number."""
    if case.answer.how == "class-name" or _WORKED & {*words_of(case.answer.main)}:
        return None
    if not case.asked and not any(map(_is_question, case.columns)):
        return None
    for column in case.columns:
        named = weight("answer", column.path)
        is_answer = column.holds == Holds.NUMBER and "[*]" not in column.path and named >= 3
        if is_answer and not is_meta(column.path) and named > case.named:
            return f"{column.path} is called an answer, and holds numbers"
    return None


def _is_question(column: Column) -> bool:
    return column.holds == Holds.TEXT and weight("prompt", column.path) >= 5 and asks(column) > 0.5


def _is_a_caption(case: Case) -> str | None:
    """A caption, where each row asks something of its own."""
    if not case.has_pictures or weight("caption", case.answer.main) < 2 or case.named > 5:
        return None
    for column in case.columns:
        if _is_question(column) and not is_repeated(column):
            return f"{case.answer.main} describes, and need not answer {column.path}"
    return None


def _is_beside_places(case: Case) -> str | None:
    """A text beside a box or a point, which may be what is asked for."""
    if not case.has_pictures or case.named >= 5:
        return None
    for column in case.columns:
        is_list = column.holds in (Holds.NUMBERS, Holds.OBJECTS, Holds.OTHER, Holds.NOTHING)
        if is_list and not column.depth and _PLACES & {*words_of(column.path)[-1:]}:
            return f"{column.path} tells places in the picture, which may be the answer"
    return None


def _is_near(case: Case) -> str | None:
    """A text that means much the same, as for a search."""
    if _NEAR.isdisjoint(words_of(case.answer.main)) or case.named > 0:
        return None
    return f"{case.answer.main} is near in meaning, as it is called, and need be no answer"


def _is_a_title(case: Case) -> str | None:
    """A title, where no text is asked for one."""
    if _TITLES.isdisjoint(words_of(case.answer.main)[-1:]):
        return None
    return f"{case.answer.main} may be the title of the row"


def _is_code_beside_a_text(case: Case) -> str | None:
    """Code and a text that says what it does: either may be asked for."""
    by_path = {column.path: column for column in case.columns}
    if _CODE.isdisjoint(words_of(case.answer.main)) or not case.asked:
        return None
    for path in case.asked:
        column = by_path.get(path)
        is_told = weight("prompt", path) >= 3 or (column is not None and commands(column) > 0.5)
        if is_told or (column is not None and asks(column) > 0.5):
            return None
    return f"{case.answer.main} may be what {case.asked[-1]} is said of"


def _is_unseen_choice(case: Case) -> str | None:
    """A letter of choices that the question does not show."""
    by_path = {column.path: column for column in case.columns}
    answer = by_path.get(case.answer.main)
    if answer is None or answer.holds != Holds.TEXT or case.answer.how != COLUMN:
        return None
    said = values_at(answer)
    if not said or not all(_LETTER.fullmatch(str(text).strip()) for text in said):
        return None
    if any(shows_choices(by_path[path]) for path in case.asked if path in by_path):
        return None
    return f"{case.answer.main} holds letters, and nothing shows the choices that they name"


def _is_about_the_row(case: Case) -> str | None:
    """What names call the source, the kind or so of a row."""
    is_class = case.answer.how == "class-name" and not case.asked
    if not is_meta(case.answer.main) or is_class:
        return None
    return f"{case.answer.main} is called as what is said about a row"


def _is_an_object(case: Case) -> str | None:
    """An object for an answer, which is not called so, or holds choices."""
    asks = any(weight("prompt", c.path) >= 5.5 and c.holds == Holds.TEXT for c in case.columns)
    if case.answer.how != "json-text" or not (case.asked or asks):
        return None
    inside = f"{case.answer.main}."
    are_choices = any(
        c.path.startswith(inside) and weight("choices", c.path) >= 5 for c in case.columns
    )
    if case.named >= 5 and not are_choices:
        return None
    return f"{case.answer.main} holds objects, which nobody says"


def _is_poorer(case: Case) -> str | None:
    """A class, where a text says more of the picture."""
    if case.answer.how != "class-name" or not case.has_pictures:
        return None
    asked = [c for c in case.columns if c.path in case.asked]
    if any(asks(column) > 0.5 or commands(column) > 0.5 for column in asked):
        return None
    if asked:
        return f"{asked[0].path} does not ask for a class"
    for column in case.columns:
        is_text = column.holds == Holds.TEXT and is_worded(column) and not is_repeated(column)
        if is_text and "[*]" not in column.path and weight("system", column.path) <= 0:
            return f"{column.path} says more of the picture than its class"
    return None


_DOUBTS: tuple[Callable[[Case], str | None], ...] = (
    _is_a_version,
    _is_beside_a_number,
    _is_a_caption,
    _is_beside_places,
    _is_near,
    _is_a_title,
    _is_code_beside_a_text,
    _is_unseen_choice,
    _is_about_the_row,
    _is_an_object,
    _is_poorer,
)
