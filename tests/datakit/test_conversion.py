"""The library's way: any iterable of dicts in, rows of another format out, lazily."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import PIL.Image
import pytest

from vlm_datakit import Rejected, RowError, UsageError, convert
from vlm_datakit.conversion import ConvertRequest, convert_stream
from vlm_datakit.errors import Reason, SourceError
from vlm_datakit.plan import SourceFile
from vlm_datakit.rendering import Rendered

GOOD = {"text": "?", "response": "!"}


def test_rows_are_taken_when_they_are_asked_for() -> None:
    taken: list[int] = []

    def rows() -> Iterator[dict[str, Any]]:
        for number in range(9):
            taken.append(number)
            yield {**GOOD, "id": number}

    converted = convert(rows(), source="simple", target="openai")

    assert (next(converted)["id"], taken) == ("0", [0])


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(PIL.Image.new("RGB", (4, 3), "red"), id="PIL"),
        pytest.param(np.full((3, 4, 3), (255, 0, 0), np.uint8), id="numpy"),
    ],
)
def test_pictures_may_be_objects_of_python(
    pixels: Callable[[bytes], PIL.Image.Image], image: Any
) -> None:
    (row,) = convert([{**GOOD, "image": image}], source="simple", target="simple")

    head, _, body = row["image"].partition(",")
    picture = pixels(base64.b64decode(body))
    assert (head, picture.size) == ("data:image/png;base64", (4, 3))
    assert picture.getcolors() == [(12, (255, 0, 0))]


def test_without_a_list_for_them_the_first_refused_row_raises() -> None:
    converted = convert([GOOD, {"text": "?"}], source="simple", target="trl")
    next(converted)

    with pytest.raises(RowError) as caught:
        next(converted)

    assert caught.value.args == (Reason.FIELD_MISSING, "$.response", "null")
    assert caught.value.__notes__ == ["rows:2; pass rejects=[] to collect refused rows and go on"]


def test_refused_rows_are_collected_and_the_others_go_on() -> None:
    rejects: list[Rejected] = []

    rows = list(convert([{"text": "?"}, GOOD], source="simple", target="simple", rejects=rejects))

    assert rows == [GOOD]
    assert [(str(r.origin), r.reason) for r in rejects] == [("rows:1", Reason.FIELD_MISSING)]


@pytest.mark.parametrize(
    ("lossy", "count"), [([], 0), (["tools"], 0), (["first-turn"], 1), (["all"], 1)]
)
def test_a_loss_is_refused_unless_it_is_named(lossy: list[str], count: int) -> None:
    turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "!"}] * 2
    rejects: list[Rejected] = []

    rows = convert(
        [{"messages": turns}],
        source="openai",
        target="simple",
        rejects=rejects,
        lossy=lossy,
    )

    assert (len(list(rows)), len(rejects)) == (count, 1 - count)


@pytest.mark.parametrize("names", [("nope", "simple"), ("simple", "nope")], ids=["from", "to"])
def test_an_unknown_format_is_a_usage_error(names: tuple[str, str]) -> None:
    with pytest.raises(UsageError, match=r"^unknown format 'nope'"):
        next(convert([GOOD], source=names[0], target=names[1]))


def test_a_refusal_of_the_target_keeps_the_row_for_the_ledger() -> None:
    request = ConvertRequest("openai", "simple", rejects_raw=True)
    turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "!"}]
    lines = [json.dumps({"messages": turns * n}).encode() for n in (1, 2)]
    pipe = SourceFile("train", "stdin", "-", None, None)

    good, bad = convert_stream(io.BytesIO(b"\n".join(lines)), pipe, request)

    assert isinstance(good, Rendered)
    assert isinstance(bad, Rejected)
    assert (good.row, bad.raw) == (GOOD, lines[1])


def test_an_unknown_format_is_refused_before_the_first_row_is_asked_for() -> None:
    with pytest.raises(UsageError):
        convert([], source="opnai", target="simple")


def test_the_format_is_told_by_the_first_rows_and_none_of_them_is_lost() -> None:
    rows = ({"question": f"{n}?", "answer": f"{n}"} for n in range(2_500))

    found = list(convert(rows, target="simple"))

    assert [row["response"] for row in found] == [str(n) for n in range(2_500)]


def test_rows_of_no_known_format_are_an_error_at_once() -> None:
    with pytest.raises(SourceError, match=r"^rows: no known format fits rows with the columns a;"):
        convert([{"a": 1}], target="simple")
