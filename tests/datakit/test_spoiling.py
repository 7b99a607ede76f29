"""A spoiled row is refused, with the reason it was spoiled for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vlm_datakit import formats
from vlm_datakit.checks import check
from vlm_datakit.conversation import Image, ImageSource, Origin, Rejected, Row
from vlm_datakit.errors import Reason, UsageError
from vlm_datakit.formats.format import row_of
from vlm_datakit.samples import make_samples
from vlm_datakit.spoiling import WAYS, picture_of, spoil, with_picture
from vlm_datakit.walk import Stages, convert_row


@pytest.mark.parametrize("reason", WAYS)
@pytest.mark.parametrize("target", ["openai", "simple"])
@pytest.mark.parametrize("index", [0, 1, 2], ids=["shapes PNG", "form PNG", "shapes JPEG"])
def test_a_spoiled_row_is_refused_with_its_reason(
    resolve: Callable[[ImageSource], Image], target: str, reason: Reason, index: int
) -> None:
    format_ = formats.get(target)
    good = row_of(list(make_samples(3))[index], format_)
    stages = Stages(format_.parse, resolve, check)

    outcome = convert_row(Row(Origin("a", 0), spoil(good, target, reason)), stages)

    is_plain = target == "simple" and reason is Reason.ANSWER_MISSING
    assert isinstance(outcome, Rejected)
    assert outcome.reason is (Reason.FIELD_MISSING if is_plain else reason)


@pytest.mark.parametrize("target", ["openai", "simple"])
def test_spoiling_leaves_the_good_row_as_it_is(target: str) -> None:
    (conversation,) = make_samples(1)
    row = row_of(conversation, formats.get(target))

    for reason in WAYS:
        spoil(row, target, reason)

    assert row == row_of(conversation, formats.get(target))


@pytest.mark.parametrize("target", ["openai", "simple"])
def test_a_picture_can_be_given_in_another_form(target: str) -> None:
    (conversation,) = make_samples(1)
    row = row_of(conversation, formats.get(target))

    changed = with_picture(row, target, "a.png")

    assert picture_of(changed, target) == "a.png"
    assert with_picture(changed, target, picture_of(row, target)) == row


def test_a_format_without_samples_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"^samples come as openai or simple, not trl$"):
        with_picture({}, "trl", "a.png")
