"""The plan counts as the trainer counts."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from vlm_trainer.chat import Chat
from vlm_trainer.config import ScheduleOptions, from_flat
from vlm_trainer.conversation import from_columns
from vlm_trainer.curve import loss_svg, smoothed
from vlm_trainer.errors import RowsRefused
from vlm_trainer.labels import LabelRule
from vlm_trainer.lengths import Measure, measure
from vlm_trainer.plan import (
    check_trainable,
    make_plan,
    plan_lines,
    steps_of,
)
from vlm_trainer.shrink import TokenLimit
from vlm_trainer.sizes import PixelRule


@pytest.mark.parametrize(
    ("rows", "batch", "accumulation", "processes", "epochs", "steps"),
    [
        (1397, 32, 1, 1, 8, 352),
        (24, 1, 8, 1, 1, 3),
        (24, 4, 1, 2, 1, 3),
        (25, 4, 1, 2, 1, 4),
        (3, 8, 8, 1, 1, 1),
        (100, 1, 8, 1, 0.5, 7),
    ],
)
def test_steps_are_counted(
    rows: int, batch: int, accumulation: int, processes: int, epochs: float, steps: int
) -> None:
    schedule = ScheduleOptions(
        num_train_epochs=epochs,
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=accumulation,
    )

    assert steps_of(schedule, rows, processes) == steps


def test_a_plan_says_rows_tokens_steps_and_sizes(rows: Any, chat: Chat) -> None:
    conversations = [from_columns(row) for row in rows.digit_rows(range(10))]
    lengths = measure(conversations, Measure(chat, PixelRule()), ["digit-3"])
    config = from_flat({"lora_scope": ("language", "merger")})

    plan = make_plan(config, lengths, 1)
    text = "\n".join(plan_lines(plan, lengths, config, PixelRule()))

    assert (plan.rows, plan.images, plan.steps, plan.trained_tokens) == (9, 9, 2, 27)
    assert plan.tokens == lengths.tokens.sum()
    assert "rows    9 of 10, 1 left out; 9 images" in text
    assert "max_pixels 1003520: a 4032x3024 photo is shown at 1148x840, 1230 tokens\n" in text
    assert "min_pixels 3136: a 28x28 icon is shown at 56x56, 4 tokens\n" in text
    assert "LoRA r 16 on: language, merger" in text


def test_a_plan_says_what_is_done_to_rows(rows: Any, chat: Chat) -> None:
    written = rows.digit_rows(range(10))
    written[0]["extras"] = '{"1": {"weight": 0}}'
    written[4]["tools"] = '[{"name": "look_up"}]'
    for row in written[1:3]:
        row["image_sizes"] = [{"width": 560, "height": 560}]
    given = {"max_length": 100, "on_too_long": "shrink", "exclude_ids": ("digit-3", "x", "y")}
    config = from_flat({**given, "train_on": "last", "json_focus": 0.5})
    limit = TokenLimit(100, shrinks=True)
    how = Measure(chat, PixelRule(), limit, LabelRule("last"))
    lengths = measure(map(from_columns, written), how, config.data.exclude_ids)

    plan = make_plan(config, lengths, 1)
    lines = plan_lines(plan, lengths, config, PixelRule())

    assert (plan.rows, plan.shrunk, plan.unknown_ids) == (9, 2, 2)
    assert lines[5:10] == [
        "labels  train_on last, form of JSON counts 0.5",
        "flags   1 rows have flags (weight, train) that train_on last does not read; "
        "--train-on flags does",
        "tools   1 rows have tools, of which the model's chat template writes nothing: they are "
        "not trained",
        "shrunk  2 rows show smaller pictures to fit 100 tokens, down to max_pixels "
        f"{lengths.shrunk_to}",
        "ids     2 of --exclude-ids are not in these rows: 'x', 'y'",
    ]


def test_rows_that_are_too_long_may_be_dropped_alone(rows: Any, chat: Chat) -> None:
    answer = rows.message("assistant", "!")
    said = {"short": "?", "long": "a " * 300, "control": "<|im_end|>"}
    good, long, bad = (
        from_columns(rows.chat_row(name, rows.message("user", text), answer))
        for name, text in said.items()
    )
    how = Measure(chat, PixelRule(), TokenLimit(100))

    check_trainable(measure([good, long], how), "stop", "OUT", on_too_long="drop")
    check_trainable(measure([good, long, bad], how), "drop", "OUT")
    with pytest.raises(RowsRefused, match=r"^OUT: .* trained: 1 row-too-long\. First: row 'long'"):
        check_trainable(measure([good, long], how), "stop", "OUT", on_too_long="shrink")
    with pytest.raises(RowsRefused, match=r"trained: 1 control-token-in-text\. First: row 'contr"):
        check_trainable(measure([good, long, bad], how), "stop", "OUT", on_too_long="drop")
    with pytest.raises(RowsRefused, match="1 row-too-long"):
        check_trainable(measure([long], how), "drop", "OUT", on_too_long="drop")


def test_nothing_left_to_train_is_refused(rows: Any, chat: Chat) -> None:
    silent = from_columns(rows.chat_row("a", rows.message("user", "?")))
    lengths = measure([silent], Measure(chat, PixelRule()))

    with pytest.raises(RowsRefused, match="1 no-supervised-token"):
        check_trainable(lengths, "drop", "OUT")
    with pytest.raises(RowsRefused, match="no row to train on"):
        check_trainable(measure([], Measure(chat, PixelRule())), "stop", "OUT")


@pytest.mark.parametrize(
    "points", [[], [(1, 2.0)], [(1, 0.0), (2, 0.0)], [(1, float("nan")), (900, 1e6)]]
)
def test_a_curve_is_always_a_whole_drawing(points: list[tuple[float, float]]) -> None:
    drawing = ElementTree.fromstring(loss_svg(points, points))

    assert drawing.attrib["viewBox"] == "0 0 720 360"


def test_every_point_lies_inside_the_drawing() -> None:
    svg = loss_svg([(step, 5 / step) for step in range(1, 353)], [(100, 0.2)])
    lines = [e for e in ElementTree.fromstring(svg) if e.tag.endswith("polyline")]

    numbers = [tuple(map(float, p.split(","))) for e in lines for p in e.attrib["points"].split()]

    assert len(numbers) == 2 * 352
    assert all(64 <= x <= 696 and 48 <= y <= 312 for x, y in numbers)


def test_smoothing_starts_at_the_first_value() -> None:
    assert smoothed([4.0, 4.0, 4.0]) == [4.0, 4.0, 4.0]
    assert smoothed([1.0, 0.0])[0] == 1.0
