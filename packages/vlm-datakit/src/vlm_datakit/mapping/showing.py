"""Which columns may be the pictures of a row."""

from __future__ import annotations

from collections.abc import Sequence

from vlm_datakit.conversation import ImageForm
from vlm_datakit.mapping.columns import Column, Holds
from vlm_datakit.mapping.fieldmap import COLUMN
from vlm_datakit.mapping.names import stem_of, weight
from vlm_datakit.mapping.takes import Take, as_is, groups

_FORM_SCORES = {ImageForm.URL: 1.5, ImageForm.PATH: 1.5, ImageForm.BASE64: 2.5}
_BEST_FORM = 3.0


def pictures(columns: Sequence[Column]) -> list[Take]:
    """Return what may be the pictures, likeliest first."""
    shown = [
        c for c in columns if c.holds in (Holds.PICTURE, Holds.PICTURES) and "[*]" not in c.path
    ]
    found = [as_is(c, _picture_score(c), f"{c.path} holds {_given(c)}") for c in shown]
    for group in groups(columns, Holds.PICTURE):
        if len({column.form for column in group if column.form is not None}) > 1:
            continue
        score = max(_picture_score(column) for column in group if column.holds == Holds.PICTURE)
        found.append(_several(group, score + 1))
    singles = [c for c in shown if c.holds == Holds.PICTURE]
    best = max(map(_picture_score, singles), default=0.0)
    equal = [c for c in singles if _picture_score(c) > best - 0.3]
    are_alike = len(equal) > 1 and len({c.form for c in equal}) == 1
    if are_alike and not any(stem_of(c.path) != c.path for c in equal):
        found.append(_several(equal, best + 0.3 + 0.5 * _are_sides(equal)))
    inside = [c for c in columns if "[*]" in c.path and c.holds == Holds.PICTURES]
    found += [as_is(c, _picture_score(c), f"{c.path} are pictures") for c in inside]
    return sorted(found, key=lambda take: -take.score)


def _several(group: Sequence[Column], score: float) -> Take:
    paths = tuple(column.path for column in group)
    return Take(COLUMN, (paths,), score, f"{', '.join(paths[:3])} hold pictures", paths[0])


def _are_sides(group: Sequence[Column]) -> bool:
    sides = ("left", "right", "before", "after", "source", "target")
    return all(any(side in column.path.lower() for side in sides) for column in group)


def _given(column: Column) -> str:
    form = "values" if column.form is None else column.form.value
    return f"{column.holds.value} ({form})"


def _picture_score(column: Column) -> float:
    form = _BEST_FORM if column.form is None else _FORM_SCORES.get(column.form, _BEST_FORM)
    score = form + weight("image", column.path) / 3 - column.depth
    score -= weight("choices", column.path) / 2
    return score - weight("no-picture", column.path) - 0.6 * (not column.is_filled)
