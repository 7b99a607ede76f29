"""The walk of a row: a refusal stays in its place, a bug says where it happened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from vlm_datakit.checks import check
from vlm_datakit.conversation import (
    Conversation,
    Converted,
    Draft,
    Image,
    ImageSource,
    Origin,
    Rejected,
    Row,
    Warned,
)
from vlm_datakit.errors import Reason, RowError
from vlm_datakit.formats import openai, simple
from vlm_datakit.plan import MIB
from vlm_datakit.walk import Stages, convert_rows, convert_runs


@pytest.fixture
def stages(resolve: Callable[[ImageSource], Image]) -> Stages:
    return Stages(simple.parse, resolve, check)


def row(number: int, **fields: Any) -> Row:
    return Row(Origin("in.jsonl", 100 * number, number + 1), fields, b"raw %d" % number)


def test_a_refused_row_keeps_its_place_and_says_why(
    stages: Stages, chat: Callable[..., Conversation]
) -> None:
    unread = Rejected(Origin("in.jsonl", 100, 2), Reason.JSON_INVALID, "$", "cut")
    rows = [
        row(0, text="?", response="!"),
        unread,
        row(2, text="?"),
        row(3, text="?", response="!"),
    ]

    outcomes = list(convert_rows(rows, stages))

    missing = Rejected(rows[2].origin, Reason.FIELD_MISSING, "$.response", "null", b"raw 2")
    good = [Converted(r.origin, chat("?", "!"), (), r.raw) for r in (rows[0], rows[3])]
    assert outcomes == [good[0], unread, missing, good[1]]


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        pytest.param("no.png", Reason.IMAGE_FILE_MISSING, id="missing"),
        pytest.param("/etc/passwd", Reason.IMAGE_OUTSIDE_ROOT, id="elsewhere"),
        pytest.param(".", Reason.IMAGE_NOT_A_FILE, id="a folder"),
        pytest.param("https://a.example/b.png", Reason.IMAGE_URL_NOT_FETCHED, id="a URL"),
        pytest.param("data:image/png;base64,<cut>", Reason.IMAGE_NOT_BASE64, id="not base64"),
        pytest.param("data:image/png;base64,SGVsbG8=", Reason.IMAGE_TYPE_UNSUPPORTED, id="text"),
        pytest.param("data:image/png;base64,iVBORw0KGgo=", Reason.IMAGE_UNREADABLE, id="cut"),
    ],
)
def test_a_picture_that_cannot_be_opened_refuses_its_row(
    stages: Stages, image: str, reason: Reason
) -> None:
    (outcome,) = convert_rows([row(0, text="?", response="!", image=image)], stages)

    assert isinstance(outcome, Rejected)
    assert (outcome.reason, outcome.where) == (reason, "$.image")


def test_warnings_of_the_parse_come_before_those_of_the_check(stages: Stages) -> None:
    (outcome,) = convert_rows([row(0, text="?", response=" ", score=1)], stages)

    assert isinstance(outcome, Converted)
    assert [str(w.reason) for w in outcome.warnings] == ["field-ignored", "answer-empty"]


def test_rows_are_taken_one_by_one(stages: Stages) -> None:
    taken: list[int] = []

    def rows() -> Any:
        for number in range(9):
            taken.append(number)
            yield row(number, text="?", response="!")

    outcomes = convert_rows(rows(), stages)

    assert [next(outcomes).origin.line, next(outcomes).origin.line] == [1, 2]
    assert taken == [0, 1]


def test_a_bug_is_raised_and_says_at_which_row(stages: Stages) -> None:
    def parse(fields: Mapping[str, Any]) -> Draft:
        raise ZeroDivisionError

    outcomes = convert_rows([row(6)], Stages(parse, stages.resolve, stages.check))

    with pytest.raises(ZeroDivisionError) as caught:
        next(outcomes)
    assert caught.value.__notes__ == ["while converting in.jsonl:7"]


@pytest.fixture
def ahead(stages: Stages, png_bytes: Callable[..., bytes]) -> tuple[Stages, list[str]]:
    """Stages that note what is begun (``+``) and what is waited for, in order."""
    log: list[str] = []

    def begin(draft: Draft) -> int:
        log.extend(f"+{image.value[9:]}" for image in draft.images)
        return len(draft.images)

    def read(url: str, max_bytes: int, where: str) -> bytes:
        log.append(url[9:])
        if url.endswith("x"):
            raise RowError(Reason.IMAGE_FETCH_FAILED, where, "status 404")
        return png_bytes()

    opener = replace(stages.resolve, read_url=read)  # type: ignore[type-var]
    return replace(stages, resolve=opener, ahead=begin), log


def with_picture(number: int, name: str) -> Row:
    return row(number, text="?", response="!", image=f"http://h/{name}")


def test_pictures_are_begun_before_their_turn_and_rows_keep_theirs(
    ahead: tuple[Stages, list[str]],
) -> None:
    stages, log = ahead
    rows = [with_picture(0, "a"), row(1), with_picture(2, "bx"), row(3, text="?", response="!")]

    outcomes = list(convert_rows(rows, stages))

    assert log == ["+a", "+bx", "a", "bx"]
    assert [outcome.origin for outcome in outcomes] == [each.origin for each in rows]
    reasons = [getattr(outcome, "reason", None) for outcome in outcomes]
    assert reasons == [None, Reason.FIELD_MISSING, Reason.IMAGE_FETCH_FAILED, None]


def test_the_window_holds_32_pictures_and_moves_row_by_row(
    ahead: tuple[Stages, list[str]],
) -> None:
    stages, log = ahead
    outcomes = convert_rows((with_picture(n, f"{n}") for n in range(100)), stages)

    next(outcomes)
    next(outcomes)

    begun = [int(entry) for entry in log if entry.startswith("+")]
    assert (begun, log[-1]) == (list(range(33)), "1")


def test_the_window_is_bounded_by_bytes(ahead: tuple[Stages, list[str]]) -> None:
    stages, log = ahead
    taken: list[int] = []

    def rows() -> Any:
        yield with_picture(0, "a")
        for number in range(1, 50):
            taken.append(number)
            yield row(number, text="x" * 2**20, response="!")

    next(convert_rows(rows(), stages))

    assert (len(taken), log) == (8, ["+a", "a"])


def test_rows_without_a_picture_by_url_do_not_wait(ahead: tuple[Stages, list[str]]) -> None:
    stages, _ = ahead
    taken: list[int] = []

    def rows() -> Any:
        for number in range(9):
            taken.append(number)
            yield row(number, text="?", response="!")

    next(convert_rows(rows(), stages))

    assert taken == [0]


def test_a_bug_behind_the_window_says_at_which_row(ahead: tuple[Stages, list[str]]) -> None:
    def check(conversation: Conversation) -> tuple[Warned, ...]:
        raise ZeroDivisionError

    stages, _ = ahead
    outcomes = convert_rows([with_picture(6, "a")], replace(stages, check=check))

    with pytest.raises(ZeroDivisionError) as caught:
        next(outcomes)
    assert caught.value.__notes__ == ["while converting in.jsonl:7"]


@pytest.mark.parametrize("way", [convert_rows, lambda *a: convert_runs(*a, openai.plain)])
def test_the_pictures_of_one_row_fit_into_memory_together(way: Callable[..., Any]) -> None:
    data = bytes(200 * MIB)  # the same one each time
    resolve = Image(data, "image/png", 1, 1)
    urls = [{"type": "image_url", "image_url": {"url": f"{n}.png"}} for n in range(3)]
    messages = [{"role": "user", "content": urls}, {"role": "assistant", "content": "!"}]

    (outcome,) = way([row(0, messages=messages)], Stages(openai.parse, lambda _: resolve, check))

    assert isinstance(outcome, Rejected)
    assert outcome.reason is Reason.IMAGE_TOO_LARGE
    assert outcome.where == "$.messages[0].content[2].image_url.url"
    assert outcome.seen == "over 536870912 bytes with the pictures before it"


def test_a_bug_over_plain_rows_says_where_it_happened(stages: Stages) -> None:
    def plain(fields: Mapping[str, Any]) -> Any:
        raise ZeroDivisionError(f"{len(fields)} fields")

    with pytest.raises(ZeroDivisionError) as caught:
        list(convert_runs([row(6, text="?", response="!")], stages, plain))

    assert caught.value.__notes__ == ["while converting in.jsonl:7"]
