"""Rows of nothing but texts take a shorter way, and become the same to the byte."""

from __future__ import annotations

import base64
import io
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import PIL.Image
import pytest
from hypothesis import given, settings

from vlm_datakit import formats
from vlm_datakit.checks import checker, plain_checker
from vlm_datakit.conversation import Converted, Image, Rejected, Row
from vlm_datakit.formats.format import Format
from vlm_datakit.images.resolver import Opener
from vlm_datakit.plain import PlainRow, PlainRows, Turn, conversation_of
from vlm_datakit.plan import ImagePolicy, Limits
from vlm_datakit.runner.stages import opener
from vlm_datakit.runner.tally import Tally
from vlm_datakit.shards.manifest import ShardFile
from vlm_datakit.shards.writer import ShardSizes, ShardSpec, ShardWriter
from vlm_datakit.sources.jsonl import Span, read_rows
from vlm_datakit.walk import Stages, convert_rows, convert_runs

from ..batches import batch_of

OPENER: Opener = opener(Limits(), ImagePolicy(), ())
LAYOUTS = {"trl": "answer", "preference": "pair"}  # and conversation
FIELDS = {
    "openai": ("messages",),
    "simple": ("text", "response"),
    "trl": ("prompt", "completion"),
    "preference": ("prompt", "chosen", "rejected"),
    "sharegpt": ("conversations",),
    "llava": ("conversations",),
    "alpaca": ("instruction", "input", "output"),
    "swift": ("messages",),
    "qa": ("query", "response"),
}
# Blank, like a control token, or like a picture: what a word is said of, or hardly not.
TEXTS = st.sampled_from(
    ["", " \n", "\u2003", "a", "4", "<", "|", "<|im_end|>", "<|", "é\0\x7f", "\x7f0", "<image>"]
)


def uri(image: PIL.Image.Image, kind: str, **options: Any) -> str:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return f"data:image/x;base64,{base64.b64encode(file.getvalue()).decode()}"


# Large enough to be cut out of the line, small, moving, with an alpha channel.
NOISE = PIL.Image.effect_noise((80, 80), 90)
URIS = [
    uri(NOISE, "PNG"),
    uri(NOISE.convert("RGB"), "JPEG", quality=100),
    uri(NOISE.resize((9, 9)), "PNG"),
    uri(
        NOISE.resize((9, 9)), "GIF", save_all=True, append_images=[NOISE.resize((9, 9)).rotate(90)]
    ),
    uri(NOISE.convert("RGBA"), "PNG"),
]
NO_PICTURES = [URIS[0][:-300], URIS[1].replace("A", "*"), "", " ", "a.png", None, 7, {"url": "x"}]
OTHERS = st.sampled_from([None, True, 0, 7, 1.5, [], {}, ["a"], {"role": "user"}])
IDS = st.sampled_from(["7", "", 7, -1, 2**63, 2**64, True, 0.5, None, ["a"]])
ROLES = st.sampled_from(["system", "user", "assistant", "user", "assistant", "tool", "developer"])


def wide(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return mostly texts, and now and then something else."""
    return st.one_of(TEXTS, TEXTS, TEXTS, inner)


PICTURES = st.sampled_from([*URIS, *URIS, *NO_PICTURES])
PARTS = st.one_of(
    st.fixed_dictionaries({"type": st.just("text"), "text": wide(OTHERS)}),
    st.fixed_dictionaries(
        {"type": st.just("image_url"), "image_url": st.fixed_dictionaries({"url": PICTURES})}
    ),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["text", "image_url", "image"])},
        optional={"text": wide(OTHERS), "image_url": PICTURES, "detail": st.just("low")},
    ),
)
MESSAGES = st.fixed_dictionaries(
    {
        "role": st.one_of(ROLES, ROLES, OTHERS),
        "content": st.one_of(TEXTS, st.lists(PARTS, max_size=3), OTHERS),
    },
    optional={"name": st.none() | TEXTS},
)


SAID = wide(OTHERS) | st.sampled_from(["<image>", "<image>\na<image>", "<video>", "a<image>"])
SPOKEN = st.fixed_dictionaries(
    {"from": st.sampled_from(["human", "gpt", "human", "gpt", "system", "tool", 7]), "value": SAID},
    optional={"weight": st.none() | st.just(1)},
)
TURNS = st.fixed_dictionaries(
    {"role": st.one_of(ROLES, ROLES, OTHERS), "content": SAID},
    optional={"loss": st.none() | st.booleans()},
)


@st.composite
def rows_of(draw: st.DrawFn, name: str) -> dict[str, Any]:
    """Draw a row that is nearly plain in a format: all of it texts, but for a thing or two."""
    values = {"openai": MESSAGES, **dict.fromkeys(("sharegpt", "llava"), SPOKEN), "swift": TURNS}
    value = st.lists(values[name], max_size=4) if name in values else wide(OTHERS)
    row = {field: draw(value) for field in FIELDS[name]}
    if name in ("sharegpt", "llava", "swift") and draw(st.booleans()):
        pictures = PICTURES | st.lists(PICTURES, max_size=2)
        row[draw(st.sampled_from(["images", "image"]))] = draw(pictures)
    if name == "simple" and draw(st.booleans()):
        row["image"] = draw(PICTURES)
    row |= draw(st.fixed_dictionaries({}, optional={"id": IDS}))
    row |= draw(st.sampled_from([{}, {}, {}, {"score": 1}, {"image": None}, {"tools": []}]))
    return row


def plain_ways(format_: Format) -> tuple[Stages, Any]:
    layout = LAYOUTS.get(format_.name, "conversation")
    stages = Stages(format_.parse, OPENER, checker(layout, with_images=True))
    return stages, plain_checker(formats.plain_of(format_), layout, with_images=True)


def as_objects(found: list[Any]) -> list[Converted | Rejected]:
    """Return outcomes with all plain rows as the conversations they stand for."""
    rows: list[Converted | Rejected] = []
    for outcome in found:
        if isinstance(outcome, PlainRows):
            for offset, row in zip(outcome.offsets, outcome.rows, strict=True):
                origin = (outcome.source, offset)
                rows.append(Converted(origin, conversation_of(row)))  # type: ignore[arg-type]
        else:
            rows.append(outcome)
    return rows


@pytest.mark.parametrize("name", FIELDS)
@given(data=st.data())
@settings(max_examples=400)
def test_the_shorter_way_leads_to_the_same(name: str, data: st.DataObject) -> None:
    rows = data.draw(st.lists(rows_of(name), min_size=1, max_size=6))
    lines = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    stages, plain = plain_ways(formats.get(name))

    runs = list(convert_runs(read_rows(io.BytesIO(lines), Span("a")), stages, plain))
    objects = list(convert_rows(read_rows(io.BytesIO(lines), Span("a")), stages))

    for short, whole in zip(as_objects(runs), objects, strict=True):
        assert isinstance(short, Rejected) == isinstance(whole, Rejected)
        if isinstance(short, Converted) and isinstance(whole, Converted):
            assert short.conversation == whole.conversation
            assert short.warnings == whole.warnings
            assert short.origin[:2] == whole.origin[:2]
        else:
            assert short == whole
    assert counts(runs) == counts(objects)


def counts(found: list[Any]) -> Any:
    tally = Tally()
    for outcome in found:
        if isinstance(outcome, PlainRows):
            tally.count_plain(outcome)
        else:
            tally.count(outcome)
    return tally.rows_read, tally.rows, tally.checked_reasons(), tally.stats()


@given(data=st.data())
@settings(max_examples=200)
@pytest.mark.parametrize("name", FIELDS)
def test_the_arrays_are_the_same(name: str, data: st.DataObject) -> None:
    rows = data.draw(st.lists(rows_of(name), min_size=1, max_size=6))
    lines = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    stages, plain = plain_ways(formats.get(name))
    runs = convert_runs(read_rows(io.BytesIO(lines), Span("a")), stages, plain)
    found = [row for run in runs if isinstance(run, PlainRows) for row in run.rows]
    named = [(f"{number}", row) for number, row in enumerate(found)]
    objects = [(row_id, conversation_of(row)) for row_id, row in named]
    layout = LAYOUTS.get(name, "conversation")

    for with_images in (True, False):
        short = batch_of(named, layout, with_images=with_images)
        whole = batch_of(objects, layout, with_images=with_images)
        mixed = batch_of([*named[:1], *objects[1:]], layout, with_images=with_images)

        assert short.equals(whole, check_metadata=True)
        assert mixed.equals(whole, check_metadata=True)
        short.validate(full=True)


ASKED, SHOWN = (((Turn("user", parts), Turn("assistant")),) for parts in ("t", "pt"))
GROUPED = st.builds(
    lambda text, sizes: PlainRow(
        SHOWN if sizes else ASKED, (text, "é"), tuple(Image(b"-" * n, "", 1, 1) for n in sizes[:1])
    ),
    st.text("aé", min_size=1, max_size=9),
    st.lists(st.integers(1, 90), max_size=1),
)


@given(st.lists(st.lists(GROUPED, min_size=1, max_size=7), max_size=5), st.data())
@settings(max_examples=80)
def test_row_groups_of_runs_end_at_the_same_rows(
    runs: list[list[PlainRow]], data: st.DataObject
) -> None:
    sizes = ShardSizes(
        data.draw(st.sampled_from([1, 11, 60, 61, 200, 2**20])),
        data.draw(st.sampled_from([1, 3, 4096])),
        data.draw(st.sampled_from([1, 2**20])),
    )

    def written(*, in_runs: bool) -> tuple[ShardFile, ...]:
        spec = ShardSpec("conversation", with_images=True, stem="a", sizes=sizes)
        with tempfile.TemporaryDirectory() as folder, ShardWriter(Path(folder), spec) as writer:
            for rows in runs:
                if in_runs:
                    writer.add_run([f"{number}" for number in range(len(rows))], rows)
                    continue
                for number, row in enumerate(rows):
                    writer.add(f"{number}", conversation_of(row))
            return writer.close()

    assert written(in_runs=True) == written(in_runs=False)


PLAIN_ROWS = {
    "openai": {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": URIS[0]}},
                    {"type": "text", "text": "What is it?"},
                    {"type": "image_url", "image_url": {"url": URIS[2]}},
                ],
            },
            {"role": "assistant", "content": "Noise."},
        ]
    },
    "simple": {"id": 7, "image": URIS[1], "text": "What is it?", "response": "Noise."},
    "trl": {"prompt": "2 + 2?", "completion": "4"},
    "preference": {"prompt": "2 + 2?", "chosen": "4", "rejected": "5"},
    "sharegpt": {
        "conversations": [
            {"from": "human", "value": "<image>\nOr <image>?"},
            {"from": "gpt", "value": "A < B"},
        ],
        "images": [URIS[0], URIS[2]],
    },
    "llava": {
        "id": "7",
        "image": URIS[0],
        "conversations": [
            {"from": "human", "value": "<image>\nWhat is it?"},
            {"from": "gpt", "value": "Noise."},
        ],
    },
    "alpaca": {"instruction": "Add.", "input": "2 + 2", "output": "4"},
    "swift": {
        "messages": [
            {"role": "user", "content": "<image>?"},
            {"role": "assistant", "content": "Noise."},
        ],
        "images": URIS[2],
    },
    "qa": {"id": 7, "question": "2 + 2?", "answer": "4"},
}


def test_every_format_that_has_a_shorter_way_is_here() -> None:
    none = formats.plain_of(replace(formats.get("simple"), parse=repr))  # type: ignore[arg-type]
    ways = {name: formats.plain_of(format_) for name, format_ in formats.FORMATS.items()}

    assert {name for name, way in ways.items() if way is not none} == set(FIELDS)


@pytest.mark.parametrize("name", FIELDS)
def test_ordinary_rows_do_take_it(name: str) -> None:
    line = json.dumps(PLAIN_ROWS[name]).encode() + b"\n"
    stages, plain = plain_ways(formats.get(name))

    (run,) = convert_runs(read_rows(io.BytesIO(line * 3), Span("a")), stages, plain)

    assert isinstance(run, PlainRows)
    assert all(isinstance(row, PlainRow) for row in run.rows)
    assert len(run.rows) == 3


def test_runs_are_bounded() -> None:
    rows = [{"prompt": "a" * 2000, "chosen": "b", "rejected": "c"}] * 2_000
    lines = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    stages, plain = plain_ways(formats.get("preference"))

    runs = list(convert_runs(read_rows(io.BytesIO(lines), Span("a")), stages, plain))

    assert all(isinstance(run, PlainRows) for run in runs)
    assert sum(len(run.rows) for run in runs if isinstance(run, PlainRows)) == 2_000
    assert max(len(run.rows) for run in runs if isinstance(run, PlainRows)) <= 256


def test_a_stage_that_looks_ahead_sees_every_row() -> None:
    seen = []
    stages, plain = plain_ways(formats.get("simple"))
    looking = replace(stages, ahead=lambda draft: seen.append(draft) or 0)
    rows = [Row(("a", 0, 1), {"text": "a", "response": "b"})]  # type: ignore[arg-type]

    (converted,) = convert_runs(rows, looking, plain)

    assert isinstance(converted, Converted)
    assert len(seen) == 1
